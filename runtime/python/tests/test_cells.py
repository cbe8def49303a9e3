"""Cells in a runner without Spark: values, errors, output, interrupts."""

import base64
import json
import os
import time

import pytest

from glaux_training.session import Failed

RUN = iter("cell-%d" % n for n in range(10_000))


def run(runner, code, **kw):
    """Runs a cell; returns its done frame, displays, and what it wrote."""
    runner.read("stdout"), runner.read("stderr")
    frames = runner.run(code, next(RUN), **kw)
    mark = "end-of-%s" % frames[-1]["id"]
    # Descriptors are pipes: what was written before a mark has arrived with it.
    runner.run("import os; _ = (os.write(1, b'%s'), os.write(2, b'%s'))" % (mark, mark), next(RUN))
    out = runner.read("stdout", until=lambda t: mark in t)
    err = runner.read("stderr", until=lambda t: mark in t)
    return frames[-1], [f for f in frames if f["ev"] == "display"], out.replace(mark, ""), err.replace(mark, "")


def test_output_and_state(shared):
    done, shown, out, err = run(shared, "x = 20\nprint('hello', x)\nimport sys; print('oops', file=sys.stderr)")
    assert (done["ok"], shown, out, err) == (True, [], "hello 20\n", "oops\n")
    done, shown, out, _ = run(shared, "x + 1")
    assert [s["data"] for s in shown] == [{"text/plain": "21"}]
    assert shown[0]["final"] is True
    assert out == ""


def test_nothing_is_shown_for_none_and_statements(shared):
    assert run(shared, "None")[1] == []
    assert run(shared, "y = 1")[1] == []
    assert run(shared, "")[0]["ok"]
    assert run(shared, "# only a comment\n")[0]["ok"]


def test_traceback_form(shared):
    done, _, _, err = run(shared, "\nfoobar\n")
    assert err.strip() == "File \"<stdin>\", line 2, in <module>\nNameError: name 'foobar' is not defined"
    assert done["error"]["name"] == "NameError"
    assert done["error"]["value"] == "name 'foobar' is not defined"
    assert done["interrupted"] is False


def test_traceback_of_functions_has_no_frames_of_ours(shared):
    err = run(shared, "def f():\n    return 1 / 0\nf()")[3]
    assert err == '  File "<stdin>", line 3, in <module>\n  File "<stdin>", line 2, in f\nZeroDivisionError: division by zero\n'
    err = run(shared, "f()")[3]
    assert err.startswith('  File "<stdin>", line 1, in <module>\n')


def test_syntax_error(shared):
    done, _, _, err = run(shared, "x = 1\nif x\n  pass")
    assert done["error"]["name"] == "SyntaxError"
    assert err.startswith('  File "<stdin>", line 2\n') and "glaux" not in err
    assert run(shared, "x = '\x00'")[0]["error"]["name"] in ("SyntaxError", "ValueError")
    assert not run(shared, "return 5")[0]["ok"]


def test_chained_exceptions(shared):
    err = run(shared, "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('two') from e")[3]
    assert "ZeroDivisionError: division by zero" in err
    assert "The above exception was the direct cause of the following exception:" in err
    assert err.rstrip().endswith("ValueError: two")
    assert "Traceback (most recent call last)" not in err and "glaux" not in err


def test_exception_whose_text_fails(shared):
    done = run(shared, "class Bad(Exception):\n    def __str__(self): raise RuntimeError\nraise Bad()")[0]
    assert done["error"]["name"] == "Bad" and "failed" in done["error"]["value"]


def test_exception_group_and_base_exception(shared):
    assert run(shared, "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])")[0]["error"]["name"] == "ExceptionGroup"
    assert run(shared, "class B(BaseException): pass\nraise B('x')")[0]["error"]["value"] == "x"
    done = run(shared, "raise KeyboardInterrupt")[0]
    assert (done["ok"], done["interrupted"], done["error"]["name"]) == (False, False, "KeyboardInterrupt")


