"""What a session does for a Spark Connect client: functions, artifacts, S3, interrupts, large data, streams, and its state."""

import io
import json
import pathlib
import subprocess
import tarfile
import zipfile

import pytest

from conftest import RUNTIME, Spark, wait_for


def test_python_and_pandas_functions(remote):
    out = remote.run("""
        import pandas
        from pyspark.sql.functions import udf, pandas_udf
        import sys

        @udf("string")
        def where(v):
            return f"{v} {sys.version_info[0]}.{sys.version_info[1]}"

        @pandas_udf("double")
        def half(v: pandas.Series) -> pandas.Series:
            return v / 2

        df = spark.range(4)
        print([r[0] for r in df.select(where("id")).collect()])
        print([r[0] for r in df.select(half("id")).collect()])
        df.createOrReplaceTempView("four")
        print(spark.sql("select id % 2 k, id from four").groupBy("k").applyInPandas(
            lambda g: pandas.DataFrame({"k": [g.k[0]], "n": [g.id.sum()]}), "k long, n long").orderBy("k").collect())
        print(sorted(r.id for r in df.mapInPandas(lambda it: (b + 1 for b in it), "id long").collect()))
    """).splitlines()
    assert out[0] == "['0 3.11', '1 3.11', '2 3.11', '3 3.11']"
    assert out[1] == "[0.0, 0.5, 1.0, 1.5]"
    assert out[2] == "[Row(k=0, n=2), Row(k=1, n=4)]"
    assert out[3] == "[1, 2, 3, 4]"


JAVA = """
package compat;
public class Twice implements org.apache.spark.sql.api.java.UDF1<Long, Long> {
    @Override public Long call(Long v) { return 2 * v; }
}
"""


def jar(tmp_path) -> pathlib.Path:
    """A jar with one function."""
    runtime = json.loads((RUNTIME / "runtime.json").read_text())
    source = tmp_path / "compat" / "Twice.java"
    source.parent.mkdir()
    source.write_text(JAVA)
    javac = pathlib.Path(runtime["java"]).with_name("javac")
    subprocess.run([javac, "--release", "17", "-cp", ":".join(runtime["classPath"]), source], check=True)
    made = tmp_path / "twice.jar"
    with zipfile.ZipFile(made, "w") as z:
        z.write(source.with_suffix(".class"), "compat/Twice.class")
    return made


def test_artifacts(remote, tmp_path):
    (tmp_path / "helper.py").write_text("def thrice(v): return 3 * v\n")
    (tmp_path / "words.txt").write_text("from a file")
    with tarfile.open(tmp_path / "kit.tar.gz", "w:gz") as tar:
        data = b"from an archive"
        member = tarfile.TarInfo("inside/words.txt")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as z:
        z.writestr("packed/__init__.py", "VALUE = 'from a zip'\n")
    code = """
        from pyspark.sql.functions import udf
        spark.addArtifacts(%(d)r + "/helper.py", %(d)r + "/more.zip", pyfile=True)
        spark.addArtifacts(%(d)r + "/kit.tar.gz#kit", archive=True)
        spark.addArtifacts(%(d)r + "/words.txt", file=True)
        spark.addArtifacts(%(jar)r)

        @udf("array<string>")
        def look(v):
            import os
            import helper, packed
            from pyspark import SparkFiles
            root = SparkFiles.getRootDirectory()
            return [str(helper.thrice(v)), packed.VALUE, open(os.path.join(root, "kit", "inside", "words.txt")).read(),
                    open(os.path.join(root, "words.txt")).read()]

        print(spark.range(1, 2).select(look("id")).collect()[0][0])
        spark.udf.registerJavaFunction("twice", "compat.Twice", "long")
        print(spark.sql("select twice(21L)").collect())
    """ % {"d": str(tmp_path), "jar": str(jar(tmp_path))}
    out = remote.run(code).splitlines()
    assert out[0] == "['3', 'from a zip', 'from an archive', 'from a file']"
    assert out[1] == "[Row(twice(21)=42)]"


def test_artifacts_are_their_clients_own(remote, tmp_path):
    (tmp_path / "secretive.py").write_text("VALUE = 1\n")
    with_it = f"spark.addArtifacts({str(tmp_path / 'secretive.py')!r}, pyfile=True)\n"
    use = """
from pyspark.sql.functions import udf
def look(v):
    try:
        import secretive
        return secretive.VALUE
    except ImportError:
        return -1
print([r[0] for r in spark.range(1).select(udf(look, "int")("id")).collect()])
"""
    assert remote.run(with_it + use).split() == ["[1]"]
    assert remote.run(use).split() == ["[-1]"]


@pytest.mark.parametrize("form", ["parquet", "csv", "json"])
def test_reads_and_writes_s3(remote, bucket, s3, form):
    out = remote.run(f"""
        at = "s3://{bucket}/connect/{form}"
        spark.createDataFrame([(1, "a"), (2, "b")], "n int, s string").write.mode("overwrite").format("{form}").save(at)
        print(sorted(map(str, spark.read.format("{form}").schema("n int, s string").load(at).collect())))
    """)
    assert out.strip() == """["Row(n=1, s='a')", "Row(n=2, s='b')"]"""
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=f"connect/{form}/")["Contents"]]
    assert f"connect/{form}/_SUCCESS" in keys


