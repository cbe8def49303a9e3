"""The Spark UI of a session in a real browser, live and after its end: every page and every link."""

import json
import os
import pathlib
import urllib.parse

import pytest
from chromium import Chromium
from conftest import Remote, Spark, wait_for
from test_dashboard import url_of

TABS = ("/jobs/", "/stages/", "/storage/", "/environment/", "/executors/", "/SQL/", "/StreamingQuery/", "/connect/")
SHOTS = os.environ.get("GLAUX_TEST_SHOTS")  # a directory for pictures of what was seen

WORK = """
from pyspark.sql import functions as F
df = spark.range(1000, numPartitions=2).withColumn("k", F.col("id") % 3).cache()
df.createOrReplaceTempView("t")
spark.sql("select k, count(*) from t group by k").show()
sc.setJobDescription("a job with an <b>odd</b> name & more")
print(sc.parallelize(range(100), 4).map(lambda v: (v % 3, v)).reduceByKey(lambda a, b: a + b).count())
try:
    sc.parallelize([1]).map(lambda v: 1 // 0).count()
except Exception:
    print("failed as it should")
stream = spark.readStream.format("rate").load().writeStream.format("memory").queryName("ticks").start()
stream.processAllAvailable()
stream.stop()
"""


@pytest.fixture(scope="module")
def chromium():
    c = Chromium()
    yield c
    c.close()


@pytest.fixture(scope="module")
def session(server):
    s = Spark(server, workgroup="spark35")
    s.wait("IDLE")
    s.run(WORK)
    Remote(server, s.id).run("print(spark.range(100).selectExpr('sum(id)').collect())")
    yield s
    if s.status()["State"] not in ("TERMINATED", "FAILED"):
        s.end()


def shot(chromium, name):
    if SHOTS:
        chromium.screenshot(pathlib.Path(SHOTS) / (name + ".png"))


def sound(page, url=None):
    """A page that came, with all that it loads, and has nothing to complain about."""
    assert page.status == 200, (url, page.status, page.url)
    assert all(status < 400 for status in page.replies.values()), (url, {u: s for u, s in page.replies.items() if s >= 400})
    assert not page.complaints, (url, page.complaints)


def kind(url):
    """What a link leads to, with tables that are only sorted or paged in another way taken together."""
    u = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(u.query)
    names = sorted(n if n.rsplit(".", 1)[-1] in ("sort", "desc", "pageSize", "page") else f"{n}={v}" for n, v in query)
    return u.path, tuple(names)


def crawl(chromium, base):
    """Follow every link from the first page on; return the paths seen.

    Of each kind of page two are opened with all that belongs to them; whether the others are there the page asks by itself.
    """
    sound(chromium.go(base + "/"), base)
    seen, todo, opened = {kind(base + "/")}, chromium.links(), {}
    while todo:
        url = todo.pop(0)
        if kind(url) in seen or not url.startswith("http"):
            continue
        seen.add(kind(url))
        assert url.startswith(base + "/"), ("a link leads elsewhere", url)
        path = urllib.parse.urlsplit(url).path
        opened[path] = opened.get(path, 0) + 1
        if opened[path] > 2:
            assert chromium.evaluate(f"fetch({json.dumps(url)}).then(r => r.status)") == 200, url
            continue
        sound(chromium.go(url), url)
        chromium.press("span[class*=expand-], h4.title-table, .expand-details")
        assert not chromium.page.complaints, (url, chromium.page.complaints)
        todo += chromium.links()
    return set(opened)


def unfold(chromium, selector):
    """Show what a page hides behind a heading, unless it is shown: the browser remembers."""
    assert chromium.evaluate(f"document.querySelectorAll({json.dumps(selector)}).length") >= 1, selector
    chromium.press(selector + " .arrow-closed")