def test_recursion(shared):
    done = run(shared, "def g(n): return g(n + 1)\ng(0)")[0]
    assert done["error"]["name"] == "RecursionError"
    assert len(done["error"]["traceback"]) < 500
    assert not run(shared, "(" * 5000 + ")" * 5000)[0]["ok"]
    assert run(shared, "'still here'")[1]


def test_huge_values(shared):
    done, shown, _, err = run(shared, "raise ValueError('v' * 5_000_000)")
    assert len(json.dumps(done)) < 100_000 and len(err) > 5_000_000
    shown = run(shared, "'v' * 5_000_000")[1]
    assert len(shown[0]["data"]["text/plain"]) < 2_000_000


def test_exit(shared):
    assert run(shared, "import sys; sys.exit()")[0]["ok"]
    assert run(shared, "sys.exit(0)")[0]["ok"]
    done = run(shared, "sys.exit(3)")[0]
    assert (done["ok"], done["error"]["name"], done["error"]["value"]) == (False, "SystemExit", "3")
    assert run(shared, "exit()")[0]["ok"] in (True, False)
    assert run(shared, "print('alive')")[2] == "alive\n"


def test_repr_that_fails_fails_the_cell(shared):
    done, _, _, err = run(shared, "class R:\n    def __repr__(self): raise ValueError('no repr')\nR()")
    assert done["error"]["value"] == "no repr" and '"<stdin>", line 2' in err


def test_bytes_and_surrogates(shared):
    shared.read("stdout")
    shared.run("import os, sys\nos.write(1, b'\\xff\\xfe\\x00!')\nprint('\\udc80')", next(RUN))
    deadline = time.monotonic() + 10
    while b"udc80" not in shared.output["stdout"] and time.monotonic() < deadline:
        shared.run("0", next(RUN))
    assert bytes(shared.output["stdout"]).startswith(b"\xff\xfe\x00!")
    shared.read("stdout")


def test_output_of_subprocess_and_c(shared):
    out = run(shared, "import subprocess, ctypes\nprint('a')\n_ = subprocess.run(['echo', 'b'])\n_ = ctypes.CDLL(None).puts(b'c')\n_ = ctypes.CDLL(None).fflush(None)")[2]
    assert out == "a\nb\nc\n"


def test_lines_are_seen_while_the_cell_runs(shared):
    shared.read("stdout")
    shared.send({"op": "run", "id": "slow", "code": "import time\nprint('first')\nwhile True: time.sleep(0.05)"})
    assert shared.read("stdout", until=lambda t: "first" in t) == "first\n"
    shared.send({"op": "interrupt", "id": "slow"})
    assert shared.wait("done")["interrupted"] is True


def test_hundred_megabytes(shared):
    began = time.monotonic()
    shared.run("for _ in range(100): print('x' * 1_000_000)", next(RUN))
    assert len(shared.read("stdout", until=lambda t: len(t) >= 100_000_000)) == 100_000_100
    assert time.monotonic() - began < 60


def test_closed_and_replaced_streams(shared):
    assert run(shared, "import os; os.close(1); os.close(2)")[0]["ok"]
    assert run(shared, "print('back')")[2] == "back\n"
    run(shared, "import sys; sys.stdout.close()")
    assert run(shared, "print('again')")[2] == "again\n"
    run(shared, "import sys; sys.stdout = None; sys.stderr = 5")
    assert run(shared, "print('third')")[2] == "third\n"
    run(shared, "import os; f = os.open('/dev/null', os.O_WRONLY); os.dup2(f, 1)")
    assert run(shared, "print('fourth')")[2] == "fourth\n"
    run(shared, "import io, sys; keep = sys.stdout; sys.stdout = io.StringIO()")
    assert run(shared, "print('kept')")[2] == ""
    assert run(shared, "text = sys.stdout.getvalue(); sys.stdout = keep; print(text)")[2] == "kept\n\n"


