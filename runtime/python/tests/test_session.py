"""A runner attached to a real driver."""

import json
import os
import subprocess
import sys
import time
import zipfile

from glaux_training import __main__ as training
from glaux_training.session import Session


def output(session, code, cell="cell"):
    """Runs a cell that succeeds and returns what it printed."""
    session.runner.read("stdout")
    done = session.run(code + "\nprint('<end>')", cell)[-1]
    assert done["ok"], done
    return session.runner.read("stdout", until=lambda t: "<end>" in t).replace("<end>\n", "")


def value(session, code):
    """Runs a cell and returns its last expression's text."""
    frames = session.run(code)
    assert frames[-1]["ok"], frames
    return frames[-2]["data"]["text/plain"]


def test_spark_is_there(session):
    assert value(session, "spark.version") == "'3.5.6'"
    assert value(session, "spark.range(10).count()") == "10"
    assert value(session, "sc.parallelize([1, 2, 3]).map(lambda v: v * 2).sum()") == "12"
    assert "| id|" in output(session, "spark.range(2).show()")
    assert value(session, "from pyspark.sql import SparkSession; SparkSession.builder.getOrCreate() is spark or SparkSession.builder.getOrCreate().sparkContext is sc") == "True"
    assert value(session, "import sys; sys.argv") == "['']"


def test_functions_of_cells_run_in_tasks(session):
    session.must("offset = 5\ndef plus(v):\n    return v + offset")
    assert value(session, "from pyspark.sql.functions import udf\nspark.range(3).select(udf(plus, 'int')('id')).collect()") == "[Row(plus(id)=5), Row(plus(id)=6), Row(plus(id)=7)]"


def test_dataframe_value(session):
    data = session.run("spark.range(21)")[-2]["data"]
    assert data["text/plain"] == "DataFrame[id: bigint]" and set(data) == {"text/plain", "application/json"}
    shown = json.loads(data["application/json"])
    assert shown["rows"] == [{"id": i} for i in range(20)] and shown["more"]
    assert shown["schema"]["fields"][0]["name"] == "id"
    code = "spark.sql(\"select date'2026-01-02' d, 1.50BD n, 'ä\\u2028' s, null v\")"
    shown = json.loads(session.run(code)[-2]["data"]["application/json"])
    assert shown["rows"] == [{"d": "2026-01-02", "n": 1.5, "s": "ä\u2028"}] and not shown["more"]


def test_dataframe_that_cannot_be_computed(session):
    frames = session.run("spark.range(1).selectExpr('assert_true(id > 0)')")
    assert frames[-1]["ok"] and set(frames[-2]["data"]) == {"text/plain"}


def test_dataframe_value_as_spark_shows_it(session):
    session.must("spark.conf.set('spark.sql.repl.eagerEval.enabled', True)")
    assert "<table" in session.run("spark.range(1)")[-2]["data"]["text/html"]
    session.must("spark.conf.unset('spark.sql.repl.eagerEval.enabled')")


def test_analysis_error(session):
    error = session.run("spark.sql('select * from nowhere')")[-1]["error"]
    assert error["name"] == "AnalysisException"
    assert error["value"].startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    assert error["traceback"][0] == '  File "<stdin>", line 1, in <module>'


def test_error_in_a_task(session):
    error = session.run("sc.parallelize([1]).map(lambda v: 1 / 0).collect()")[-1]["error"]
    assert "ZeroDivisionError" in error["value"]


def test_interrupt_of_a_job(session):
    began = time.monotonic()
    session.runner.send({"op": "run", "id": "job", "code": "import time\nprint('begun', flush=True)\nsc.parallelize(range(4), 4).map(lambda v: time.sleep(300)).collect()"})
    session.runner.read("stdout", until=lambda t: "begun" in t)
    while session.driver.wait("progress", 30)["group"] != "job":  # before that there is nothing to cancel
        pass
    asked = time.monotonic()
    session.runner.send({"op": "interrupt", "id": "job"})
    session.driver.send({"op": "cancel", "group": "job"})
    done = session.runner.wait("done", 30)
    assert done["interrupted"] is True and not done["ok"]
    assert time.monotonic() - asked < 5, time.monotonic() - began
    assert value(session, "spark.range(7).count()") == "7"
    session.must("sc._jsc.sc().listenerBus().waitUntilEmpty()")  # the count is known before Spark has noted that its job ended
    assert value(session, "len(sc.statusTracker().getActiveJobsIds())") == "0"


def test_interrupt_without_a_job_abandons_the_call(session):
    session.runner.send({"op": "run", "id": "java", "code": "print('begun', flush=True)\nsc._jvm.java.lang.Thread.sleep(600000)"})
    session.runner.read("stdout", until=lambda t: "begun" in t)
    session.runner.send({"op": "interrupt", "id": "java"})
    session.driver.send({"op": "cancel", "group": "java"})
    assert session.runner.wait("done", 30)["interrupted"] is True
    # The next call must not read the abandoned one's answer.
    for n in range(3):
        assert value(session, "spark.range(%d).count()" % (n + 3)) == str(n + 3)


def test_cancel_reaches_jobs_of_threads(session):
    session.must("""
import threading
outcome = []
def work():
    try: sc.parallelize(range(4), 4).map(lambda v: time.sleep(300)).collect(); outcome.append('finished')
    except Exception as e: outcome.append(type(e).__name__)
    finally: over.set()
over = threading.Event()
""")
    session.runner.send({"op": "run", "id": "threads", "code": "t = threading.Thread(target=work); t.start(); over.wait()"})
    deadline = time.monotonic() + 30
    while not any(e["ev"] == "progress" and e["group"] == "threads" for e in list(session.driver.seen)) and time.monotonic() < deadline:
        time.sleep(0.05)
    session.runner.send({"op": "interrupt", "id": "threads"})
    session.driver.send({"op": "cancel", "group": "threads"})
    assert session.runner.wait("done", 30)["interrupted"]
    assert value(session, "over.wait(20); outcome") == "['Py4JJavaError']"


