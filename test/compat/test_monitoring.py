"""Logs of sessions: what MonitoringConfiguration takes and reads back, and what arrives where."""

import gzip
import pathlib
import signal
import subprocess
import textwrap
import time

import pytest
from botocore.exceptions import ClientError

from conftest import Server, Spark, wait_for

DEBIAN_AWS = pathlib.Path("/usr/bin/aws")  # version 2, which has "logs tail"
ROLE = "arn:aws:iam::000000000000:role/glaux-session"
OFF = {"ManagedLoggingConfiguration": {"Enabled": False}}
EXECUTOR = "driver"  # Spark's own name of the driver's executor


def refused(text, call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidRequestException", error
    assert text in error["Message"], error


def create(athena, name, monitoring=None):
    configuration = {"ExecutionRole": ROLE, "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"},
                     "ResultConfiguration": {"OutputLocation": "s3://glaux-000000000000/" + name}}
    if monitoring is not None:
        configuration["MonitoringConfiguration"] = monitoring
    return athena.create_work_group(Name=name, Configuration=configuration)


def read(athena, name):
    return athena.get_work_group(WorkGroup=name)["WorkGroup"]["Configuration"].get("MonitoringConfiguration")


def messages(logs, group, **more):
    """Every message of a group, or of the streams that more names."""
    try:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **more)
        return [e["message"] for p in pages for e in p["events"]]
    except logs.exceptions.ResourceNotFoundException:
        return []


def lines(s3, bucket, prefix):
    """The lines of all objects below a prefix, in the order of their keys."""
    out = []
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for o in page.get("Contents", []):
            out += gzip.decompress(s3.get_object(Bucket=bucket, Key=o["Key"])["Body"].read()).decode().splitlines()
    return out


def write(spark, *texts):
    """Write lines to the driver's stderr: one by Python, the rest by the JVM."""
    code = textwrap.dedent(f"""
        import sys
        err = spark.sparkContext._jvm.java.lang.System.err
        texts = {list(texts)!r}
        print(texts[0], file=sys.stderr)
        for t in texts[1:]:
            err.println(t)
        """)
    return spark.run(code)


def test_workgroup_reads_back(athena):
    on = {
        "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/team/spark", "LogStreamNamePrefix": "p",
                                           "LogTypes": {"SPARK_DRIVER": [], "SPARK_EXECUTOR": ["STDOUT", "STDERR"]}},
        "ManagedLoggingConfiguration": {"Enabled": True, "KmsKey": "arn:aws:kms:us-east-1:000000000000:key/k"},
        "S3LoggingConfiguration": {"Enabled": True, "KmsKey": "alias/k", "LogLocation": "s3://logs/prefix/"},
    }
    create(athena, "monitored", on)
    assert read(athena, "monitored") == on
    off = {"CloudWatchLoggingConfiguration": {"Enabled": False}, "ManagedLoggingConfiguration": {"Enabled": False},
           "S3LoggingConfiguration": {"Enabled": False}}
    athena.update_work_group(WorkGroup="monitored", ConfigurationUpdates={"MonitoringConfiguration": off})
    assert read(athena, "monitored") == OFF
    one = {"S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://logs"}}
    athena.update_work_group(WorkGroup="monitored", ConfigurationUpdates={"MonitoringConfiguration": one})
    assert read(athena, "monitored") == one
    athena.update_work_group(WorkGroup="monitored", Description="x")
    assert read(athena, "monitored") == one
    create(athena, "unmonitored")
    assert read(athena, "unmonitored") is None


