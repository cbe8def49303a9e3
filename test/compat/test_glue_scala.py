"""Glue sessions whose language is Scala, over the API."""

import pytest

from conftest import wait_for
from test_glue_statements import FINAL, Livy


class Scala(Livy):
    """A session as the Scala kernel makes it."""

    def __init__(self, server, name):
        self.server, self.id = server, name
        self.glue = server.client("glue")
        self.glue.create_session(Id=name, Role="arn:aws:iam::000000000000:role/GlueRole", Command={"Name": "glueetl", "PythonVersion": "3"},
                                 WorkerType="G.1X", NumberOfWorkers=2, DefaultArguments={"--session-language": "scala"})
        self.wait("READY", 120)


@pytest.fixture(scope="module")
def scala(server):
    made = Scala(server, "scala of a file")
    yield made
    made.glue.delete_session(Id=made.id)


def test_values_output_and_data(scala):
    assert scala.text("1+1") == "res0: Int = 2"
    text = scala.text('case class P(n: Int)\nobject P { def two = P(2) }\nprintln("é")\nSeq(P.two).toDS.map(_.n + 1).collect().sum')
    assert text.splitlines()[:3] == ["defined class P", "defined object P", "é"] and text.endswith("Int = 3")
    assert scala.text('spark.sql("""select 7 as seven""").show()') == "+-----+\n|seven|\n+-----+\n|    7|\n+-----+"
    assert len(scala.text("(1 to 20000).foreach(println)").splitlines()) == 20000


def test_errors(scala):
    output = scala.run("println(1)\nmissing")
    assert (output["Status"], output["ErrorName"]) == ("error", "Error")
    assert output["ErrorValue"].endswith("error: not found: value missing")
    output = scala.run("def f(n: Int) = 1 / n\nf(0)")
    assert (output["ErrorName"], output["ErrorValue"]) == ("java.lang.ArithmeticException", "/ by zero")
    assert output["Traceback"][1].startswith("  at f(<console>:")


def test_a_loop_is_cancelled_and_the_session_goes_on(scala):
    number = scala.start("while (true) {}")
    wait_for("the loop runs", 30, lambda: scala.get(number)["State"] == "RUNNING")
    behind = scala.start('println("next")')
    scala.glue.cancel_statement(SessionId=scala.id, Id=number)
    assert scala.finish(number)["State"] == "CANCELLED"
    assert scala.finish(behind)["Output"]["Data"]["TextPlain"] == "next"
    assert scala.get(number)["State"] in FINAL
