"""Spark Connect inside a session: what is told of its work, and what it shares with cells."""

import json
import os
import re
import socket
import sys
import time

import pytest

from client import Client, wait_for


@pytest.fixture(scope="module")
def client(session, runtime):
    made = Client(session, runtime["python"])
    yield made
    made.close()


def operations(session) -> "list[dict]":
    return [e for e in list(session.driver.seen) if e["ev"] == "operations"]


def at_rest(session, more_than: int = -1) -> "list[dict]":
    """Waits until nothing is said to run, in more events than given; returns all that was said of operations."""
    assert wait_for(lambda: len(operations(session)) > more_than and (not operations(session) or operations(session)[-1]["running"] == 0))
    return operations(session)


def value(session, code: str) -> str:
    done = session.run(code)
    assert done[-1]["ok"], done[-1]["error"]
    return next(f["data"]["text/plain"] for f in done if f["ev"] == "display")


SLOW = "spark.range(2, numPartitions=2).select(udf(lambda v: time.sleep(%s) or v, 'long')('id')).collect()"


def test_a_long_query_runs_until_its_end(session, client):
    client.do("import time\nfrom pyspark.sql.connect.functions import udf")
    before = len(at_rest(session))
    client.send(SLOW % 3)
    assert wait_for(lambda: len(operations(session)) > before and operations(session)[-1]["running"] == 1)
    assert len(client.answer()) == 2
    over = time.time()
    last = at_rest(session, before)[-1]
    assert abs(last["ended"] / 1000 - over) < 1


def test_short_queries_in_a_row_are_one_piece_of_work(session, client):
    before = len(at_rest(session))
    for _ in range(20):
        assert client.do("spark.range(1).collect()") == [[0]]
    told = [e["running"] for e in at_rest(session, before)[before:]]
    assert told == [1, 0] * (len(told) // 2) and len(told) < 40, told  # a slow machine may pause between some


def test_analysis_is_work_and_properties_are_not(session, client):
    before = len(at_rest(session))
    client.do("spark.conf.get('spark.sql.shuffle.partitions')")
    client.do("spark.range(1).schema")
    told = at_rest(session, before)[before:]
    assert [e["running"] for e in told] == [1, 0], told


def test_a_client_that_vanishes_is_not_counted_for_ever(session, runtime, tmp_path):
    gone = Client(session, runtime["python"])
    gone.do("import time\nfrom pyspark.sql.connect.functions import udf")
    gone.do("def work(v): open(%r, 'w').close(); time.sleep(4); return v" % str(tmp_path / "begun"))
    at_rest(session)
    gone.send("spark.range(1).select(udf(work, 'long')('id')).collect()")
    assert wait_for((tmp_path / "begun").exists)
    began = time.monotonic()
    gone.close()
    # Spark itself would keep the finished one for five minutes.
    assert wait_for(lambda: operations(session)[-1]["running"] == 0, 30)
    assert time.monotonic() - began > 1, "it counts while Spark works on it"


def test_interrupted_queries_end(session, client, runtime):
    other = Client(session, runtime["python"])
    other.do("import time, threading\nfrom pyspark.sql.connect.functions import udf\nout = []")
    before = len(at_rest(session))
    other.do("""
def work():
    spark.addTag("slow")
    try: %s
    except Exception as e: out.append(str(e))
t = threading.Thread(target=work); t.start()
""" % (SLOW % 600))
    assert wait_for(lambda: len(operations(session)) > before)
    assert len(wait_for(lambda: other.do("spark.interruptTag('slow')"))) == 1
    assert "OPERATION_CANCELED" in other.do("t.join(60); out[0]")
    at_rest(session)
    other.close()


def test_cells_and_clients_share_a_context(session, client):
    session.must("spark.range(3).createOrReplaceGlobalTempView('from_cell')\nspark.sql('create table shared using parquet as select 5 as n')")
    assert client.do("spark.table('global_temp.from_cell').count(), spark.table('shared').collect()") == [3, [[5]]]
    client.do("spark.range(4).createOrReplaceGlobalTempView('from_client')\nspark.range(9).createOrReplaceTempView('its_own')")
    assert value(session, "spark.table('global_temp.from_client').count()") == "4"
    assert value(session, "spark.catalog.tableExists('its_own')") == "False"


def test_clients_work_is_not_the_cells(session, client):
    """Neither its progress nor its cancellation."""
    client.send(SLOW % 4)
    before = len(operations(session))
    assert wait_for(lambda: operations(session) and operations(session)[-1]["running"] == 1)
    session.runner.send({"op": "run", "id": "beside", "code": "import time\nspark.range(1).count()\nprint('counted', flush=True)\ntime.sleep(600)"})
    mine = lambda: [e for e in list(session.driver.seen) if e["ev"] == "progress" and e["group"] == "beside"]  # noqa: E731
    session.runner.read("stdout", until=lambda t: "counted" in t)
    assert wait_for(lambda: mine() and mine()[-1]["done"] == mine()[-1]["total"])
    total = mine()[-1]["total"]
    session.runner.send({"op": "interrupt", "id": "beside"})
    session.driver.send({"op": "cancel", "group": "beside"})
    assert session.runner.wait("done", 30)["interrupted"]
    assert len(client.answer()) == 2
    assert mine()[-1]["total"] == total
    assert len(operations(session)) >= before


def test_workers_of_streams_call_back(session, client, tmp_path):
    client.do("at = %r\nspark.range(3).write.json(at + '/in')" % str(tmp_path))
    client.do("""
def each(batch, number):
    batch.selectExpr("id + 1 as n").write.mode("append").json(at + "/out")
q = spark.readStream.schema("id long").json(at + "/in").writeStream.foreachBatch(each).option("checkpointLocation", at + "/c").trigger(availableNow=True).start()
""")
    assert client.do("q.awaitTermination(60)") is True
    assert client.do("sorted(r.n for r in spark.read.json(at + '/out').collect())") == [1, 2, 3]
    at_rest(session)


def test_secrets_are_not_left_to_user_code(session, client):
    look = "[k for k in os.environ if k.startswith('GLAUX_') and 'SECRET' in k]"
    client.do("import os\nfrom pyspark.sql.connect.functions import udf\ndef look(v): return str(%s)" % look)
    assert client.do("spark.range(1).select(udf(look, 'string')('id')).collect()") == [["[]"]]
    session.must("import os\nassert not %s" % look)


def test_no_port_of_the_driver_speaks_connect(session):
    if sys.platform != "linux":
        return
    ports = listening(session.driver.process.pid)
    assert ports, "nothing listens, so this shows nothing"
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), 5) as conn:
            conn.settimeout(0.5)
            conn.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")  # and empty settings
            try:
                answer = conn.recv(9)
            except (socket.timeout, ConnectionError):
                continue
            assert answer[3:4] != b"\4", "port %d answers with HTTP/2 settings" % port