BAD = {
    "S3 without a location": ({"S3LoggingConfiguration": {"Enabled": True}}, "logLocation"),
    "no S3 location": ({"S3LoggingConfiguration": {"Enabled": True, "LogLocation": "/tmp/logs"}}, "ogLocation"),
    "a bucket with dots": ({"S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://a.b/c"}}, "ogLocation"),
    "a bucket that is too short": ({"S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://ab"}}, "ogLocation"),
    "the documentation's own sample": ({"CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/x/${workgroup}"}}, "ogGroup"),
    "a reserved group": ({"CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/glaux/managed/spark"}}, "reserved"),
    "a group of AWS": ({"CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "aws/spark"}}, "LogGroup"),
    "a prefix with a colon": ({"CloudWatchLoggingConfiguration": {"Enabled": True, "LogStreamNamePrefix": "a:b"}}, "ogStreamNamePrefix"),
    "an unknown process": ({"CloudWatchLoggingConfiguration": {"Enabled": True, "LogTypes": {"SPARK": ["STDERR"]}}}, "SPARK"),
    "an unknown stream": ({"CloudWatchLoggingConfiguration": {"Enabled": True, "LogTypes": {"SPARK_DRIVER": ["stderr"]}}}, "stderr"),
    "a bad key": ({"ManagedLoggingConfiguration": {"Enabled": True, "KmsKey": "k"}}, "msKey"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_monitoring_is_refused(athena, name):
    monitoring, text = BAD[name]
    refused(text, create, athena=athena, name="refused", monitoring=monitoring)
    with pytest.raises(ClientError):
        athena.get_work_group(WorkGroup="refused")
    before = athena.list_sessions(WorkGroup="spark")["Sessions"]
    refused(text, athena.start_session, WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 2}, MonitoringConfiguration=monitoring)
    assert athena.list_sessions(WorkGroup="spark")["Sessions"] == before
    was = read(athena, "spark")
    refused(text, athena.update_work_group, WorkGroup="spark", ConfigurationUpdates={"MonitoringConfiguration": monitoring})
    assert read(athena, "spark") == was


def test_managed_logs_are_read_by_filter(server, spark):
    logs = server.client("logs")
    group = "/glaux/managed/spark"
    write(spark, "managed by python", "managed by the JVM", "  at a.stack(Trace.java:1)")
    spark.run("print('to stdout')")
    stream = f"{spark.id}/{EXECUTOR}/stderr"
    got = wait_for("lines in the managed group", 10, lambda: (
        lambda m: m if "  at a.stack(Trace.java:1)" in m else None)(messages(logs, group, logStreamNames=[stream])))
    # The JVM's lines in their order; Python's, of another descriptor, anywhere.
    assert [m for m in got if m in ("managed by the JVM", "  at a.stack(Trace.java:1)")] == ["managed by the JVM", "  at a.stack(Trace.java:1)"]
    wait_for("Python's line", 10, lambda: "managed by python" in messages(logs, group, logStreamNames=[stream]))
    wait_for("stdout too", 10, lambda: "to stdout" in messages(logs, group, logStreamNamePrefix=spark.id + "/"))
    spark.run(textwrap.dedent("""
        from pyspark.sql.functions import udf

        @udf("int")
        def shout(x):
            import sys
            print("from a worker", file=sys.stderr, flush=True)
            return 1

        spark.range(1).select(shout("id")).collect()
        """))
    wait_for("what a Python worker says", 10, lambda: "from a worker" in messages(logs, group, logStreamNames=[stream]))
    with pytest.raises(ClientError):
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[{"timestamp": int(time.time() * 1000), "message": "x"}])
    assert "MonitoringConfiguration" not in server.client("athena").get_session(SessionId=spark.id)


def test_credentials_do_not_arrive(server, spark):
    logs = server.client("logs")
    out, _ = spark.run(textwrap.dedent("""
        import json, os, sys, urllib.request
        ask = urllib.request.Request(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
        given = json.load(urllib.request.urlopen(ask))
        for secret in (os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"], given["SecretAccessKey"], given["Token"]):
            print("secret:", secret, file=sys.stderr)
            print("x" * (256 * 1024 - 20) + " " + secret, file=sys.stderr)
            print(secret)
        print("Authorization: Bearer 0123", file=sys.stderr)
        print("after the secrets", file=sys.stderr)
        """))
    secrets = out.split()  # the result is the user's own
    assert len(secrets) == 3 and all(len(s) >= 40 for s in secrets)

    def arrived():
        all_of_it = messages(logs, "/glaux/managed/spark", logStreamNamePrefix=spark.id + "/")
        return all_of_it if "after the secrets" in all_of_it else None

    text = "".join(wait_for("what came after the secrets", 20, arrived))
    for s in secrets:
        for part in (s, s[:20], s[-20:]):
            assert part not in text
    assert text.count("[hidden]") == 10 and "Authorization: [hidden]" in text


@pytest.fixture
def place(s3):
    try:
        s3.create_bucket(Bucket="session-logs")
    except s3.exceptions.BucketAlreadyOwnedByYou:
        pass
    return "session-logs"


def test_all_three_targets(server, s3, place):
    """A session with CloudWatch and S3 logging, over the workgroup's own configuration, to its end."""
    athena, logs = server.client("athena"), server.client("logs")
    create(athena, "three", {"S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://session-logs/of/"},
                             "CloudWatchLoggingConfiguration": {"Enabled": True}})
    s = Spark(server, workgroup="three", MonitoringConfiguration={
        "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/team/three", "LogStreamNamePrefix": "pre", "LogTypes": {"SPARK_DRIVER": ["STDERR"]}}})
    got = athena.get_session(SessionId=s.id)["MonitoringConfiguration"]
    assert got["S3LoggingConfiguration"]["LogLocation"] == "s3://session-logs/of/"
    assert got["CloudWatchLoggingConfiguration"]["LogGroup"] == "/team/three"
    wait_for("the log group is there before anything is written", 20, lambda: logs.describe_log_groups(logGroupNamePrefix="/team/three")["logGroups"])
    s.wait("IDLE")
    write(s, *(f"line {i}" for i in range(2000)))
    s.run("print('only stdout')")
    s.end()
    stream = f"pre/{s.id}/{EXECUTOR}/stderr"
    numbered = [f"line {i}" for i in range(2000)]
    # Complete once the session is over, without a further wait.
    assert sorted(m for m in messages(logs, "/team/three", logStreamNames=[stream]) if m.startswith("line ")) == sorted(numbered)
    assert [x["logStreamName"] for x in logs.describe_log_streams(logGroupName="/team/three")["logStreams"]] == [stream]
    below = f"of/{s.id}/SPARK_DRIVER/"
    in_s3 = [m for m in lines(s3, place, below + "stderr/") if m.startswith("line ")]
    assert in_s3[-1999:] == numbered[1:] and "line 0" in in_s3 and len(in_s3) == 2000  # the JVM's are in order
    assert "only stdout" in lines(s3, place, below + "stdout/")
    events = [o["Key"] for o in s3.list_objects_v2(Bucket=place, Prefix=f"of/{s.id}/eventlog/")["Contents"]]
    text = b"".join(s3.get_object(Bucket=place, Key=k)["Body"].read() for k in events)
    assert b"SparkListenerApplicationEnd" in text, events
    # With S3 logging on, what the processes write goes there instead of into managed logging, as on AWS.
    assert messages(logs, "/glaux/managed/three", logStreamNamePrefix=s.id) == []
    assert messages(logs, "/aws-athena/three") == []


