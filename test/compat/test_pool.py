"""Sessions that take a driver which waits: for their users like any other, and sooner."""

import json
import os
import pathlib
import re
import signal
import time
import urllib.request

import pytest
from conftest import Remote, Server, Spark, processes, wait_for
from test_dashboard import Browser, url_of
from test_glue_statements import Livy
from test_monitoring import messages, write


def metrics(server):
    text = urllib.request.urlopen(f"http://{server.names['metrics']}/metrics").read().decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line and line[0] != "#"}


def ready(server, n=1):
    """Wait until so many drivers wait."""
    wait_for(f"{n} drivers wait", 120, lambda: metrics(server)['glaux_pool_drivers{state="ready"}'] >= n)


def launched(server, tier):
    return metrics(server)[f'glaux_pool_launches_total{{tier="{tier}"}}']


def drivers(server):
    """The processes of sessions, and of drivers that wait."""
    return [p for p, line in processes().items() if str(server.data) in line and ("glaux.Driver" in line or "glaux-shim run" in line)]


def share(pid):
    """The share of contended processors that a driver's control group has; None where the machine has none for it."""
    for line in pathlib.Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "/glaux-" in path:
            for file in (f"/sys/fs/cgroup/{name}{path}/{what}" for name, what in (("cpu", "cpu.shares"), (controllers, "cpu.shares"), ("", "cpu.weight"))):
                if os.path.exists(file):
                    return int(pathlib.Path(file).read_text())
    return None


def record(server, session):
    """What the server's log says of the start of a session."""
    def said():
        for line in (server.tmp / "server.log").read_text().splitlines():
            if "session started" in line and session in line:
                return dict(re.findall(r'(\w+)=("[^"]*"|\S*)', line))
    return wait_for("the log has the start", 10, said)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("pooled"), "--pool-max", "2", "--pool-min", "1").start()
    try:
        yield server
    finally:
        server.stop()
        server.log.close()