def test_standard_input_is_empty(shared):
    assert run(shared, "input()")[0]["error"]["name"] == "EOFError"


def test_threads_go_on_after_the_cell(shared):
    run(shared, "import threading, time\ngo = threading.Event()\ndef late():\n    go.wait()\n    print('late')\nt = threading.Thread(target=late); t.start()")
    assert run(shared, "go.set(); t.join()")[2] == "late\n"


def test_fork(shared):
    done, _, out, _ = run(shared, "import os\npid = os.fork()\nif pid:\n    _, status = os.waitpid(pid, 0)\n    print('child', os.waitstatus_to_exitcode(status))\nelse:\n    print('in child', flush=True)")
    assert done["ok"] and out == "in child\nchild 0\n"
    out = run(shared, "pid = os.fork()\nif not pid: raise ValueError('child')\n_, status = os.waitpid(pid, 0); print(os.waitstatus_to_exitcode(status))")[2]
    assert out == "1\n"


def test_multiprocessing(shared):
    done, _, out, err = run(shared, "import multiprocessing as mp\ndef sq(n): return n * n\nwith mp.get_context('fork').Pool(2) as p: print(p.map(sq, range(4)))")
    assert out == "[0, 1, 4, 9]\n", err


def test_functions_pickle_by_value(shared):
    out = run(shared, "import pyspark.cloudpickle as cp, pickle, subprocess, sys\ndef inc(v): return v + 1\ndata = cp.dumps(inc)\nprint(subprocess.run([sys.executable, '-c', 'import sys, pickle; print(pickle.loads(bytes.fromhex(sys.argv[1]))(4))', data.hex()], capture_output=True, text=True).stdout)")[2]
    assert out.strip() == "5"
    assert run(shared, "import __main__; print(__main__.inc is inc, __name__)")[2] == "True __main__\n"


def test_dying_interpreter(runner):
    with pytest.raises(Failed):
        runner.run("import os; os._exit(7)")
    assert runner.process.wait(10) == 7


def test_top_level_await(shared):
    assert run(shared, "import asyncio\nasync def f():\n    await asyncio.sleep(0)\n    return 5\nawait f()")[1][0]["data"]["text/plain"] == "5"
    assert run(shared, "for n in range(2):\n    await asyncio.sleep(0)\nn")[1][0]["data"]["text/plain"] == "1"


def test_loggers(shared):
    err = run(shared, "athena_user_logger.info('from user'); athena_shared_logger.warning('w'); athena_user_logger.debug('no')")[3]
    first, second = err.splitlines()
    assert first.startswith("AthenaForApacheSpark: 20") and first.endswith(" INFO builtins: from user")
    assert second.endswith(" WARNING builtins: w")


def test_pandas(shared):
    data = run(shared, "import pandas\npandas.DataFrame({'a': [1]})")[1][0]["data"]
    assert "<table" in data["text/html"] and "a" in data["text/plain"]


def test_figures(shared):
    shown = run(shared, "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])")[1]
    assert [s["final"] for s in shown] == [False]
    assert base64.b64decode(shown[0]["data"]["image/png"]).startswith(b"\x89PNG")
    assert run(shared, "plt.get_fignums()")[1][0]["data"]["text/plain"] == "[]"
    done, shown, _, err = run(shared, "_ = plt.plot([1]); plt.show(); _ = plt.plot([2]); 5")
    assert [s["final"] for s in shown] == [False, False, True] and err == ""
    shown = run(shared, "fig, ax = plt.subplots(); fig")[1]
    assert len(shown) == 1 and shown[0]["final"] and "image/png" in shown[0]["data"]


def test_figures_of_a_failed_cell_are_not_left_for_the_next(shared):
    assert not run(shared, "import matplotlib.pyplot as plt\n_ = plt.plot([1]); 1 / 0")[0]["ok"]
    assert run(shared, "1")[1][0]["data"] == {"text/plain": "1"}
    assert len(run(shared, "2")[1]) == 1