def test_missing_bucket_is_told(server, s3):
    logs = server.client("logs")
    s = Spark(server, MonitoringConfiguration={"S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://not-there/logs"}})
    s.wait("IDLE")
    write(s, "lost", "words")
    began = time.monotonic()
    s.end()
    assert time.monotonic() - began < 20  # nobody waits for a bucket that is not there
    told = messages(logs, "/glaux/managed/spark", logStreamNames=[s.id + "/delivery"])
    assert any("s3://not-there/logs" in m and "bucket does not exist" in m for m in told), told


def test_roles_own_rules_hold_for_its_logs(tmp_path):
    """A role that may write results, but not logs."""
    rules = tmp_path / "glaux.yaml"
    rules.write_text(textwrap.dedent("""
        roles:
          - name: quiet
            allow:
              - actions: ["athena:*"]
              - actions: ["s3:*"]
                resources: ["arn:aws:s3:::glaux-000000000000", "arn:aws:s3:::glaux-000000000000/*"]
        """))
    server = Server(tmp_path, "--config", rules).start()
    try:
        server.client("s3").create_bucket(Bucket="not-for-you")
        s = Spark(server, ExecutionRole="arn:aws:iam::000000000000:role/quiet", MonitoringConfiguration={
            "S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://not-for-you/x"},
            "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/not/for/you"}})
        s.wait("IDLE")
        write(s, "one", "two")
        s.end()
        logs = server.client("logs")
        told = messages(logs, "/glaux/managed/spark", logStreamNames=[s.id + "/delivery"])
        for place in ("s3://not-for-you/x", "/not/for/you"):
            assert any(place in m and "role may not write" in m for m in told), told
        assert server.client("s3").list_objects_v2(Bucket="not-for-you")["KeyCount"] == 0
        assert logs.describe_log_groups(logGroupNamePrefix="/not")["logGroups"] == []
    finally:
        assert server.stop().returncode == 0


