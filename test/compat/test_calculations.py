"""Calculations: state that lasts, output, figures, stops, progress, bad input."""

import pathlib
import re
import sys
import time

import pytest
from conftest import Spark, wait_for
from test_workgroups import refused


def test_state_lasts_and_objects_are_written(spark):
    spark.run("x = 41")
    out, got = spark.run("print(x + 1)")
    assert out == "42\n"
    result = got["Result"]
    assert all(result[k].startswith("s3://") for k in ("StdOutS3Uri", "StdErrorS3Uri", "ResultS3Uri"))
    assert spark.object(result["StdErrorS3Uri"]) == b""
    assert got["Statistics"]["DpuExecutionInMillis"] > 0 and got["Statistics"]["Progress"]
    assert "StateChangeReason" not in got["Status"] or not got["Status"]["StateChangeReason"]
    assert got["Status"]["CompletionDateTime"] >= got["Status"]["SubmissionDateTime"]


def test_last_expression_value(spark):
    _, got = spark.run("6 * 7")
    assert b"42" in spark.object(got["Result"]["ResultS3Uri"])
    assert got["Result"]["ResultType"]


def test_figures_and_frames_land_in_the_result(spark):
    _, got = spark.run("import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()")
    assert b"image/png" in spark.object(got["Result"]["ResultS3Uri"])
    _, got = spark.run("spark.range(3)")
    assert b"id" in spark.object(got["Result"]["ResultS3Uri"])


def test_failure_has_the_interpreters_form(spark):
    _, got = spark.run("a = 1\nraise ValueError('no good')", state="FAILED")
    err = spark.object(got["Result"]["StdErrorS3Uri"]).decode()
    assert 'File "<stdin>", line 2' in err and err.rstrip().endswith("ValueError: no good")
    assert got["Status"]["StateChangeReason"]
    _, got = spark.run("def (", state="FAILED")
    assert "SyntaxError" in spark.object(got["Result"]["StdErrorS3Uri"]).decode()
    assert spark.run("print('still here')")[0] == "still here\n"


def test_output_of_c_code_and_subprocesses(spark):
    out, _ = spark.run("import os, subprocess\nos.write(1, b'raw\\n')\nsubprocess.run(['echo', 'child'])\nprint('python')")
    assert out.splitlines() == ["raw", "child", "python"]


def test_predefined_names(spark):
    out, _ = spark.run("import sys, os\nprint(spark.version, sc.master, athena_user_logger is not None, athena_shared_logger is not None)\n"
                       "print(any(k in os.environ for k in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY')))")
    assert out.splitlines()[0].split()[0] == "3.5.6" and out.splitlines()[1] == "False"


def test_both_forms_of_code_block(spark):
    got = spark.athena.start_calculation_execution(SessionId=spark.id, CalculationConfiguration={"CodeBlock": "print('old')"})
    assert spark.object(spark.finish(got["CalculationExecutionId"])["Result"]["StdOutS3Uri"]) == b"old\n"
    refused(lambda: spark.athena.start_calculation_execution(SessionId=spark.id), "InvalidRequestException")
    refused(lambda: spark.start("#" * 68001), "InvalidRequestException")
    code = "print('é')"
    calc = spark.start(code)
    spark.finish(calc)
    assert spark.athena.get_calculation_execution_code(CalculationExecutionId=calc)["CodeBlock"] == code


def test_busy(spark):
    calc = spark.start("import time; time.sleep(600)")
    try:
        refused(lambda: spark.start("1"), "InvalidRequestException",
                "Session is in the BUSY state; needs to be IDLE to accept Calculations.")
        got = spark.athena.get_calculation_execution(CalculationExecutionId=calc)
        assert got["Statistics"], "Statistics are never empty"
    finally:
        spark.athena.stop_calculation_execution(CalculationExecutionId=calc)
        spark.finish(calc)


@pytest.mark.parametrize("code", [
    "import time\ntime.sleep(600)",
    "while True: pass",
    "spark.sparkContext.parallelize(range(200), 200).map(lambda x: __import__('time').sleep(30)).count()",
], ids=["sleep", "loop", "spark-job"])
def test_stop(spark, code):
    calc = spark.begin(code)
    begin = time.monotonic()
    assert spark.athena.stop_calculation_execution(CalculationExecutionId=calc)["State"] in ("CANCELING", "CANCELED")
    got = spark.finish(calc, 10)
    assert got["Status"]["State"] == "CANCELED"
    assert time.monotonic() - begin < 2
    assert spark.run("print('next')")[0] == "next\n"