def test_plotly(shared):
    data = run(shared, "import plotly.graph_objects as go\ngo.Figure(go.Bar(y=[1, 2]))")[1][0]["data"]
    assert json.loads(data["application/vnd.plotly.v1+json"])["data"][0]["type"] == "bar"


@pytest.mark.parametrize("code", [
    "import time; time.sleep(600)",
    "while True: pass",
    "import threading; threading.Event().wait()",
    "import subprocess; subprocess.run(['sleep', '600'])",
    "class R:\n    def __repr__(self):\n        while True: pass\nR()",
    "import time\nwhile True:\n    try: time.sleep(1)\n    except KeyboardInterrupt: caught = globals().get('caught', 0) + 1\n    if globals().get('caught', 0) > 1: raise ValueError('enough')",
    "import asyncio; await asyncio.sleep(600)",
    "'%0999999999d' % 1; sum(x for x in range(10**12))",
])
def test_interrupt(shared, code):
    shared.send({"op": "run", "id": "stuck", "code": "print('running')\n" + code})
    shared.read("stdout", until=lambda t: "running" in t)
    began = time.monotonic()
    shared.send({"op": "interrupt", "id": "stuck"})
    done = shared.wait("done", 20)
    assert (done["ok"], done["interrupted"]) == (False, True), done
    assert "glaux" not in "".join(done["error"]["traceback"])
    assert time.monotonic() - began < 5
    assert run(shared, "'next'")[0]["ok"]


def test_interrupt_of_another_cell_is_ignored(shared):
    shared.send({"op": "interrupt", "id": "nothing"})
    shared.send({"op": "run", "id": "mine", "code": "import time; time.sleep(0.3); 'done'"})
    shared.send({"op": "interrupt", "id": "other"})
    assert shared.wait("done")["ok"]


def test_interrupts_at_any_moment_leave_the_runner_usable(shared):
    for n in range(200):
        cell = "race-%d" % n
        shared.send({"op": "run", "id": cell, "code": "for i in range(%d): pass" % (n * 50)})
        shared.send({"op": "interrupt", "id": cell})
        done = shared.wait("done", 20)
        assert done["id"] == cell
    assert run(shared, "6 * 7")[1][0]["data"]["text/plain"] == "42"


def test_interrupt_before_the_cell_begins(shared):
    for n in range(20):
        cell = "early-%d" % n
        shared.send({"op": "run", "id": cell, "code": "import time; time.sleep(600)"}, {"op": "interrupt", "id": cell})
        done = shared.wait("done", 20)
        assert (done["id"], done["ok"], done["interrupted"], done["error"]["name"]) == (cell, False, True, "KeyboardInterrupt")
    assert run(shared, "6 * 7")[1][0]["data"]["text/plain"] == "42"


def test_signal_from_elsewhere_is_ignored(shared):
    pid = int(run(shared, "import os; print(os.getpid())")[2])
    os.kill(pid, 2)
    shared.send({"op": "run", "id": "s", "code": "import time; time.sleep(0.3)"})
    os.kill(pid, 2)
    assert shared.wait("done")["ok"]


def test_ping_while_a_cell_runs(shared):
    shared.send({"op": "run", "id": "busy", "code": "while True: pass"})
    shared.send({"op": "ping", "n": 5})
    assert shared.wait("pong")["n"] == 5
    shared.send({"op": "interrupt", "id": "busy"})
    assert shared.wait("done")["interrupted"]


def test_shim_gone_ends_the_runner(runner):
    runner.send({"op": "run", "id": "x", "code": "while True: pass"})
    runner._socket.shutdown(2)
    assert runner.process.wait(10) == 0


def test_exit_op(runner):
    runner.send({"op": "exit"})
    assert runner.process.wait(10) == 0
