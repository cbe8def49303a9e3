"""Spark Connect: the released pyspark, through the server's proxy, on a real driver."""

import json
import os
import pathlib
import signal
import time

import botocore.exceptions
import pytest

from conftest import Remote, Server, Spark, processes, spark_python, wait_for

SLOW = """
    from pyspark.sql.functions import udf

    @udf("long")
    def slow(n):
        import time
        time.sleep(1)
        return n

    spark.range(1).count()
    print("begun", flush=True)
    print(sum(r[0] for r in spark.range(0, %d, 1, 4).select(slow("id")).collect()))
"""


STREAM = """
    import sys

    total = 0
    for n, row in enumerate(spark.range(0, 500_000, 1, 8).selectExpr(*[f"id + {i} as c{i}" for i in range(8)]).toLocalIterator()):
        if n == 0:
            print("begun", flush=True)
            sys.stdin.readline()
        total += row[0]
    print(n + 1, total)
"""


def begin(remote, rows):
    """A query that takes a second for each row on each of two cores; it runs when this returns."""
    p = remote.start(SLOW % rows)
    assert p.stdout.readline() == "begun\n", remote.finish(p, check=False)
    return p


def test_endpoint_answers_while_the_session_is_made(server):
    s = Spark(server, workgroup="spark35")
    try:
        assert s.status()["State"] in ("CREATING", "CREATED")
        r = Remote(server, s.id)
        e = r.endpoint()
        assert e["EndpointUrl"] == "https://localhost:" + server.connect.rsplit(":", 1)[1]
        assert set(e["AuthToken"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        assert 1700 < e["AuthTokenExpirationTime"].timestamp() - time.time() < 1810
        # The call waits for the session.
        out = r.run("print(spark.range(10).count())", url=r.url(e))
        assert out.split() == ["10"]

        s.end()
        for call in (r.endpoint, lambda: r.athena.get_session_endpoint(SessionId="00000000-0000-0000-0000-000000000000")):
            with pytest.raises(botocore.exceptions.ClientError) as refused:
                call()
            assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
        began = time.monotonic()
        _, err = r.run("spark.range(10).count()", url=r.url(e), check=False)
        assert f"Session not active: session {s.id} is TERMINATED: The session was terminated on request." in err
        assert time.monotonic() - began < 30
    finally:
        s.end()


def test_results_errors_and_settings_come_through(remote):
    out = remote.run("""
        import json
        got = {"version": spark.version}
        spark.conf.set("spark.sql.shuffle.partitions", "3")
        got["partitions"] = spark.conf.get("spark.sql.shuffle.partitions")
        got["rows"] = spark.range(5).selectExpr("id * 2 as d").collect()
        try:
            spark.sql("select nonsense").collect()
        except Exception as e:
            got["error"] = type(e).__name__ + ": " + str(e)
        print(json.dumps(got))
    """)
    got = json.loads(out)
    assert got["version"] == "3.5.6" and got["partitions"] == "3"
    assert got["rows"] == [[0], [2], [4], [6], [8]]
    assert got["error"].startswith("AnalysisException: [UNRESOLVED_COLUMN")


def test_every_call_is_as_a_direct_one(remote, server):
    """Each call recorded straight from the driver's socket and through the proxy, errors and the longest message among them."""
    remote.run("spark.range(1).count()")  # then it is up
    spec = json.loads((server.data / "sessions" / remote.session / "spec.json").read_text())
    env = dict(v.split("=", 1) for v in spec["jvm"]["env"])
    e = remote.endpoint()
    out = server.run(spark_python(), pathlib.Path(__file__).with_name("connect_frames.py"), env["GLAUX_CONNECT_SOCKET"],
                     env["GLAUX_CONNECT_SECRET"], e["EndpointUrl"].removeprefix("https://"), e["AuthToken"],
                     "arn:aws:iam::000000000000:root", check=False)
    assert out.returncode == 0 and "DIFFERS" not in out.stdout, out.stdout + out.stderr[-3000:]
    assert out.stdout.count("same") == 15
    assert "same    the longest Config StatusCode.OK 1" in out.stdout, out.stdout


def test_the_caller_is_the_user_whatever_the_client_claims(remote, server):
    url = remote.url()
    assert remote.run("print(spark.range(2).count())", url=url + ";user_id=mallory").split() == ["2"]
    s = Spark.__new__(Spark)
    s.server, s.athena, s.s3, s.id = server, server.client("athena"), server.client("s3"), remote.session
    out, _ = s.run("""
jobs = sc._jsc.sc().statusStore().jobsList(None)
print(" ".join(jobs.apply(n).jobTags().mkString(" ") for n in range(jobs.size())))
""")
    users = {tag.split("_User_")[1].split("_Session_")[0] for tag in out.split() if "_User_" in tag}
    assert users == {"arn:aws:iam::000000000000:root"}, out


def test_ways_in(remote, server):
    """A host of the session's own, both headers, and what is refused."""
    e = remote.endpoint()
    token, port = e["AuthToken"], server.connect.rsplit(":", 1)[1]
    for url in (f"sc://{remote.session}.sessions.localhost:{port}/;use_ssl=true;x-aws-proxy-auth={token}",
                f"sc://127.0.0.1:{port}/;token={token};x-aws-proxy-port=15002;x-aws-force-h2=true"):
        assert remote.run("print(spark.range(3).count())", url=url).split() == ["3"]
    other = "11111111-1111-1111-1111-111111111111"
    for url, text in ((f"sc://localhost:{port}/;use_ssl=true;x-aws-proxy-auth=nonsense", "the token is not valid"),
                      (f"sc://localhost:{port}/;use_ssl=true;x-aws-proxy-auth={token[:-4]}AAAA", "the token is not valid"),
                      (f"sc://localhost:{port}/;use_ssl=true", "the call carries no token"),
                      (f"sc://{other}.sessions.localhost:{port}/;use_ssl=true;x-aws-proxy-auth={token}", "the token is for another session")):
        began = time.monotonic()
        _, err = remote.run("spark.range(3).count()", url=url, check=False)
        assert "StatusCode.PERMISSION_DENIED" in err and text in err, err[-2000:]
        assert time.monotonic() - began < 30  # it is not tried again and again


def test_restarts_under_a_running_query_and_a_driver_that_dies(own_server):
    s = Spark(own_server, workgroup="spark35")
    r = Remote(own_server, s.id)
    p = begin(r, 8)
    own_server.kill(signal.SIGKILL)
    own_server.start()
    assert r.finish(p)[0].split() == [str(sum(range(8)))]

    p = r.start(STREAM)  # its reader waits, so that the stream stands still in the middle of a message
    assert p.stdout.readline() == "begun\n", r.finish(p, check=False)
    own_server.kill(signal.SIGTERM)
    own_server.start()
    p.stdin.write("\n")
    p.stdin.flush()
    assert r.finish(p)[0].split() == ["500000", str(sum(range(500_000)))]

    p = begin(r, 200)
    java = [pid for pid, line in processes().items() if "glaux.Driver" in line and str(own_server.data) in
            line + open(f"/proc/{pid}/environ").read()]
    assert java
    began = time.monotonic()
    for pid in java:
        os.kill(pid, signal.SIGKILL)
    _, err = r.finish(p, check=False)
    assert f"session {s.id} is FAILED: The session crashed: the java process was killed with signal 9" in err, err[-3000:]
    assert time.monotonic() - began < 20


def test_session_whose_connect_cannot_start_says_why(server):
    s = Spark(server, workgroup="spark35", EngineConfiguration={
        "MaxConcurrentDpus": 2,
        "Classifications": [{"Name": "spark-defaults", "Properties": {"spark.connect.grpc.interceptor.classes": "no.such.Interceptor"}}]})
    try:
        s.wait("IDLE")
        began = time.monotonic()
        _, err = Remote(server, s.id).run("spark.range(1).count()", check=False)
        assert "StatusCode.FAILED_PRECONDITION" in err and "no.such.Interceptor" in err, err[-2000:]
        assert time.monotonic() - began < 30
    finally:
        s.end()


def test_tokens_expire(tmp_path):
    """An expired one is good on the connection that knows it, and nowhere else."""
    server = Server(tmp_path, "--connect-token-life", "18s", "--connect-token-grace", "0s").start()
    try:
        s = Spark(server, workgroup="spark35")
        s.wait("IDLE")
        r = Remote(server, s.id)
        e = r.endpoint()
        p = r.start("""
            import sys
            print(spark.range(1).count(), flush=True)
            sys.stdin.readline()
            print(spark.range(2).count())
        """, url=r.url(e))
        assert p.stdout.readline() == "1\n", r.finish(p, check=False)
        wait_for("token has expired", 30, lambda: time.time() > e["AuthTokenExpirationTime"].timestamp())
        _, err = r.run("spark.range(3).count()", url=r.url(e), check=False)
        assert "StatusCode.PERMISSION_DENIED" in err and "the token has expired" in err, err[-2000:]
        p.stdin.write("\n")
        p.stdin.flush()
        assert r.finish(p)[0] == "2\n"
        assert r.run("print(spark.range(4).count())") == "4\n"  # a new one
    finally:
        server.stop()


def test_endpoint_needs_permission(tmp_path):
    (tmp_path / "config.yaml").write_text("""
users:
  - {name: starter, access-key: AKIASTARTER00000001, secret-key: starter-of-sessions-0001, allow: [{actions: ["athena:StartSession", "athena:GetSession*"]}]}
  - {name: looker, access-key: AKIALOOKER000000001, secret-key: looker-at-sessions-00001, allow: [{actions: ["athena:GetSession", "athena:GetSessionStatus"]}]}
""")
    server = Server(tmp_path, "--config", tmp_path / "config.yaml").start()
    try:
        starter = dict(aws_access_key_id="AKIASTARTER00000001", aws_secret_access_key="starter-of-sessions-0001")
        looker = dict(aws_access_key_id="AKIALOOKER000000001", aws_secret_access_key="looker-at-sessions-00001")
        s = server.client("athena", **starter).start_session(WorkGroup="spark35", EngineConfiguration={"MaxConcurrentDpus": 2})["SessionId"]
        assert Remote(server, s, **starter).endpoint()["AuthToken"]
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            Remote(server, s, **looker).endpoint()
        assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
        assert f"workgroup/spark35/session/{s}" in refused.value.response["Error"]["Message"]
    finally:
        server.stop()
