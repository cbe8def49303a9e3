"""The Spark UI of a session: GetResourceDashboard, the ticket, the live UI, its history."""

import io
import pathlib
import re
import urllib.parse
import zipfile

import pytest
import urllib3
from conftest import Remote, Server, Spark, wait_for
from test_workgroups import refused

# Code that prints what a session keeps to itself.
SECRETS = """
import os
jvm = sc._jvm.System.getenv()
print("\\n".join([jvm["GLAUX_UI_SECRET"], jvm["GLAUX_CONNECT_SECRET"], os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"], sc.getConf().get("spark.authenticate.secret")]))
"""


class Browser:
    """What a browser does with the URL of a dashboard, without a resolver: *.localhost is this machine."""

    def __init__(self, server):
        self.server = server
        self.host = None
        self.cookie = None

    def get(self, path, method="GET", host=None, cookie=None, **headers):
        headers["Host"] = host or self.host
        if cookie or self.cookie:
            headers["Cookie"] = cookie or self.cookie
        return urllib3.request(method, self.server.url + path, headers=headers, redirect=False, retries=False, timeout=90)

    def open(self, url):
        """Use the ticket and keep the cookie."""
        parts = urllib.parse.urlsplit(url)
        self.host = parts.netloc
        reply = self.get(f"{parts.path}?{parts.query}")
        if "set-cookie" in reply.headers:
            self.cookie = reply.headers["set-cookie"].split(";")[0]
        return reply

    def page(self, path):
        """A page that must come, waiting for those that ask to."""
        reply = wait_for(f"{path} answers", 60, lambda: (r := self.get(path)).status != 503 and r)
        assert reply.status == 200, (path, reply.status, reply.data[:2000])
        return reply.data.decode()


def arn(server, session, workgroup="spark"):
    account = server.client("sts").get_caller_identity()["Account"]
    return f"arn:aws:athena:{server.env['AWS_REGION']}:{account}:workgroup/{workgroup}/session/{session}"


def url_of(server, session, workgroup="spark"):
    return server.client("athena").get_resource_dashboard(ResourceARN=arn(server, session, workgroup))["Url"]


@pytest.fixture(scope="module")
def browser(server, spark):
    """A browser that has opened the UI of the module's session."""
    spark.run("print(spark.range(1000, numPartitions=2).selectExpr('sum(id)').collect())")
    b = Browser(server)
    reply = b.open(url_of(server, spark.id))
    assert (reply.status, reply.headers["location"]) == (303, "/"), reply.data
    return b


def test_live_pages(browser):
    for path, words in {
        "/jobs/": "Completed Jobs", "/stages/": "Stages for All Jobs", "/SQL/": "Completed Queries", "/executors/": "Executors",
        "/environment/": "Runtime Information", "/storage/": "Storage", "/connect/": "Spark Connect", "/StreamingQuery/": "Streaming",
    }.items():
        assert words in browser.page(path), path
    reply = browser.get("/")
    assert (reply.status, reply.headers["location"]) == (302, "/jobs/")


def test_links_and_assets_stay_on_the_host(browser):
    found = set(re.findall(r'(?:href|src)="(/[^"]*)"', browser.page("/jobs/")))
    assert len(found) > 15
    for path in found:
        path = path.replace("&amp;", "&").split("#")[0]
        reply = browser.get(path)
        assert reply.status in (200, 302), (path, reply.status)


def test_rest(browser, spark):
    apps = browser.get("/api/v1/applications").json()
    assert len(apps) == 1
    jobs = browser.get(f"/api/v1/applications/{apps[0]['id']}/jobs").json()
    assert {j["status"] for j in jobs} == {"SUCCEEDED"}
    assert browser.get("/api/v1/applications/local-1/jobs").status == 404


def test_environment_is_redacted(server, spark, browser):
    text = browser.page("/environment/")
    # What only this session knows is asked of itself.
    secrets = spark.run(SECRETS)[0].split()
    assert len(secrets) == 4
    app = browser.get("/api/v1/applications").json()[0]["id"]
    api = browser.get(f"/api/v1/applications/{app}/environment").data.decode()
    for secret in secrets:
        assert secret not in text and secret not in api


