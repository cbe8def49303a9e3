"""Cells in Scala, in a session with Spark."""

import json
import pathlib
import subprocess
import tempfile
import time
import zipfile

import pytest

from glaux_training.session import Session

RUN = iter("scala-%d" % n for n in range(10_000))


@pytest.fixture(scope="module")
def scala(runtime):
    with tempfile.TemporaryDirectory() as work:
        with Session(runtime, properties={"spark.jars": jar(runtime, pathlib.Path(work))}, wait=False, connect=False, language="scala") as made:
            made.attach(display="plain")
            yield made


def jar(runtime, work):
    """A user's jar."""
    source = work / "Theirs.java"
    source.write_text("package theirs; public class Theirs implements java.io.Serializable { public static int seven(int n) { return 7 * n; } }")
    subprocess.run([pathlib.Path(runtime["java"]).parent / "javac", "-d", work, source], check=True)
    with zipfile.ZipFile(work / "theirs.jar", "w") as file:
        file.write(work / "theirs" / "Theirs.class", "theirs/Theirs.class")
    return str(work / "theirs.jar")


def printed(session):
    with open(session.driver.printed, encoding="utf-8") as file:
        return file.read()


def run(session, code, timeout=120):
    """Runs a cell; returns its done frame and what the driver printed by then."""
    before = len(printed(session))
    done = session.runner.run(code, next(RUN), timeout=timeout)[-1]
    return done, printed(session)[before:]


def test_values_are_shown_as_at_the_prompt(scala):
    assert run(scala, "1+1") == ({"ev": "done", "id": "scala-0", "ok": True, "interrupted": False}, "res0: Int = 2\n")
    assert run(scala, "val x = 1\nval y = x + 1\nx + y")[1] == "x: Int = 1\ny: Int = 2\nres1: Int = 3\n"
    assert run(scala, "println(1)")[1] == "1\n"
    assert run(scala, "")[1] == ""
    assert run(scala, "// nothing\n")[1] == ""


def test_a_definition_takes_many_lines(scala):
    done, out = run(scala, """
def twice(n: Int): Int = {
  n * 2
}

val numbers = List(1, 2)
  .map(twice)
  .filter(_ > 2)
if (numbers.size > 5) println("many")
else println("few")
(1 + 2) * 3; "two"
""")
    assert done["ok"], json.dumps(done)
    assert out == "twice: (n: Int)Int\nnumbers: List[Int] = List(4)\nfew\nres4: Int = 9\nres5: String = two\n"


def test_case_class_with_its_companion_and_a_dataset(scala):
    done, out = run(scala, """
case class Person(name: String, age: Int)
object Person { def child(name: String) = Person(name, 1) }
val people = Seq(Person("Ada", 36), Person.child("Bo")).toDS
people.map(p => p.copy(age = p.age + 1)).collect().foreach(println)
people.filter(_.age > 5).count()
sc.parallelize(Seq(1, 2), 2).map(n => Person("x", n)).collect().map(_.age).sum
""")
    assert done["ok"], json.dumps(done)
    assert out.startswith("defined class Person\ndefined object Person\npeople: org.apache.spark.sql.Dataset[Person] = [name: string, age: int]\n")
    assert "Person(Ada,37)\nPerson(Bo,2)\n" in out
    assert out.endswith(": Long = 1\nres8: Int = 3\n"), out


def test_udf_in_tasks_and_sql(scala):
    done, out = run(scala, """
val factor = 10
val times = udf((n: Long) => n * factor)
val df = spark.range(0, 4, 1, 2).withColumn("m", times($"id"))
df.createOrReplaceTempView("ms")
spark.udf.register("half", (n: Long) => n / 2)
val total = sql("select sum(half(m)) s from ms").first.getLong(0)
""")
    assert done["ok"], json.dumps(done)
    assert out.endswith("total: Long = 30\n"), out
    assert "|  0|\n" in run(scala, 'spark.sql("""select id from ms""").show()')[1]
    assert run(scala, "implicit class More(n: Int) { def more = n + 1 }\n3.more")[1].endswith("Int = 4\n")
    assert run(scala, "sqlContext.sql(\"select 1\").count; sc eq spark.sparkContext")[1].endswith("Boolean = true\n")


def test_jars_of_the_session(scala):
    assert run(scala, "theirs.Theirs.seven(6)")[1].endswith("Int = 42\n")
    assert run(scala, "sc.parallelize(1 to 3, 2).map(n => theirs.Theirs.seven(n)).collect().sum")[1].endswith("Int = 42\n")