def look(chromium, base, name):
    """Look at the tabs, one after the other, as a person does."""
    sound(chromium.go(base + "/"))
    for tab in TABS:
        sound(chromium.click(f"a[href='{tab}']"), tab)
        assert urllib.parse.urlsplit(chromium.page.url).path == tab
        shot(chromium, name + tab.replace("/", "-"))
    words = {
        "/jobs/": ("Completed Jobs", "Failed Jobs", "name & more", "Event Timeline"),
        "/stages/": ("Completed Stages", "Failed Stages"),
        "/SQL/": ("Completed Queries",),
        "/executors/": ("Summary", "Active", "driver", "Task Time"),
        "/connect/": ("Spark Connect", "Session ID"),
        "/StreamingQuery/": ("ticks",),
        "/environment/": ("spark.master", "(redacted)"),
    }
    for path, expected in words.items():
        sound(chromium.go(base + path), path)
        text = chromium.text()
        for word in expected:
            assert word in text, (path, word, text[:3000])
    chromium.go(base + "/jobs/")
    unfold(chromium, "span.expand-application-timeline")
    assert chromium.evaluate("document.querySelectorAll('.vis-timeline').length") >= 1
    sound(chromium.click("a[href^='/jobs/job/']"))
    unfold(chromium, "span.expand-dag-viz")
    assert chromium.evaluate("document.querySelectorAll('#dag-viz-graph svg g.node').length") >= 1
    assert not chromium.page.complaints
    shot(chromium, name + "-dag")


@pytest.fixture(scope="module")
def base(server, session, chromium):
    """The address of the session's UI, which the browser has opened by its link."""
    url = url_of(server, session.id, "spark35")
    page = chromium.go(url)
    sound(page)
    u = urllib.parse.urlsplit(url)
    assert page.url == f"{u.scheme}://{u.netloc}/jobs/"
    assert chromium.evaluate("document.cookie") == ""
    return f"{u.scheme}://{u.netloc}"


def test_live_ui(chromium, base):
    look(chromium, base, "live")
    paths = crawl(chromium, base)
    assert set(TABS) <= paths
    assert {"/jobs/job/", "/stages/stage/", "/SQL/execution/", "/executors/threadDump/", "/storage/rdd/", "/connect/session/"} <= paths


def test_stale_and_foreign_links(server, chromium, session, base):
    def notice(url, words):
        page = chromium.go(url)
        text = chromium.text()
        assert page.status == 403 and words in text and "Exception" not in text, (url, page.status, text)

    used = url_of(server, session.id, "spark35")
    sound(chromium.go(used))
    notice(used, "no longer good")
    shot(chromium, "stale")
    sound(chromium.click("a"))  # whoever is in gets on
    other = Spark(server, workgroup="spark35")
    try:
        mine, theirs = (urllib.parse.urlsplit(url_of(server, s.id, "spark35")) for s in (session, other))
        there = "http://" + theirs.netloc
        assert there != base
        notice(there + "/jobs/", "needs a link")
        notice(f"{there}{mine.path}?{mine.query}", "no longer good")
        notice(f"{base}{theirs.path}?{theirs.query}", "no longer good")
        notice(there + "/jobs/", "needs a link")
        other.wait("IDLE")
        sound(chromium.go(theirs.geturl()))  # it was not used up
        assert chromium.page.url == there + "/jobs/"
    finally:
        other.end()
    sound(chromium.go(base + "/jobs/"))


def test_ended_ui(chromium, session, base):
    sound(chromium.go(base + "/jobs/"))
    session.end()
    # The next click on the page that is open leads to the history.
    sound(chromium.click("a[href='/stages/']"))
    look(chromium, base, "ended")
    live_only = {"/executors/threadDump/", "/executors/heapHistogram/"}
    paths = crawl(chromium, base)
    assert set(TABS) <= paths
    assert {"/jobs/job/", "/stages/stage/", "/SQL/execution/", "/connect/session/"} <= paths
    assert not live_only & paths
