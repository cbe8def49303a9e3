"""The Spark UI that a driver makes when it is asked for, its event log, and the process that shows it after the end."""

import json
import os
import pathlib
import time
import urllib.error
import urllib.request

import pytest

from glaux_training.session import Driver, Session, archive_flags

SECRET = "the-secret-of-this-ui"


def get(port, path, secret=SECRET, method="GET"):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers={"X-Glaux-Session-Secret": secret} if secret else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, ""


def listens(pid):
    """Addresses that a process listens on, as /proc writes them."""
    inodes = {os.readlink(fd) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()}
    out = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            field = line.split()
            if field[3] == "0A" and f"socket:[{field[9]}]" in inodes:
                out.add(field[1])
    return out


@pytest.fixture(scope="module")
def logged(runtime, tmp_path_factory):
    """A session that keeps an event log, and the directory of it."""
    logs = tmp_path_factory.mktemp("logs")
    properties = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{logs}", "spark.eventLog.rolling.enabled": "true",
        "spark.redaction.regex": "mine", "spark.my.token": "hide-this", "spark.mine": "hide-that", "spark.plain": "AKIAABCDEFGHIJKLMNOP",
        "spark.ui.view.acls": "nobody", "spark.acls.enable": "true", "spark.ui.filters": "no.such.Filter", "spark.ui.port": "4040",
    }
    flags = [*archive_flags(runtime), f"-Dglaux.eventlog.max={400 << 10}"]
    with Session(runtime, flags=flags, properties=properties, env={"GLAUX_UI_SECRET": SECRET}) as session:
        session.must("spark.range(10).count()")
        session.ui = lambda: (session.driver.send({"op": "ui", "n": 7}), session.driver.wait("ui"))[1]["port"]
        session.logs = logs
        yield session


def test_ui_is_made_once_when_asked_for(logged):
    pid = logged.driver.process.pid
    before = listens(pid)
    port = logged.ui()
    assert logged.ui() == port
    new = listens(pid) - before
    assert {int(a.split(":")[1], 16) for a in new} == {port}
    assert all(a.split(":")[0].endswith("0100007F") for a in new), "loopback alone"


def test_only_the_secret_opens_it_and_only_to_read(logged):
    port = logged.ui()
    assert get(port, "/jobs/")[0] == 200
    for secret in (None, "", "wrong", SECRET + "x"):
        for path in ("/jobs/", "/api/v1/applications", "/static/webui.js", "/"):
            assert get(port, path, secret)[0] == 401, (secret, path)
    for method in ("POST", "PUT", "DELETE"):
        assert get(port, "/jobs/job/kill/?id=1", method=method)[0] == 405
    assert "kill" not in get(port, "/jobs/")[1]


def test_secrets_are_redacted_in_pages_and_log(logged):
    port = logged.ui()
    app = json.loads(get(port, "/api/v1/applications")[1])[0]["id"]
    page, rest = get(port, "/environment/")[1], get(port, f"/api/v1/applications/{app}/environment")[1]
    log = "".join(f.read_text() for f in logged.logs.glob("*/events_*"))
    for text in (page, rest, log):
        assert "spark.my.token" in text and "spark.mine" in text and "redacted" in text
        for secret in ("hide-this", "hide-that", "AKIAABCDEFGHIJKLMNOP", SECRET, logged.secret):
            assert secret not in text


def test_streams_are_shown(logged):
    logged.must("""
q = spark.readStream.format("rate").load().writeStream.format("memory").queryName("ticks").start()
q.processAllAvailable()
q.stop()
""")
    assert "ticks" in get(logged.ui(), "/StreamingQuery/")[1]


class History:
    """The process that shows what is over."""

    def __init__(self, runtime, work):
        command = [runtime["java"], *runtime["flags"], *archive_flags(runtime), "-Xmx256m", "-cp", os.pathsep.join(runtime["classPath"]), "glaux.HistoryServer"]
        env = {"GLAUX_UI_SECRET": SECRET, "SPARK_LOCAL_IP": "127.0.0.1", "PATH": os.environ["PATH"]}
        self.driver = Driver(command, env, str(work))
        self.driver.wait("ready")

    def open(self, key, directory):
        self.driver.send({"op": "open", "n": 1, "key": key, "dir": str(directory)})
        while (event := self.driver.events.get(timeout=60))["ev"] not in ("ui", "none", "uiFailed"):
            pass
        return event


