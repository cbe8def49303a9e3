"""Servers, shims, JVMs and interpreters that are killed."""

import json
import os
import pathlib
import signal
import subprocess
import time

from conftest import GLAUX, Server, Spark, processes, wait_for


def children(pid):
    """Every living descendant of a process."""
    parents = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if fields[0] != "Z":
                    parents[int(entry.name)] = int(fields[1])
            except OSError:
                continue
    out, todo = [], [pid]
    while todo:
        p = todo.pop()
        kids = [c for c, q in parents.items() if q == p]
        out += kids
        todo += kids
    return out


def shim_of(server):
    """The only shim below the server's data directory."""
    found = [p for p, line in processes().items() if "glaux-shim" in line.split(" ")[0] and str(server.data) in line
             or "glaux-shim" in line.split(" ")[0] and environ_names(p, server.data)]
    tops = [p for p in found if not any(p in children(q) for q in found)]
    assert len(tops) == 1, [(p, processes().get(p)) for p in found]
    return tops[0]


def environ_names(pid, path):
    try:
        return os.fsencode(str(path)) in pathlib.Path(f"/proc/{pid}/environ").read_bytes() or \
            str(path) in os.readlink(f"/proc/{pid}/exe") or str(path) in os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False


def of_kind(pids, word):
    return [p for p in pids if word in processes().get(p, "")]


def test_kill_9_of_the_server_under_a_running_calculation(own_server):
    s = Spark(own_server)
    s.wait("IDLE")
    s.run("x = 'kept'")
    calc = s.start("import time\nfor n in range(8):\n    print(n, flush=True)\n    time.sleep(0.5)\nx")
    wait_for("calculation runs", 20, lambda: s.state(calc) == "RUNNING")
    own_server.kill()
    own_server.start()
    got = s.finish(calc, 30)
    assert got["Status"]["State"] == "COMPLETED"
    assert s.object(got["Result"]["StdOutS3Uri"]) == b"".join(b"%d\n" % n for n in range(8))
    assert s.run("print(x)")[0] == "kept\n"
    s.end()
    wait_for("nothing of the session is left", 10, lambda: not [line for line in processes().values() if s.id in line])


def test_calculation_that_ends_while_no_server_runs(own_server):
    s = Spark(own_server)
    s.wait("IDLE")
    calc = s.start("import time\ntime.sleep(2)\nprint('done alone')")
    wait_for("calculation runs", 20, lambda: s.state(calc) == "RUNNING")
    own_server.kill()
    wait_for("the shim has recorded the end", 30, lambda: list(own_server.data.glob(f"sessions/*/**/{calc}/record.json")))
    alone = time.time()
    own_server.start()
    got = s.finish(calc, 30)
    assert got["Status"]["State"] == "COMPLETED" and s.object(got["Result"]["StdOutS3Uri"]) == b"done alone\n"
    assert got["Status"]["CompletionDateTime"].timestamp() <= alone, "the end is the shim's, not the restart's"
    s.wait("IDLE")


def test_sigterm_leaves_sessions_and_says_so(own_server):
    s = Spark(own_server)
    s.wait("IDLE")
    assert own_server.kill(signal.SIGTERM) == 0
    text = (own_server.tmp / "server.log").read_text()
    assert "1 session" in text and "glaux stop" in text
    own_server.start()
    assert s.run("print(1)")[0] == "1\n"


def test_stop_without_a_server(own_server):
    s = Spark(own_server)
    s.wait("IDLE")
    shim = shim_of(own_server)
    own_server.kill()
    out = own_server.stop()
    assert out.returncode == 0, out.stdout
    wait_for("shim is gone", 10, lambda: shim not in processes())
    own_server.start()
    assert s.status()["State"] == "TERMINATED"
    again = own_server.stop()
    assert again.returncode == 0
    again = own_server.stop()
    assert again.returncode == 0, "stopping what is stopped is no error"
    env = subprocess.run([GLAUX, "env", "--data-dir", own_server.data], capture_output=True, text=True)
    assert env.returncode != 0 and "no server runs" in env.stderr


def test_killed_shim(own_server):
    s = Spark(own_server)
    s.wait("IDLE")
    shim = shim_of(own_server)
    below = children(shim)
    os.kill(shim, signal.SIGKILL)
    wait_for("session is FAILED", 5, lambda: s.status()["State"] == "FAILED")
    assert s.status()["StateChangeReason"]
    wait_for("no driver without a session", 10, lambda: not set(below) & set(processes()))


def test_killed_jvm_and_python(own_server):
    for word in ("glaux.Driver", "glaux_runner"):
        s = Spark(own_server)
        s.wait("IDLE")
        calc = s.start("import time; time.sleep(600)")
        wait_for("calculation runs", 20, lambda: s.state(calc) == "RUNNING")
        victims = of_kind(children(shim_of(own_server)), word)
        assert victims, processes()
        os.kill(victims[0], signal.SIGKILL)
        status = wait_for("session is FAILED", 5, lambda: s.status() if s.status()["State"] == "FAILED" else None)
        assert "9" in status["StateChangeReason"] or "killed" in status["StateChangeReason"].lower(), status
        assert s.finish(calc, 10)["Status"]["State"] in ("FAILED", "CANCELED")
        wait_for("nothing of the driver is left", 10, lambda: not of_kind(processes(), s.id))


def test_one_server_for_a_data_directory(own_server):
    out = subprocess.run([GLAUX, "serve", "--listen", "127.0.0.1:0", "--data-dir", own_server.data],
                         capture_output=True, text=True, timeout=20)
    assert out.returncode != 0 and "another server" in out.stderr


def test_first_start_and_files(own_server):
    root = own_server.data / "keys"
    assert root.stat().st_mode & 0o777 == 0o700
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in root.iterdir())
    assert own_server.data.stat().st_mode & 0o777 == 0o700
    assert "metrics" in own_server.names and "agent" in own_server.names
