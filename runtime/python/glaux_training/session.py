"""One session: a JVM and a runner, spoken to as the shim speaks to them."""

import json
import os
import queue
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time


class Failed(Exception):
    """The session could not start, or a cell failed; the text says why."""


class Runner:
    """A runner process."""

    def __init__(self, env: dict, cwd: str, python: str = sys.executable):
        ours, theirs = socket.socketpair()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()

        def passed():
            os.dup2(theirs.fileno(), 3)

        self.process = subprocess.Popen(
            [python, "-m", "glaux_runner"], stdin=subprocess.DEVNULL, stdout=out_w, stderr=err_w,
            env=env, cwd=cwd, close_fds=False, preexec_fn=passed)
        theirs.close()
        os.close(out_w)
        os.close(err_w)
        self._socket = ours
        self.frames: "queue.Queue[dict | None]" = queue.Queue()
        self.output = {"stdout": bytearray(), "stderr": bytearray()}
        self.grown = threading.Condition()
        self._threads = [
            threading.Thread(target=self._receive, daemon=True),
            threading.Thread(target=self._drain, args=(out_r, "stdout"), daemon=True),
            threading.Thread(target=self._drain, args=(err_r, "stderr"), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _receive(self):
        stream = self._socket.makefile("rb")
        while True:
            head = stream.read(4)
            if len(head) < 4:
                self.frames.put(None)
                return
            self.frames.put(json.loads(stream.read(struct.unpack(">I", head)[0])))

    def _drain(self, fd, name):
        while True:
            data = os.read(fd, 1 << 20)
            if not data:
                os.close(fd)
                return
            with self.grown:
                self.output[name] += data
                self.grown.notify_all()

    def send(self, *frames: dict) -> None:
        bodies = [json.dumps(frame).encode() for frame in frames]
        self._socket.sendall(b"".join(struct.pack(">I", len(body)) + body for body in bodies))

    def wait(self, event: str, timeout: float = 120) -> dict:
        """Returns the next frame of a kind; others before it are dropped."""
        return self.collect(event, timeout)[-1]

    def collect(self, event: str, timeout: float = 120) -> "list[dict]":
        """Returns the frames up to the next one of a kind."""
        frames = []
        end = time.monotonic() + timeout
        while True:
            frame = self.frames.get(timeout=max(0.001, end - time.monotonic()))
            if frame is None:
                raise Failed("the runner ended: " + self.output["stderr"].decode("utf-8", "replace"))
            frames.append(frame)
            if frame["ev"] == "attachFailed" and event != "attachFailed":
                raise Failed(frame["error"])
            if frame["ev"] == event:
                return frames

    def run(self, code: str, cell: str = "cell", timeout: float = 120) -> "list[dict]":
        """Runs a cell and returns its frames, the done frame last."""
        self.send({"op": "run", "id": cell, "code": code})
        return self.collect("done", timeout)

    def read(self, stream: str, timeout: float = 20, until=None) -> str:
        """Takes what a stream has; waits until the text satisfies a condition."""
        end = time.monotonic() + timeout
        with self.grown:
            while until is not None and not until(self.output[stream].decode("utf-8", "replace")):
                if not self.grown.wait(max(0.001, end - time.monotonic())):
                    break
            text = self.output[stream].decode("utf-8", "replace")
            self.output[stream].clear()
            return text

    def close(self) -> int:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            pass
        self._socket.close()
        if self.process.poll() is None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()


class Driver:
    """A JVM process."""

    def __init__(self, command: "list[str]", env: dict, cwd: str, apart: bool = False):
        """Starts it; what it prints goes to its log, or with apart to a file of its own."""
        events_r, events_w = os.pipe()

        def passed():
            os.dup2(events_w, 3)

        self.log = open(os.path.join(cwd, "driver.log"), "wb")
        self.printed = os.path.join(cwd, "driver.out")
        with open(self.printed, "wb") as printed:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=printed if apart else self.log, stderr=self.log, env=env, cwd=cwd, close_fds=False, preexec_fn=passed)
        os.close(events_w)
        self.events: "queue.Queue[dict | None]" = queue.Queue()
        self.seen: "list[dict]" = []
        threading.Thread(target=self._receive, args=(events_r,), daemon=True).start()

    def _receive(self, fd):
        with os.fdopen(fd, "rb") as stream:
            for line in stream:
                event = json.loads(line)
                event["at"] = time.monotonic()
                self.seen.append(event)
                self.events.put(event)
        self.events.put(None)

    def send(self, command: dict) -> None:
        self.process.stdin.write((json.dumps(command) + "\n").encode())
        self.process.stdin.flush()

    def wait(self, name: str, timeout: float = 180) -> dict:
        end = time.monotonic() + timeout
        while True:
            event = self.events.get(timeout=max(0.001, end - time.monotonic()))
            if event is None:
                with open(self.log.name, "rb") as log:
                    raise Failed("the driver ended: " + log.read()[-4000:].decode("utf-8", "replace"))
            if event["ev"] == "failed" and name != "failed":
                raise Failed(event["error"] + "\n" + event["detail"])
            if event["ev"] == name:
                return event

    def close(self, timeout: float = 300) -> int:
        """Asks it to stop and waits; with an archive to write that takes a while."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.log.close()
        return code


class Session:
    """A driver and a runner, started together as the shim does."""

    def __init__(self, runtime: dict, flags: "list[str] | None" = None, properties: "dict[str, str] | None" = None,
                 env: "dict[str, str] | None" = None, heap: str = "1g", connect: bool = True, wait: bool = True, language: str = "", waits: str = ""):
        """With waits, "context" or "properties", the driver waits to be claimed: see claim."""
        self.work = tempfile.TemporaryDirectory(prefix="glaux-")
        cwd = self.work.name
        self.socket = os.path.join(cwd, "connect.sock")
        self.secret = "secret-of-this-session"
        self._connect = connect
        conf = os.path.join(cwd, "spark.json")
        with open(conf, "w") as file:
            json.dump({"spark.master": "local[2]", "spark.sql.warehouse.dir": os.path.join(cwd, "warehouse"), **(properties or {})}, file)
        base = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SPARK_", "PYSPARK_"))},
            "SPARK_HOME": runtime["sparkHome"],
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": runtime["python"],
            "PYTHONPATH": os.pathsep.join(runtime["pythonPath"]),
            "MALLOC_ARENA_MAX": "2",
            **(env or {}),
        }
        jvm = dict(base)
        if connect:
            jvm.update(GLAUX_CONNECT_SOCKET=self.socket, GLAUX_CONNECT_SECRET=self.secret)
        self.language = language
        self.waits = waits
        self.conf = conf
        command = [runtime["java"], *runtime["flags"], *(archive_flags(runtime) if flags is None else flags),
                   "-Xmx" + heap, "-Djava.io.tmpdir=" + cwd, "-Dglaux.conf=" + conf, "-Dglaux.language=" + language, "-Dglaux.wait=" + waits, "-cp", os.pathsep.join(runtime["classPath"]), runtime["main"]]
        self.began = time.monotonic()
        self.driver = Driver(command, jvm, cwd, apart=language != "")
        self.runner = Runner(base, cwd, runtime["python"])
        self.ready = 0.0
        if wait:
            self.attach()

    def attach(self, argv: "tuple[str, ...]" = (), display: str = "") -> None:
        """Attaches the runner and waits until both sides are ready."""
        gateway = self.driver.wait("gateway")
        if self.waits == "properties":
            self.driver.wait("waiting")
            self.driver.send({"op": "claim"})
            assert self.driver.wait("claimed")["refused"] == ""
        self.runner.send({"op": "attach", "port": gateway["port"], "secret": gateway["secret"], "argv": list(argv), "display": display, "language": self.language,
                          "rehearse": self.waits == "context"})
        self.driver.wait("ready")
        self.runner.wait("attached")
        self.ready = time.monotonic() - self.began
        if self._connect:
            self.driver.wait("connect")
        if self.waits == "context":
            self.driver.wait("waiting")

    def claim(self, settings: "dict[str, str] | None" = None, argv: "tuple[str, ...]" = (), display: str = "") -> None:
        """Makes a driver that waits with its context a session's."""
        self.driver.send({"op": "claim", "settings": settings or {}})
        refused = self.driver.wait("claimed")["refused"]
        if refused:
            raise Failed(refused)
        self.runner.send({"op": "claim", "argv": list(argv), "display": display, "name": (settings or {}).get("spark.app.name", "")})
        self.runner.wait("claimed")

    def run(self, code: str, cell: str = "cell", timeout: float = 180) -> "list[dict]":
        return self.runner.run(code, cell, timeout)

    def must(self, code: str, cell: str = "cell") -> None:
        """Runs a cell that has to succeed."""
        done = self.run(code, cell)[-1]
        if not done["ok"]:
            raise Failed("\n".join(done["error"]["traceback"]))

    def close(self) -> int:
        self.runner.close()
        code = self.driver.close()
        self.work.cleanup()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def archive_flags(runtime: dict) -> "list[str]":
    """The flags that use the runtime's archive."""
    if not runtime.get("archive"):
        return []
    return ["-XX:SharedArchiveFile=" + runtime["archive"], "-Xlog:cds=off", "-Xlog:cds+dynamic=off", "-Dglaux.archive=" + runtime["archive"]]