def test_a_driver_that_waited_is_the_sessions_own(pooled):
    ready(pooled)
    waits = next(p for p in drivers(pooled) if "-Dglaux.wait" in processes()[p])
    yields = share(waits)
    assert metrics(pooled)["glaux_pool_oldest_seconds"] > 0
    begun = time.time()
    s = Spark(pooled, "spark", EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {
        "spark.sql.shuffle.partitions": "3", "spark.app.name": "mine", "spark.hadoop.fs.s3a.connection.maximum": "17"}})
    try:
        s.wait("IDLE")
        assert launched(pooled, "warm") == 1
        said = record(pooled, s.id)
        assert said["tier"] == "warm" and float(said["total_ms"]) < 2000 and said["missed"] == '""', said
        took = metrics(pooled)
        assert took['glaux_session_start_seconds_count{face="athena",step="total",tier="warm"}'] == 1, took
        assert took['glaux_session_start_seconds_sum{face="athena",step="total",tier="warm"}'] == pytest.approx(float(said["total_ms"]) / 1000, abs=1e-3)
        assert yields is None or share(waits) > 2 * yields  # it gave way to sessions, and is one now
        out, _ = s.run("""
import sys, os
print(spark.conf.get('spark.sql.shuffle.partitions'), spark.newSession().conf.get('spark.sql.shuffle.partitions'), sc.getConf().get('spark.sql.shuffle.partitions'))
print(sc.applicationId, sc.appName, spark.conf.get('spark.app.name'))
print(sc._jsc.hadoopConfiguration().get('fs.s3a.connection.maximum'), spark._jsparkSession.sessionState().newHadoopConf().get('fs.s3a.connection.maximum'))
print(spark.conf.get('spark.sql.warehouse.dir'), dict(r[:2] for r in spark.sql('describe database default').collect())['Location'])
print(sys.argv, os.getcwd().split('/')[-2], 'athena_user_logger' in globals(), 'sqlContext' in globals())
print(spark.sql('show tables').count(), len(spark.catalog.listDatabases()))""")
        lines = out.splitlines()
        assert lines[0] == "3 3 3"
        assert lines[1].endswith(" mine mine")
        assert lines[2] == "17 17"
        assert lines[3] == "s3://glaux-000000000000/spark s3://glaux-000000000000/spark"
        assert lines[4] == f"[''] {s.id} True False"
        assert lines[5] == "0 1"
        s.run("spark.range(5).write.saveAsTable('pooled')\nassert spark.table('pooled').count() == 5")
        keys = [o["Key"] for o in s.s3.list_objects_v2(Bucket="glaux-000000000000", Prefix="spark/pooled/")["Contents"]]
        assert any(k.endswith(".parquet") for k in keys), keys
        # What is counted and shown begins with the session.
        used = s.athena.get_session(SessionId=s.id)["Statistics"]["DpuExecutionInMillis"]
        assert 0 < used <= (time.time() - begun) * 1000 + 100
        executor = s.athena.list_executors(SessionId=s.id)["ExecutorsSummary"][0]
        assert executor["StartDateTime"] / 1000 >= begun - 0.1
        assert Remote(pooled, s.id).run("print(spark.range(7).count(), spark.conf.get('spark.sql.shuffle.partitions'))").strip() == "7 3"
        browser = Browser(pooled)
        browser.open(url_of(pooled, s.id))
        apps = json.loads(browser.page("/api/v1/applications"))
        assert len(apps) == 1 and apps[0]["name"] == "mine"
        assert apps[0]["attempts"][0]["startTimeEpoch"] / 1000 >= begun - 1
        jobs = json.loads(browser.page(f"/api/v1/applications/{apps[0]['id']}/jobs"))
        early = [j for j in jobs if time.mktime(time.strptime(j["submissionTime"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone < begun - 1]
        assert early and all("before the session began" in j.get("description", "") or "glaux-warm-up" in j.get("description", "") for j in early), early
    finally:
        s.end()


def test_logs_begin_with_the_session(pooled):
    ready(pooled)
    begun = time.time()
    s = Spark(pooled, "spark35", EngineConfiguration={"MaxConcurrentDpus": 2}, MonitoringConfiguration={
        "CloudWatchLoggingConfiguration": {"Enabled": True, "LogGroup": "/pooled", "LogTypes": {"SPARK_DRIVER": ["STDOUT", "STDERR"]}}})
    try:
        s.wait("IDLE")
        assert record(pooled, s.id)["tier"] == "warm"
        write(s, "to the log")
        logs = pooled.client("logs")
        wait_for("the line has come", 30, lambda: any("to the log" in m for m in messages(logs, "/pooled")))
        events = logs.filter_log_events(logGroupName="/pooled")["events"]
        assert all(e["timestamp"] / 1000 >= begun - 0.1 for e in events), events
    finally:
        s.end()


def test_glue_sessions_take_it_too(pooled):
    ready(pooled)
    before = launched(pooled, "warm")
    s = Livy(pooled, "warm notebook", DefaultArguments={"--conf": "spark.sql.ansi.enabled=true", "--name": "value"})
    try:
        assert launched(pooled, "warm") == before + 1
        assert s.text("import sys; from awsglue.utils import getResolvedOptions\n"
                      "print(getResolvedOptions(sys.argv, ['name'])['name'], spark.conf.get('spark.sql.ansi.enabled'), sqlContext is not None, "
                      "'athena_user_logger' in globals(), spark.conf.get('spark.sql.warehouse.dir').split('/')[-1])") == "value true True False warehouse"
    finally:
        s.glue.stop_session(Id=s.id)


def test_a_burst_on_two_drivers(pooled):
    ready(pooled)
    warm = launched(pooled, "warm")
    burst = [Spark(pooled, "spark") for _ in range(6)]
    for s in burst:
        s.wait("IDLE")
    said = [record(pooled, s.id) for s in burst]
    tiers = [r["tier"] for r in said]
    assert launched(pooled, "warm") - warm == tiers.count("warm") >= 1 and set(tiers) == {"warm", "cold"}, tiers
    assert all("is taken" in r["missed"] or "has itself waited" in r["missed"] for r in said if r["tier"] == "cold"), said
    # Those that had to be launched were so in their order.
    begun = [s.status()["StartDateTime"].timestamp() + float(r["queue_ms"]) / 1000 for s, r in zip(burst, said) if r["tier"] == "cold"]
    assert all(a < b + 0.01 for a, b in zip(begun, begun[1:])), begun
    for n, s in enumerate(burst):
        assert s.run(f"print({n})")[0] == f"{n}\n"
    for s in burst:
        s.athena.terminate_session(SessionId=s.id)
    ready(pooled, 2)  # and as many wait again as may


def test_what_no_driver_waits_for(pooled):
    ready(pooled)
    own = {"MaxConcurrentDpus": 2, "SparkProperties": {"spark.serializer": "org.apache.spark.serializer.KryoSerializer"}}
    s = Spark(pooled, "spark", EngineConfiguration=own)
    try:
        reason = wait_for("the reason is said", 60, lambda: s.status().get("StateChangeReason"))
        assert "spark.serializer" in reason, reason
        s.wait("IDLE")
        said = record(pooled, s.id)
        assert said["tier"] == "cold" and "spark.serializer" in said["missed"] and float(said["context_ms"]) > 0, said
        assert s.run("print(sc.getConf().get('spark.serializer'))")[0].strip().endswith("KryoSerializer")
    finally:
        s.end()


def test_a_driver_without_a_context_takes_any_property(tmp_path):
    """The third kind of start: everything but the SparkContext was there."""
    server = Server(tmp_path, "--pool-max", "3", "--pool-min", "0").start()
    try:
        first = Spark(server, "spark", EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {"spark.cleaner.periodicGC.interval": "31min"}})
        first.wait("IDLE")
        ready(server, 2)  # one with that property, one that takes any
        s = Spark(server, "spark", EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {
            "spark.serializer": "org.apache.spark.serializer.KryoSerializer", "spark.sql.ui.retainedExecutions": "7"}})
        s.wait("IDLE")
        said = record(server, s.id)
        assert said["tier"] == "primed" and float(said["context_ms"]) > 0, said
        out, _ = s.run("print(sc.getConf().get('spark.serializer').split('.')[-1], spark.conf.get('spark.sql.ui.retainedExecutions'), sc.applicationId, sc.appName, spark.range(9).count(), spark.conf.get('spark.sql.warehouse.dir'))\nspark.range(3).write.mode('overwrite').saveAsTable('primed')")
        assert out.split()[:2] + out.split()[3:] == ["KryoSerializer", "7", "session", s.id, "9", "s3://glaux-000000000000/spark"]
        assert Remote(server, s.id).run("print(spark.table('primed').count())").strip() == "3"
    finally:
        server.stop()
        server.log.close()
    assert not drivers(server)


def test_no_driver_is_left_waiting(tmp_path):
    server = Server(tmp_path, "--pool-max", "1").start()
    try:
        ready(server)
        assert len(drivers(server)) == 2
        server.kill(signal.SIGKILL)
        assert len(drivers(server)) == 2
        waited = drivers(server)
        server.start()  # ends what waited for the other, and has its own
        ready(server)
        wait_for("the old one is gone", 30, lambda: not set(waited) & set(drivers(server)))
        s = Spark(server, "spark")
        s.wait("IDLE")
        assert record(server, s.id)["tier"] == "warm"
        server.kill(signal.SIGTERM)  # the session goes on, what waits does not
        wait_for("only the session is left", 30, lambda: len(drivers(server)) == 2)
        server.start()
        assert s.run("print(6 * 7)")[0].strip() == "42"
        # One that dies while it waits is nobody's.
        ready(server)
        for pid in drivers(server):
            line = processes().get(pid, "")
            if "glaux.Driver" in line and "-Dglaux.wait" in line and s.id not in line:
                os.kill(pid, signal.SIGKILL)
        t = Spark(server, "spark")
        t.wait("IDLE")
        assert t.run("print(1)")[0].strip() == "1"
        assert launched(server, "cold") >= 1 or metrics(server)['glaux_pool_ended_total{why="dead"}'] >= 1
    finally:
        server.stop()
        server.log.close()
    wait_for("nothing is left", 30, lambda: not drivers(server))