def test_output_is_in_order_and_whole(scala):
    done, out = run(scala, """print("a"); System.out.print("b"); Console.err.println("c"); new Exception("e").printStackTrace(); Console.out.print("d"); println("é"); print("no end of line")
val late = 1
(1 to 20000).foreach(println)
print("last")""")
    assert out.startswith("abc\njava.lang.Exception: e\n"), out[:100]
    assert "\ndé\nno end of line" in out
    assert out.endswith("20000\nlast")


def test_standard_input_is_empty_and_processes_print(scala):
    assert run(scala, "scala.io.StdIn.readLine()")[1].endswith("String = null\n")
    assert run(scala, 'import sys.process._\nval code = Seq("sh", "-c", "echo out; echo err >&2").!')[1].splitlines()[1:] in (["out", "err", "code: Int = 0"], ["err", "out", "code: Int = 0"])


def test_threads_of_a_cell(scala):
    done, out = run(scala, """
import scala.concurrent._
import scala.concurrent.duration._
import ExecutionContext.Implicits.global
val counts = (1 to 3).map(n => Future { println("from " + n); spark.range(n).count() })
Await.result(Future.sequence(counts), 60.seconds).sum""")
    assert done["ok"], json.dumps(done)
    assert sorted(line for line in out.splitlines() if line.startswith("from ")) == ["from 1", "from 2", "from 3"]
    assert out.endswith("Long = 6\n")


def test_compile_errors(scala):
    done, out = run(scala, "val before = 1\nmissing + 1")
    assert done["error"]["name"] == "Error"
    assert done["error"]["value"].endswith("error: not found: value missing")
    assert done["error"]["traceback"][1].strip() == "missing + 1"
    assert out == "before: Int = 1\n"
    done, out = run(scala, "println(1)\ndef f( = 3")
    assert (done["ok"], out) == (False, ""), done
    assert "error" in done["error"]["value"]
    done, _ = run(scala, "def f = {")
    assert not done["ok"] and done["error"]["value"], done
    assert run(scala, "}")[0]["ok"] is False
    assert run(scala, "before")[1].endswith("Int = 1\n")


def test_exceptions(scala):
    run(scala, 'class Odd(n: Int) extends Exception("odd: " + n)\ndef check(n: Int): Int = if (n % 2 == 1) throw new Odd(n) else n')
    done, out = run(scala, "println(0)\ncheck(3)\nprintln(1)")
    assert out == "0\n"
    error = done["error"]
    assert (error["name"], error["value"]) == ("Odd", "odd: 3")
    assert error["traceback"][0] == "Odd: odd: 3"
    assert error["traceback"][1].startswith("  at check(<console>:")
    assert error["traceback"][2].endswith(" elided")
    done, _ = run(scala, "1 / 0")
    assert (done["error"]["name"], done["error"]["value"]) == ("java.lang.ArithmeticException", "/ by zero")
    done, _ = run(scala, "sc.parallelize(1 to 2).map(n => n / 0).count()")
    assert done["error"]["name"] == "org.apache.spark.SparkException"
    assert run(scala, "throw null")[0]["error"]["name"] == "java.lang.NullPointerException"


@pytest.mark.parametrize("code", [
    "while (true) {}",
    "Thread.sleep(1000000)",
    "while (true) { try { Thread.sleep(1000) } catch { case e: InterruptedException => } }",
    "sc.parallelize(1 to 4, 2).map { n => Thread.sleep(100000); n }.count()",
    "val n = 1\nspark.range(10).map { n => Thread.sleep(100000); n.longValue }.collect()",
])
def test_an_interrupted_cell_ends_and_the_session_goes_on(scala, code):
    cell = next(RUN)
    scala.runner.send({"op": "run", "id": cell, "code": 'println("on")\n' + code})
    before = len(printed(scala))
    end = time.monotonic() + 30
    while "on\n" not in printed(scala)[before:] and time.monotonic() < end:
        time.sleep(0.02)
    began = time.monotonic()
    scala.runner.send({"op": "interrupt", "id": cell})
    scala.driver.send({"op": "cancel", "group": cell})
    done = scala.runner.wait("done", 30)
    assert (done["ok"], done["interrupted"]) == (False, True)
    assert time.monotonic() - began < 5
    assert run(scala, 'println("after"); spark.range(5).count()')[1].startswith("after\n")


def test_a_cell_that_is_still_compiled_ends_too(scala):
    lines = "\n".join("val v%d = Seq(%d).toDS.map(_ + 1)" % (n, n) for n in range(30))
    for _ in range(3):
        cell = next(RUN)
        scala.runner.send({"op": "run", "id": cell, "code": lines}, {"op": "interrupt", "id": cell})
        scala.driver.send({"op": "cancel", "group": cell})
        done = scala.runner.wait("done", 30)
        assert (done["ok"], done["interrupted"]) == (False, True)
        assert run(scala, "val w = 1\nw + 1")[1].endswith(": Int = 2\n")