def test_logs_survive_kills(own_server):
    """kill -9 in the middle: everything arrives, in order; only what was under way may come twice."""
    s3 = own_server.client("s3")
    s3.create_bucket(Bucket="killed")
    s = Spark(own_server, MonitoringConfiguration={
        "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/killed"},
        "S3LoggingConfiguration": {"Enabled": True, "LogLocation": "s3://killed/x"}})
    s.wait("IDLE")
    calc = s.start(textwrap.dedent("""
        import time
        err = spark.sparkContext._jvm.java.lang.System.err
        for i in range(400):
            err.println(f"line {i}")
            time.sleep(0.02)
        """))
    stream = f"{s.id}/{EXECUTOR}/stderr"
    logs = own_server.client("logs")
    for n in (20, 100):
        wait_for(f"line {n} arrives", 30, lambda: f"line {n}" in messages(logs, "/killed", logStreamNames=[stream]))
        own_server.kill(signal.SIGKILL)
        time.sleep(1)  # lines that only the driver keeps
        own_server.start()
        logs = own_server.client("logs")
    athena = own_server.client("athena")
    wait_for("the calculation is over", 60, lambda: athena.get_calculation_execution_status(
        CalculationExecutionId=calc)["Status"]["State"] == "COMPLETED")
    athena.terminate_session(SessionId=s.id)
    wait_for("the session is over", 60, lambda: athena.get_session_status(SessionId=s.id)["Status"]["State"] == "TERMINATED")
    numbered = [f"line {i}" for i in range(400)]
    for got in (messages(logs, "/killed", logStreamNames=[stream]), lines(own_server.client("s3"), "killed", f"x/{s.id}/SPARK_DRIVER/stderr/")):
        got = [m for m in got if m.startswith("line ")]
        assert list(dict.fromkeys(got)) == numbered
        assert len(got) < 500


def test_elsewhere_and_down(own_server, tmp_path_factory):
    """CloudWatch logging that leads to another server, which is away for a while."""
    there = own_server
    here = Server(tmp_path_factory.mktemp("here"), "--logs-endpoint", there.url,
                  "--logs-access-key", there.env["AWS_ACCESS_KEY_ID"], "--logs-secret-key", there.env["AWS_SECRET_ACCESS_KEY"]).start()
    try:
        s = Spark(here, MonitoringConfiguration={"CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/from/elsewhere"}})
        s.wait("IDLE")
        stream = f"{s.id}/{EXECUTOR}/stderr"
        write(s, "before", "line 0")
        wait_for("the first lines", 10, lambda: "line 0" in messages(there.client("logs"), "/from/elsewhere", logStreamNames=[stream]))
        there.kill(signal.SIGTERM)
        write(s, "while it is away", *(f"line {i}" for i in range(1, 50)))
        # The other targets do not wait.
        wait_for("the managed logs", 10, lambda: "line 49" in messages(here.client("logs"), "/glaux/managed/spark", logStreamNames=[stream]))
        there.start()
        s.end()
        got = [m for m in messages(there.client("logs"), "/from/elsewhere", logStreamNames=[stream]) if m.startswith("line ")]
        assert got == [f"line {i}" for i in range(50)]
        assert messages(here.client("logs"), "/from/elsewhere") == []
    finally:
        assert here.stop().returncode == 0


def test_tail_follows_the_drivers_streams(server):
    """Version 2 of the AWS CLI shows both of the driver's streams while they are written, and misses no line of either."""
    s = Spark(server, MonitoringConfiguration={"CloudWatchLoggingConfiguration": {
        "Enabled": True, "LogGroup": "/tail/follow", "LogTypes": {"SPARK_DRIVER": []}}})
    logs = server.client("logs")
    wait_for("the group is there", 20, lambda: logs.describe_log_groups(logGroupNamePrefix="/tail/follow")["logGroups"])
    env = {"PATH": "/usr/bin:/bin", "HOME": str(server.tmp), **server.env, "AWS_PAGER": "", "PYTHONUNBUFFERED": "1"}
    tail = subprocess.Popen([DEBIAN_AWS, "--endpoint-url", server.url, "logs", "tail", "/tail/follow", "--follow", "--format", "short"], env=env, text=True, stdout=subprocess.PIPE)
    try:
        s.wait("IDLE")
        calc = s.start(textwrap.dedent("""
            import time
            system = spark.sparkContext._jvm.java.lang.System
            out, err = system.out, system.err
            for i in range(1000):
                out.println(f"out {i:04}")
                err.println(f"err {i:04}")
                time.sleep(0.01)
            time.sleep(1)
            err.println("written while it runs")
            time.sleep(60)
            """))
        wait_for("the line is in the log", 40, lambda: "written while it runs" in messages(logs, "/tail/follow"))
        shown = []
        for line in tail.stdout:
            text = line.rstrip("\n")
            if text.endswith("written while it runs"):
                break
            shown.append(text[-8:])
        else:
            raise AssertionError("the tail ended without the line")
        for stream in ("out", "err"):
            assert [x for x in shown if x.startswith(stream + " ")] == [f"{stream} {i:04}" for i in range(1000)]
        assert s.state(calc) == "RUNNING"
    finally:
        tail.terminate()
        tail.wait(10)
        tail.stdout.close()
        s.end()