def test_a_clients_token_is_redacted(server):
    """pyspark tells its session where it is connected to, with the token that the URL carries."""
    s = Spark(server, workgroup="spark35")
    try:
        remote = Remote(server, s.id)
        endpoint = remote.endpoint()
        remote.run("spark.range(10).count()", url=remote.url(endpoint))
        b = Browser(server)
        b.open(url_of(server, s.id, "spark35"))
        b.page("/SQL/")
        texts = [reply.data for n in range(4) if (reply := b.get(f"/SQL/execution/?id={n}")).status == 200]
        texts += [b.page(path).encode() for path in ("/jobs/", "/connect/", "/environment/")]
        logs = [f.read_bytes() for f in (server.data / "history" / s.id).rglob("*") if f.is_file()]
        assert any(b"spark.remote" in t for t in texts) and any(b"spark.remote" in t for t in logs)
        for text in texts + logs:
            assert endpoint["AuthToken"].encode() not in text
    finally:
        s.end()


def test_replies_are_hardened(browser):
    reply = browser.get("/jobs/")
    assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in reply.headers
    cross = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    assert browser.get("/api/v1/applications", **cross).status == 403


def test_nothing_can_be_changed(browser):
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        reply = browser.get("/jobs/job/kill/?id=1", method)
        assert reply.status == 405 and reply.headers["allow"] == "GET, HEAD", method
    for path in ("/jobs/job/kill/?id=1", "/stages/stage/kill/?id=1", "/jobs/job/%6bill/?id=1"):
        assert browser.get(path).status == 405, path
    assert browser.get("/jobs/", "HEAD").status == 200


def is_page(reply, status):
    text = reply.data.decode()
    assert reply.status == status, text
    assert "<h1>" in text and "Exception" not in text and "\tat " not in text
    return text


def test_ticket_is_good_once_and_for_its_session(server, spark, browser):
    url = url_of(server, spark.id)
    first = Browser(server)
    reply = first.open(url)
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Domain" not in cookie and "Path=/" in cookie
    assert "ticket" not in reply.headers["location"]
    assert "no longer good" in is_page(Browser(server).open(url), 403)

    stranger = Browser(server)
    stranger.host = browser.host
    is_page(stranger.get("/jobs/"), 403)
    is_page(stranger.get("/jobs/", cookie="glaux-ui=nonsense"), 403)
    is_page(stranger.get("/_glaux/enter?ticket=nonsense"), 403)
    is_page(stranger.get("/_glaux/enter"), 403)

    other = "00000000-1111-4222-8333-444444444444" + browser.host[36:]
    is_page(browser.get("/jobs/", host=other), 403)
    # A foreign ticket is refused and not used up.
    fresh = url_of(server, spark.id)
    ticket = urllib.parse.urlsplit(fresh).query
    is_page(stranger.get("/_glaux/enter?" + ticket, host=other), 403)
    assert Browser(server).open(fresh).status == 303
    is_page(stranger.get("/", host="nonsense" + browser.host[36:]), 404)


def test_another_sessions_cookie_is_not_good(server, spark, browser):
    two = Spark(server)
    try:
        b = Browser(server)
        assert b.open(url_of(server, two.id)).status == 303
        is_page(b.get("/jobs/", host=browser.host), 403)
        is_page(browser.get("/jobs/", host=b.host), 403)
        two.wait("IDLE")
        assert "Spark Jobs" in b.page("/jobs/")
    finally:
        two.end()


def test_a_context_that_is_started_anew(server):
    s = Spark(server)
    s.wait("IDLE")
    try:
        b = Browser(server)
        b.open(url_of(server, s.id))
        first = b.page("/jobs/") and b.get("/api/v1/applications").json()[0]["id"]
        s.run("sc.stop()")
        wait_for("the UI says that there is none", 30, lambda: b.get("/jobs/").status == 503)
        assert "SparkContext" in is_page(b.get("/jobs/"), 503)
        s.run("from pyspark.sql import SparkSession\nspark = SparkSession.builder.getOrCreate()\nprint(spark.range(5).count())")
        b.page("/jobs/")
        assert b.get("/api/v1/applications").json()[0]["id"] != first
    finally:
        s.end()