SLEEPER = """
import threading, time
from pyspark.sql.functions import udf
out = {}
def work(name, *tags):
    for t in tags:
        spark.addTag(t)
    try:
        spark.range(2).select(udf(lambda v: time.sleep(300) or v, "long")("id")).collect()
        out[name] = "finished"
    except Exception as e:
        out[name] = str(e)
threads = [threading.Thread(target=work, args=a) for a in (("a", "red"), ("b", "blue"))]
for t in threads: t.start()
def until(what):
    for _ in range(600):
        found = what()
        if found: return found
        time.sleep(0.1)
"""


def test_interrupts(remote):
    out = remote.run(SLEEPER + """
ids = until(lambda: spark.interruptTag("red"))
threads[0].join(60)
print(len(ids), "OPERATION_CANCELED" in out["a"], "b" in out)
ids = until(lambda: spark.interruptAll())
threads[1].join(60)
print(len(ids), "OPERATION_CANCELED" in out["b"])
print(spark.range(3).count())
""").split("\n")
    assert out[:3] == ["1 True False", "1 True", "3"]


def test_large_results_and_large_data(remote):
    out = remote.run("""
        import hashlib
        import numpy, pandas
        got = spark.range(1_000_000).selectExpr("id", "id * 2 as d", "cast(id as string) s").toPandas()
        print(len(got), int(got.d.sum()), got.s.iloc[-1])
        rows, width = 100, 1 << 20
        big = pandas.DataFrame({"n": range(rows), "s": [chr(97 + i % 26) * width for i in range(rows)]})
        df = spark.createDataFrame(big)
        print(df.selectExpr("count(*) c", "sum(length(s)) l").collect())
        print(df.where("n = 27").selectExpr("substr(s, 1, 2) p").collect())
        numbers = pandas.DataFrame({f"c{i}": numpy.arange(500_000) * (i + 0.5) for i in range(25)})
        print(numbers.memory_usage(index=False).sum())
        df = spark.createDataFrame(numbers)
        print(df.selectExpr("count(*) c", "sum(c0) a", "sum(c24) b").collect())
    """, timeout=300).splitlines()
    assert out[0] == "1000000 999999000000 999999"
    assert out[1] == f"[Row(c=100, l={100 << 20})]"
    assert out[2] == "[Row(p='bb')]"
    assert out[3:] == ["100000000", "[Row(c=500000, a=62499875000.0, b=3062493875000.0)]"]


def test_a_stream(remote, bucket):
    out = remote.run(f"""
        at = "s3://{bucket}/connect/stream"
        spark.range(5).write.mode("overwrite").json(at + "/in")

        def each(batch, number):
            batch.selectExpr("id * 10 as n").write.mode("append").json(at + "/out")

        from pyspark.sql.streaming import StreamingQueryListener
        class Listener(StreamingQueryListener):
            def onQueryStarted(self, event): pass
            def onQueryProgress(self, event): pass
            def onQueryIdle(self, event): pass
            def onQueryTerminated(self, event): self.spark.range(7).write.json(at + "/heard")
        listener = Listener()
        spark.streams.addListener(listener)

        q = (spark.readStream.schema("id long").json(at + "/in").writeStream.foreachBatch(each)
             .option("checkpointLocation", at + "/checkpoint").trigger(availableNow=True).start())
        print(q.awaitTermination(120))
        print(sorted(r.n for r in spark.read.json(at + "/out").collect()))
        import time
        for _ in range(300):
            try:
                heard = spark.read.json(at + "/heard").count()
                break
            except Exception:
                time.sleep(0.1)
        print(heard)
        spark.streams.removeListener(listener)
        m = spark.readStream.format("rate").option("rowsPerSecond", 50).load().writeStream.format("memory").queryName("ticks").start()
        for _ in range(300):
            if spark.table("ticks").count(): break
            time.sleep(0.1)
        print(m.isActive, m.lastProgress is not None)
        m.stop()
        print(m.isActive)
    """, timeout=240).splitlines()
    assert out == ["True", "[0, 10, 20, 30, 40]", "7", "True True", "False"]


def test_work_of_a_client_is_the_sessions(server, remote):
    """BUSY while it runs, idle since its end; calculations run beside it and share its context."""
    s = Spark.__new__(Spark)
    s.server, s.athena, s.s3, s.id = server, remote.athena, server.client("s3"), remote.session
    s.wait("IDLE")
    client = remote.start("""
        import time
        from pyspark.sql.functions import udf

        def wait(v):
            import os
            while not os.path.exists(os.environ["HOME"] + "/go"):
                time.sleep(0.05)
            return v

        spark.range(7).createOrReplaceGlobalTempView("given")
        print("given")
        spark.range(1).select(udf(wait, "long")("id")).collect()
        print(time.time())
        print(spark.table("global_temp.returned").count())
    """)
    assert client.stdout.readline() == "given\n"
    busy = s.wait("BUSY")
    assert "IdleSinceDateTime" not in busy
    out, _ = s.run("spark.range(3).createOrReplaceGlobalTempView('returned')\nprint(spark.table('global_temp.given').count())")
    assert out == "7\n"
    assert s.status()["State"] == "BUSY", "the client's query still runs"
    s.run("import os\nopen(os.environ['HOME'] + '/go', 'w').close()")
    out, _ = remote.finish(client)
    ended, count = out.split()
    assert count == "3"
    idle = s.wait("IDLE")
    assert idle["IdleSinceDateTime"].timestamp() >= float(ended) - 1
    # Another query, too short to be seen, moves the clock on.
    remote.run("spark.range(1).collect()")
    assert wait_for("the idle clock moves", 30, lambda: s.status().get("IdleSinceDateTime", idle["IdleSinceDateTime"]) > idle["IdleSinceDateTime"])