def test_progress(session):
    session.must("sc.parallelize(range(8), 8).map(lambda v: time.sleep(0.2)).count()", "moving")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        seen = [(e["done"], e["total"]) for e in list(session.driver.seen) if e["ev"] == "progress" and e["group"] == "moving"]
        if seen and seen[-1] == (8, 8):
            break
        time.sleep(0.05)
    assert seen[-1] == (8, 8) and len(set(seen)) > 2, seen


def test_streams_and_connect_are_not_the_cells(session):
    env = {**os.environ, "GLAUX_CLIENT_SOCKET": session.socket, "GLAUX_CLIENT_SECRET": session.secret}
    client = [training.__file__.replace("__main__", "connect")]
    assert os.stat(session.socket).st_mode & 0o777 == 0o600
    python = value(session, "sys.executable").strip("'")
    good = subprocess.run([python, *client], env=env, capture_output=True, text=True, timeout=120)
    assert good.returncode == 0 and good.stdout.startswith("10\n"), good.stderr
    bad = subprocess.run([python, *client], env={**env, "GLAUX_CLIENT_SECRET": "wrong"}, capture_output=True, text=True, timeout=120)
    assert bad.returncode != 0 and "UNAUTHENTICATED" in bad.stderr
    none = subprocess.run([python, *client], env={**env, "GLAUX_CLIENT_SECRET": ""}, capture_output=True, text=True, timeout=120)
    assert none.returncode != 0 and "UNAUTHENTICATED" in none.stderr


def test_events(session):
    names = [e["ev"] for e in session.driver.seen]
    assert names[:2] == ["gateway", "context"]
    assert names.index("ready") < names.index("connect"), "cells do not wait for Connect"
    executor = next(e for e in session.driver.seen if e["ev"] == "executor")
    assert (executor["id"], executor["cores"], executor["removed"]) == ("driver", 2, False)
    context = next(e for e in session.driver.seen if e["ev"] == "context")
    assert context["version"] == "3.5.6" and context["appId"].startswith("local-")


def test_lambdas_are_classes_that_java_can_write_and_read(session, runtime):
    """All of them load and verify; what is written is read by Spark's own code as a lambda of Java's, which is written alike."""
    jar = next(path for path in runtime["classPath"] if "/lambdas/" in path)
    with zipfile.ZipFile(jar) as entries:
        made = [name[:-len(".class")].replace("/", ".") for name in entries.namelist() if "$$Closure$" in name]
    assert len(made) > 5000
    session.must("""
def lambdas(names):
    lang = sc._jvm.org.apache.commons.lang3
    bare = sc._jvm.org.objenesis.ObjenesisStd()
    loader = sc._jvm.java.lang.Thread.currentThread().getContextClassLoader()
    capturing = 0
    for number, name in enumerate(names):
        made = lang.ClassUtils.getClass(loader, name, True)
        if [field.getName() for field in made.getDeclaredFields()] == ["ONLY"]:
            one = lang.reflect.FieldUtils.readStaticField(made, "ONLY", True)
        elif number % 5 == 0:  # with nothing, or zero, in the place of what it captures
            one = bare.newInstance(made)
            capturing += 1
        else:
            continue
        written = lang.SerializationUtils.serialize(one)
        read = lang.SerializationUtils.deserialize(written)
        assert read.getClass().getName() != name and lang.SerializationUtils.serialize(read) == written, name
    return capturing
""")
    assert int(value(session, "lambdas(%r)" % made)) > 200


def test_archive_is_used(session, runtime):
    archive = next(e for e in session.driver.seen if e["ev"] == "archive")
    assert archive["used"] is bool(runtime["archive"]), archive


def test_archive_is_shared_between_drivers(session, runtime):
    if not runtime["archive"] or sys.platform != "linux":
        return
    with Session(runtime, connect=False) as other:
        for one in (session, other):
            taken = {"Rss:": 0, "Pss:": 0}
            with open("/proc/%d/smaps" % one.driver.process.pid) as maps:
                ours = False
                for line in maps:
                    field = line.split()
                    if not field[0].endswith(":"):
                        ours = field[-1] == runtime["archive"] and "w" not in field[1]
                    elif ours and field[0] in taken:
                        taken[field[0]] += int(field[1])
            # What both read counts half for each of them.
            assert taken["Rss:"] > 10 << 10 and taken["Pss:"] < 0.7 * taken["Rss:"], taken


def test_nothing_of_spark_listens_beyond_loopback(session):
    pid = session.driver.process.pid
    if sys.platform != "linux":
        return
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for name in ("tcp", "tcp6"):
        with open("/proc/net/" + name) as table:
            for line in list(table)[1:]:
                field = line.split()
                if field[3] == "0A" and field[9] in inodes:
                    address = field[1].rsplit(":", 1)[0]
                    assert address in ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"), line


def test_user_stops_and_starts_a_context(session):
    session.must("spark.stop()")
    assert value(session, "1 + 1") == "2"
    assert not session.run("spark.range(1).count()")[-1]["ok"]
    session.must("from pyspark.sql import SparkSession\nspark = SparkSession.builder.master('local[2]').getOrCreate()\nsc = spark.sparkContext")
    assert value(session, "spark.range(4).count()") == "4"