def listening(pid: int) -> "set[int]":
    inodes = set()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except OSError:
            continue
        if found:
            inodes.add(found[1])
    ports = set()
    for name in ("tcp", "tcp6"):
        with open("/proc/net/" + name) as table:
            for line in list(table)[1:]:
                field = line.split()
                if field[3] == "0A" and field[9] in inodes:
                    ports.add(int(field[1].rsplit(":", 1)[1], 16))
    return ports


def test_context_that_code_stops_and_starts(session, client, runtime):
    """The last test: it ends the session's first context."""
    busy = Client(session, runtime["python"])
    busy.do("import time\nfrom pyspark.sql.connect.functions import udf")
    client.do("spark.range(2).createOrReplaceTempView('lost')")
    before = len(at_rest(session))
    busy.send(SLOW % 600)
    assert wait_for(lambda: len(operations(session)) > before)
    session.must("spark.stop()")
    assert isinstance(busy.answer(30), str), "a query under way must fail with its context"
    assert "has stopped the SparkContext" in client.do("spark.range(1).collect()", 30)
    session.must("from pyspark.sql import SparkSession\nspark = SparkSession.builder.master('local[2]').getOrCreate()\nsc = spark.sparkContext")
    assert client.do("spark.range(3).count()", 60) == 3
    assert "TABLE_OR_VIEW_NOT_FOUND" in client.do("spark.table('lost').count()", 60)
    assert busy.do("spark.range(4).count()", 60) == 4
    session.must("spark.range(6).createOrReplaceGlobalTempView('anew')")
    assert client.do("spark.table('global_temp.anew').count()", 60) == 6
    told = at_rest(session)
    assert json.dumps(told[-1]["running"]) == "0"
    busy.close()
