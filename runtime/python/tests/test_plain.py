"""Cells as AWS Glue shows them, in a session with Spark."""

import base64
import json

import pytest

from glaux_training.session import Session

RUN = iter("plain-%d" % n for n in range(10_000))


@pytest.fixture(scope="module")
def plain(runtime):
    with Session(runtime, wait=False, connect=False) as made:
        made.attach(argv=("--a", "b c"), display="plain")
        yield made


def run(session, code, timeout=60):
    """Runs a cell; returns its done frame, what it shows, and what it wrote."""
    runner = session.runner
    runner.read("stdout"), runner.read("stderr")
    cell = next(RUN)
    frames = runner.run(code, cell, timeout=timeout)
    mark = "end-of-" + cell
    runner.run("import os; _ = (os.write(1, b'%s'), os.write(2, b'%s'))" % (mark, mark), next(RUN))
    out = runner.read("stdout", until=lambda t: mark in t)
    err = runner.read("stderr", until=lambda t: mark in t)
    return frames[-1], [f["data"] for f in frames if f["ev"] == "display"], out.replace(mark, ""), err.replace(mark, "")


def test_values_are_printed_as_at_the_prompt(plain):
    assert run(plain, "1+1")[1:] == ([], "2\n", "")
    assert run(plain, "print('a')\n'b'")[2] == "a\n'b'\n"
    assert run(plain, "for i in range(2): i")[2] == "0\n1\n"
    assert run(plain, "None")[2] == ""
    assert run(plain, "x = 3")[2] == ""
    assert run(plain, "1; 2")[2] == "2\n"  # only the last statement shows


def test_a_long_value_is_whole(plain):
    assert len(run(plain, "'x' * 3_000_000")[2]) == 3_000_003


def test_a_data_frame_runs_no_job_and_figures_show_nothing(plain):
    done, shown, out, err = run(plain, "spark.range(3)")
    assert (shown, out) == ([], "DataFrame[id: bigint]\n")
    done, shown, out, err = run(plain, "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    assert (done["ok"], shown, out) == (True, [], "")


def test_names(plain):
    assert run(plain, "sqlContext.sql('select 1 as one').first().one, sc is spark.sparkContext")[2] == "(1, True)\n"
    assert run(plain, "import sys; sys.argv")[2] == "['', '--a', 'b c']\n"
    assert run(plain, "athena_user_logger")[0]["error"]["name"] == "NameError"


def test_errors_are_in_their_parts_only(plain):
    done, _, out, err = run(plain, "print('before')\n\n1/0")
    assert (done["ok"], out, err) == (False, "before\n", "")
    assert done["error"] == {
        "name": "ZeroDivisionError",
        "value": "division by zero",
        "traceback": ["Traceback (most recent call last):", '  File "<stdin>", line 3, in <module>', "ZeroDivisionError: division by zero"],
    }
    done = run(plain, "def f(:\n  pass")[0]
    assert done["error"]["name"] == "SyntaxError"


def test_matplot(plain):
    done, shown, out, _ = run(plain, "import matplotlib.pyplot as plt\nplt.figure()\nplt.plot([1, 2, 3])\nprint('drawn')\n%matplot plt")
    assert done["ok"], done
    assert base64.b64decode(shown[0]["image/png"]).startswith(b"\x89PNG")
    assert shown[0]["text/plain"] == ""
    assert out.startswith("drawn\n")
    assert run(plain, "fig = plt.figure()\n%matplot fig")[1][0]["image/png"]
    assert run(plain, "%matplot 3")[0]["error"]["name"] == "TypeError"


def test_json_and_table(plain):
    done, shown, out, _ = run(plain, "d = {'a': [1, None]}\n%json d\n# done")
    assert json.loads(shown[0]["application/json"]) == {"a": [1, None]}
    shown = run(plain, "%table [{'n': 1, 's': 'x'}, {'n': 2, 's': None}]")[1]
    assert json.loads(shown[0]["application/vnd.livy.table.v1+json"]) == {
        "headers": [{"name": "n", "type": "BIGINT_TYPE"}, {"name": "s", "type": "STRING_TYPE"}],
        "data": [[1, "x"], [2, None]],
    }
    assert "<th>s</th></tr></thead><tbody><tr><td>1</td><td>x</td></tr>" in shown[0]["text/html"]
    shown = run(plain, "df = spark.sql('select 1 as a, double(\"nan\") as a')\n%table df")[1]
    assert json.loads(shown[0]["text/plain"]) == {"headers": [{"name": "a", "type": "BIGINT_TYPE"}, {"name": "a", "type": "DOUBLE_TYPE"}], "data": [[1, None]]}
    shown = run(plain, "df = spark.range(2)\n%table df")[1]
    assert json.loads(shown[0]["text/plain"])["data"] == [[0], [1]]


def test_plotly(plain):
    shown = run(plain, "import plotly.graph_objects as go\nf = go.Figure(go.Bar(y=[1]))\n%plotly f")[1]
    assert "plotly" in shown[0]["text/html"].lower()


def test_unknown_magic_and_lines_of_errors(plain):
    done = run(plain, "x = 1\n%nope x")[0]
    assert (done["error"]["name"], done["error"]["value"]) == ("UnknownMagic", "unknown magic command 'nope'")
    done = run(plain, "y = 5\n%json y\n\nx = = 1")[0]
    assert '  File "<stdin>", line 4' in done["error"]["traceback"]
    shown = run(plain, "text = '''\n%nope\n'''\n%json text")[1]
    assert json.loads(shown[0]["application/json"]) == "\n%nope\n"
    shown = run(plain, "import numpy\n%json [numpy.int64(3), numpy.float64(0.5)]")[1]
    assert json.loads(shown[0]["application/json"]) == [3, 0.5]
    done = run(plain, "y = 5\n%json y\n1/0")[0]
    assert '  File "<stdin>", line 3, in <module>' in done["error"]["traceback"]
    assert run(plain, "text = '''\n%json\n'''\ntext")[2] == "'\\n%json\\n'\n"  # Python as it is


def test_a_stream_outlives_its_cell_and_an_interrupt(plain):
    done = run(plain, """
seen = []
def take(frame, number):
    seen.append(frame.count())
query = spark.readStream.format("rate").option("rowsPerSecond", 50).load().writeStream.foreachBatch(take).trigger(processingTime="100 milliseconds").start()
""")[0]
    assert done["ok"], done
    wait = "import time\nbefore = len(seen)\nend = time.time() + 30\nwhile len(seen) < before + 2 and time.time() < end: time.sleep(0.01)\n(len(seen) >= before + 2, query.isActive)"
    assert run(plain, wait)[2] == "(True, True)\n"
    cell = next(RUN)
    plain.runner.send({"op": "run", "id": cell, "code": "print('on')\nwhile True: pass"})
    plain.runner.read("stdout", until=lambda t: "on" in t)
    plain.runner.send({"op": "interrupt", "id": cell})
    plain.driver.send({"op": "cancel", "group": cell})
    done = plain.runner.wait("done")
    assert done["interrupted"]
    assert run(plain, wait)[2] == "(True, True)\n"
    assert run(plain, "query.stop(); query.isActive, query.exception()")[2] == "(False, None)\n"