def test_refusals(server, spark):
    athena = server.client("athena")
    good = arn(server, spark.id)

    def ask(resource):
        return lambda: athena.get_resource_dashboard(ResourceARN=resource)

    refused(ask(good.replace(spark.id, "00000000-1111-4222-8333-444444444444")), "ResourceNotFoundException", "is not found")
    refused(ask(arn(server, spark.id, "spark35")), "ResourceNotFoundException", "is not found")
    for bad in (good.split("/session/")[0], spark.id, good.replace("us-east-1", "eu-west-1"), good + "/x",
                good.replace(":athena:", ":glue:"), re.sub(r":\d{12}:", ":123456789012:", good)):
        refused(ask(bad), "InvalidRequestException", "is not the ARN of a session")
    quiet = Spark(server, MonitoringConfiguration={"ManagedLoggingConfiguration": {"Enabled": False}})
    try:
        refused(ask(arn(server, quiet.id)), "InvalidRequestException", "managed logging is not enabled")
    finally:
        quiet.end()


def history_process(server):
    """The pid of the process that shows ended sessions, of this server."""
    for pid in pathlib.Path("/proc").iterdir():
        try:
            words = (pid / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"glaux.HistoryServer" in words and any(w.startswith(f"-Djava.io.tmpdir={server.data}/".encode()) for w in words):
            return int(pid.name)
    return None


def test_history_of_an_ended_session(own_server):
    server = own_server
    s = Spark(server)
    s.wait("IDLE")
    s.run("print(spark.range(1000, numPartitions=2).selectExpr('sum(id)').collect())")
    secrets = s.run(SECRETS)[0].split()
    b = Browser(server)
    b.open(url_of(server, s.id))
    live = {path: b.page(path) for path in ("/jobs/", "/stages/", "/SQL/", "/executors/", "/connect/", "/environment/")}
    app = b.get("/api/v1/applications").json()[0]["id"]
    jobs = len(b.get(f"/api/v1/applications/{app}/jobs").json())
    assert history_process(server) is None, "nobody has asked for it"
    s.end()

    def links(page):
        return set(re.findall(r'(?:href|src)="(/[a-zA-Z]+/)"', page))

    for path, page in live.items():  # the same browser, the same paths
        past = b.page(path)
        assert links(page) == links(past) and len(links(past)) >= 8, path
    apps = b.get("/api/v1/applications").json()
    assert [a["id"] for a in apps] == [app] and apps[0]["attempts"][0]["completed"]
    assert len(b.get(f"/api/v1/applications/{app}/jobs").json()) == jobs
    assert b.get(f"/api/v1/applications/{app}/logs").data[:2] == b"PK"
    for secret in secrets:
        assert secret not in b.page("/environment/") and secret not in b.page(f"/api/v1/applications/{app}/environment")
    assert b.get("/").headers["location"] == "/jobs/"
    assert b.get("/history/" + app + "/jobs/").headers["location"] == "/jobs/", "as Spark answers every path that it does not know"
    is_page(b.get("/jobs/job/kill/?id=1"), 405)

    # A new link to a session that is over, and a server that is killed meanwhile.
    before = history_process(server)
    assert before
    server.kill()
    wait_for("its process follows it", 20, lambda: history_process(server) is None)
    server.start()
    assert "Spark Jobs" in b.page("/jobs/")
    again = Browser(server)
    assert again.open(url_of(server, s.id)).status == 303
    assert "Completed Jobs" in again.page("/jobs/")

    # Another session that is over does not come in by its cookie, nor by the id of its application.
    two = Spark(server)
    two.wait("IDLE")
    two.run("spark.range(3).count()")
    c = Browser(server)
    c.open(url_of(server, two.id))
    two.end()
    other = c.page("/api/v1/applications")
    assert app not in other
    assert c.get(f"/api/v1/applications/{app}/jobs").status == 404
    is_page(c.get("/jobs/", host=b.host), 403)


def test_history_of_a_driver_that_was_killed(own_server):
    s = Spark(own_server)
    s.wait("IDLE")
    s.run("print(spark.range(10).count())")
    calc = s.start("import os, signal; os.kill(sc._jvm.java.lang.ProcessHandle.current().pid(), signal.SIGKILL)")
    s.finish(calc)
    wait_for("the session has failed", 30, lambda: s.status()["State"] == "FAILED")
    b = Browser(own_server)
    b.open(url_of(own_server, s.id))
    assert "count at" in b.page("/jobs/")
    app = b.get("/api/v1/applications").json()[0]
    assert not app["attempts"][0]["completed"]


LAY = """
import os, pathlib
log = next(pathlib.Path(sc.getConf().get("spark.eventLog.dir").removeprefix("file://")).glob("eventlog_v2_*"))
app = log.name.removeprefix("eventlog_v2_")
for number, target in {2: "/proc/self/environ", 3: "/etc/passwd", 4: "/proc/self/cmdline"}.items():
    (log / f"events_{number}_{app}").symlink_to(target)
os.mkfifo(log / f"events_0_{app}")
(log / "extra").symlink_to("/etc/passwd")
with open(log / f"events_7_{app}.zstd", "wb") as endless:
    endless.truncate(1 << 40)
(log.parent / "eventlog_v2_stolen").symlink_to("../VICTIM", target_is_directory=True)
print("laid")
"""


def test_what_a_session_lays_into_its_event_log_is_not_read(own_server):
    victim, s = Spark(own_server), Spark(own_server)
    for one in (victim, s):
        one.wait("IDLE")
        one.run("print(spark.range(10).count())")
    assert s.run(LAY.replace("VICTIM", victim.id))[0].strip() == "laid"
    victim.end()
    s.end()
    b = Browser(own_server)
    b.open(url_of(own_server, s.id))
    assert "count at" in b.page("/jobs/")
    app = b.get("/api/v1/applications").json()[0]["id"]
    with zipfile.ZipFile(io.BytesIO(b.get(f"/api/v1/applications/{app}/logs").data)) as log:
        files = {n.rsplit("/", 1)[-1]: log.read(n) for n in log.namelist() if not n.endswith("/")}
    assert set(files) == {f"events_1_{app}", f"appstatus_{app}"} and b"SparkListenerJobEnd" in files[f"events_1_{app}"]
    environ = pathlib.Path(f"/proc/{history_process(own_server)}/environ").read_bytes()
    assert b"SPARK_HOME" in environ and b"SECRET" not in environ
    v = Browser(own_server)
    v.open(url_of(own_server, victim.id))
    assert "count at" in v.page("/jobs/"), "nobody is held up"


def test_unused_history_ends(tmp_path):
    server = Server(tmp_path, "--history-idle", "2s").start()
    try:
        s = Spark(server)
        s.wait("IDLE")
        s.run("print(spark.range(10).count())")
        s.end()
        b = Browser(server)
        b.open(url_of(server, s.id))
        b.page("/jobs/")
        assert history_process(server)
        wait_for("nobody looks any more", 30, lambda: history_process(server) is None)
        b.page("/jobs/")
        metrics = urllib3.request("GET", "http://" + server.names["metrics"] + "/metrics").data.decode()
        assert "glaux_history_starts_total 2" in metrics and "glaux_history_running 1" in metrics
        assert 'glaux_ui_requests_total{from="history",status="200"}' in metrics
    finally:
        server.stop()


def test_no_history_without_a_context(server):
    s = Spark(server, EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {"spark.jars": "/nowhere/my.jar"}})
    wait_for("the start fails", 60, lambda: s.status()["State"] == "FAILED")
    b = Browser(server)
    b.open(url_of(server, s.id))
    is_page(b.get("/jobs/"), 404)