def test_stop_right_after_the_start(spark):
    for _ in range(20):
        calc = spark.start("import time\ntime.sleep(600)")
        spark.athena.stop_calculation_execution(CalculationExecutionId=calc)
        assert spark.finish(calc, 10)["Status"]["State"] == "CANCELED"
    assert spark.status()["State"] == "IDLE"


def test_code_that_holds_the_interpreter_leaves_the_session_busy(spark):
    calc = spark.start("import ctypes\nctypes.PyDLL(None).sleep(12)")  # longer than a sign of life is waited for
    seen = set()

    def over():
        seen.add(spark.status()["State"])
        return spark.state(calc) == "COMPLETED"

    wait_for("calculation is over", 30, over, every=0.25)
    assert seen <= {"BUSY", "IDLE"}, seen


def test_stop_of_what_ignores_signals(server):
    s = Spark(server)
    s.wait("IDLE")
    calc = s.begin("import ctypes\nsleep = ctypes.PyDLL(None).sleep\nwhile True:\n"  # sleeps with the interpreter's lock held
                   "    try:\n        print('begun', flush=True)\n        sleep(600)\n"
                   "    except KeyboardInterrupt:\n        pass")
    s.athena.stop_calculation_execution(CalculationExecutionId=calc)
    assert s.finish(calc, 12)["Status"]["State"] == "CANCELED"
    wait_for("session is FAILED", 20, lambda: s.status()["State"] == "FAILED")
    assert s.status()["StateChangeReason"]


def test_a_heap_that_runs_out_says_so(server):
    s = Spark(server, EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {"spark.driver.memory": "600m"}})
    s.wait("IDLE")
    calc = s.start("a = []\nwhile True: a.append(sc._jvm.java.util.Arrays.copyOf(sc._gateway.new_array(sc._jvm.long, 1), 10000000))")
    got = s.finish(calc)["Status"]
    assert got["State"] == "FAILED" and "ran out of memory" in got["StateChangeReason"], got
    wait_for("session is FAILED", 20, lambda: s.status()["State"] == "FAILED")
    assert "ran out of memory" in s.status()["StateChangeReason"]


def test_progress_moves(spark):
    calc = spark.start("spark.sparkContext.parallelize(range(8), 8).map(lambda x: __import__('time').sleep(0.7)).count()")
    seen = set()

    def over():
        got = spark.athena.get_calculation_execution_status(CalculationExecutionId=calc)
        seen.add(got["Statistics"]["Progress"])
        return got["Status"]["State"] in ("COMPLETED", "FAILED")

    wait_for("calculation is over", 60, over)
    assert len(seen) >= 3, seen


def peak(pid):
    """The most memory (MB) that a process has had, since its count was last reset."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE).group(1)) / 1000


def test_much_output(server, spark):
    pid = server.process.pid
    measured = sys.platform == "linux"
    if measured:
        pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        before = peak(pid)
    calc = spark.start("import sys\nline = 'x' * 999 + '\\n'\nfor _ in range(100_000): sys.stdout.write(line)")
    got = spark.finish(calc, 180)
    assert got["Status"]["State"] == "COMPLETED", got["Status"]
    bucket, key = got["Result"]["StdOutS3Uri"].removeprefix("s3://").split("/", 1)
    size = 0
    for part in spark.s3.get_object(Bucket=bucket, Key=key)["Body"].iter_chunks(1 << 20):
        size += len(part)
    assert size == 100_000_000
    if measured:
        assert peak(pid) - before < 20, f"the server grew from {before} MB to {peak(pid)} MB"


def test_listing(spark):
    ids = []
    for n in range(3):
        calc = spark.start(f"{n}", Description=f"number {n}")
        spark.finish(calc)
        ids.append(calc)
    got = spark.athena.list_calculation_executions(SessionId=spark.id, MaxResults=2)
    assert [c["CalculationExecutionId"] for c in got["Calculations"]] == [ids[2], ids[1]]
    more = spark.athena.list_calculation_executions(SessionId=spark.id, MaxResults=2, NextToken=got["NextToken"])
    assert more["Calculations"][0]["CalculationExecutionId"] == ids[0]
    done = spark.athena.list_calculation_executions(SessionId=spark.id, StateFilter="FAILED")["Calculations"]
    assert not {c["CalculationExecutionId"] for c in done} & set(ids)


def test_many_calculations_in_a_row(spark):
    for n in range(30):
        assert spark.run(f"print({n})")[0] == f"{n}\n"
