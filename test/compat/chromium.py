"""A real browser: Debian's chromium, headless, spoken to over its DevTools pipe."""

import base64
import fcntl
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--window-size=1400,1000", "--remote-debugging-pipe",
]


class Page:
    """What became of one navigation."""

    def __init__(self):
        self.status = None  # of the document
        self.url = None
        self.replies = {}  # URL to status, of everything it loaded
        self.complaints = []  # console errors, exceptions, breaches of the content security policy, loads that failed


class Chromium:
    """One browser with a profile of its own and one tab. *.localhost it resolves by itself."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="glaux-chromium-")
        ours_r, theirs_w = os.pipe()
        theirs_r, ours_w = os.pipe()

        def passed():
            # Out of the way first: they may themselves have one of these numbers.
            reads, writes = fcntl.fcntl(theirs_r, fcntl.F_DUPFD, 5), fcntl.fcntl(theirs_w, fcntl.F_DUPFD, 5)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        self.process = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={self.profile}", "about:blank"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=passed, start_new_session=True)
        os.close(theirs_r)
        os.close(theirs_w)
        self._to, self._from = os.fdopen(ours_w, "wb", buffering=0), os.fdopen(ours_r, "rb")
        self._messages = queue.Queue()
        threading.Thread(target=self._receive, daemon=True).start()
        self._number = 0
        self._session = None
        self._loading, self._open, self.page = False, set(), Page()
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    def _receive(self):
        rest = b""
        while True:
            data = self._from.read1(1 << 20)
            if not data:
                self._messages.put(None)
                return
            *whole, rest = (rest + data).split(b"\0")
            for message in whole:
                self._messages.put(json.loads(message))

    def _next(self, deadline):
        message = self._messages.get(timeout=max(0.001, deadline - time.monotonic()))
        assert message is not None, "the browser has ended"
        if "method" in message:
            self._event(message["method"], message["params"])
        return message

    def _event(self, name, p):
        page = self.page
        if name == "Page.loadEventFired":
            self._loading = False
        elif name == "Network.requestWillBeSent":
            self._open.add(p["requestId"])
        elif name == "Network.responseReceived":
            page.replies[p["response"]["url"]] = p["response"]["status"]
            if p["type"] == "Document":
                page.status, page.url = p["response"]["status"], p["response"]["url"]
        elif name in ("Network.loadingFinished", "Network.loadingFailed"):
            self._open.discard(p["requestId"])
            if name == "Network.loadingFailed" and not p.get("canceled"):
                page.complaints.append("failed: " + p["errorText"] + " " + p.get("blockedReason", ""))
        elif name == "Runtime.consoleAPICalled" and p["type"] in ("error", "assert"):
            page.complaints.append("console: " + " ".join(str(a.get("value", a.get("description"))) for a in p["args"]))
        elif name == "Runtime.exceptionThrown":
            d = p["exceptionDetails"]
            page.complaints.append("exception: " + d["text"] + " " + str(d.get("exception", {}).get("description", "")))
        elif name == "Log.entryAdded" and p["entry"]["level"] == "error":
            page.complaints.append("log: " + p["entry"]["text"] + " " + p["entry"].get("url", ""))

    def call(self, method, timeout=60, **params):
        """Send a command and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            reply = self._next(end)
            if reply.get("id") == self._number:
                assert "error" not in reply, (method, params, reply["error"])
                return reply["result"]

    def _settle(self, timeout):
        """Wait until the page has loaded, and all that its scripts asked for."""
        end = time.monotonic() + timeout
        while self._loading or self._open:
            self._next(end)
            if not self._loading and not self._open:
                # What a script does on the last reply may ask for more.
                self.evaluate("new Promise(done => setTimeout(done, 20))")

    def _begin(self):
        self.page, self._loading, self._open = Page(), True, set()

    def go(self, url, timeout=60):
        """Open a URL, as somebody who types it."""
        self._begin()
        got = self.call("Page.navigate", url=url)
        assert not got.get("errorText"), (url, got)
        self._settle(timeout)
        return self.page

    def click(self, selector, timeout=60):
        """Click a link that leads to another page."""
        self._begin()
        assert self.evaluate(f"(e => e ? (e.click(), true) : false)(document.querySelector({json.dumps(selector)}))"), selector
        self._settle(timeout)
        return self.page

    def press(self, selector):
        """Click everything that matches and stays on the page; return how many there were."""
        n = self.evaluate(f"(all => (all.forEach(e => e.click()), all.length))([...document.querySelectorAll({json.dumps(selector)})])")
        self._settle(30)
        return n

    def evaluate(self, expression):
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in got, got["exceptionDetails"]
        return got["result"].get("value")

    def links(self):
        """Where the page's links lead, without fragments."""
        return self.evaluate("[...new Set([...document.querySelectorAll('a[href]')].map(a => a.href.split('#')[0]))]")

    def text(self):
        return self.evaluate("document.body.innerText")

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self):
        try:
            self._session = None
            self.call("Browser.close", timeout=10)
            self.process.wait(10)
        except (AssertionError, queue.Empty, OSError, subprocess.TimeoutExpired):
            self.process.kill()
        self.process.wait()
        self._to.close()
        shutil.rmtree(self.profile, ignore_errors=True)