@pytest.fixture(scope="module")
def history(runtime, tmp_path_factory):
    made = History(runtime, tmp_path_factory.mktemp("history"))
    yield made
    assert made.driver.close() == 0


def written(directory, *events, app="app-1"):
    """An event log as the code of a session might write it."""
    log = directory / f"eventlog_v2_{app}"
    log.mkdir(parents=True)
    (log / f"appstatus_{app}.inprogress").touch()
    (log / f"events_1_{app}").write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events))
    return directory


BEGIN = (
    {"Event": "SparkListenerLogStart", "Spark Version": "3.5.6"},
    {"Event": "SparkListenerEnvironmentUpdate", "JVM Information": {}, "Spark Properties": {}, "Hadoop Properties": {},
     "System Properties": {}, "Metrics Properties": {}, "Classpath Entries": {}},
    {"Event": "SparkListenerApplicationStart", "App Name": "written", "App ID": "app-1", "Timestamp": 1700000000000, "User": "u"},
)


def test_history_of_what_the_driver_wrote(logged, history):
    event = history.open("one", logged.logs)
    assert event["ev"] == "ui", event
    status, page = get(event["port"], "/jobs/")
    assert status == 200 and "count at" in page
    assert get(event["port"], "/jobs/", None)[0] == 401
    assert history.open("one", logged.logs)["port"] == event["port"]
    history.driver.send({"op": "close", "key": "one"})
    again = history.open("one", logged.logs)
    assert again["ev"] == "ui" and get(again["port"], "/SQL/")[0] == 200


def test_history_of_what_somebody_wrote(history, tmp_path):
    evil = (
        {"Event": "java.util.HashMap"},
        {"Event": "org.apache.spark.SparkConf"},
        '{"Event": "SparkListenerJobEnd", "Event": "javax.swing.JFrame"}',
        {"Event": ["SparkListenerJobEnd"]}, {"Event": "com.zaxxer.hikari.HikariConfig", "metricRegistry": "ldap://127.0.0.1:1/x"},
        "[]", "not json", '{"Event": "SparkListenerJob', "", "{}",
    )
    event = history.open("evil", written(tmp_path / "evil", *BEGIN, *evil))
    assert event["ev"] == "ui", event
    assert "written" in get(event["port"], "/jobs/")[1]
    text = pathlib.Path(history.driver.log.name).read_text()
    assert "HikariConfig" not in text and "JFrame" not in text
    assert history.open("unborn", written(tmp_path / "unborn", BEGIN[0]))["ev"] == "none"
    (tmp_path / "empty").mkdir()
    assert history.open("empty", tmp_path / "empty")["ev"] == "none"
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "eventlog_v2_app-1").symlink_to(tmp_path / "evil" / "eventlog_v2_app-1")
    assert history.open("linked", tmp_path / "linked")["ev"] == "none"
    assert history.open("missing", tmp_path / "missing")["ev"] == "uiFailed"


def test_a_log_that_is_too_long_ends(logged):
    log = pathlib.Path(logged.driver.log.name)
    logged.must("for _ in range(20): spark.range(10).count()")
    text = log.read_text()
    assert "the history of its Spark UI ends here" in text
    size = sum(f.stat().st_size for f in logged.logs.glob("*/events_*"))
    logged.must("for _ in range(5): spark.range(10).count()")
    assert sum(f.stat().st_size for f in logged.logs.glob("*/events_*")) == size < 3 << 20


def test_the_ui_follows_the_context(logged):
    first = logged.ui()
    logged.must("sc.stop()")
    logged.driver.send({"op": "ui", "n": 8})
    assert "no SparkContext" in logged.driver.wait("uiFailed")["error"]
    end = time.monotonic() + 20
    while True:  # it is stopped beside the context
        try:
            get(first, "/jobs/")
        except OSError:
            break
        assert time.monotonic() < end
    logged.must("from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\nsc = spark.sparkContext\nspark.range(3).count()")
    assert get(logged.ui(), "/jobs/")[0] == 200
    assert len(list(logged.logs.glob("eventlog_v2_*"))) == 2


def test_it_ends_with_its_server(runtime, tmp_path):
    made = History(runtime, tmp_path)
    made.driver.process.stdin.close()
    assert made.driver.process.wait(20) == 0
