"""Budgets that queue, and starts that wait for memory, with real drivers."""

import os
import pathlib
import re
import urllib.request

import pytest
from conftest import Remote, Server, Spark, wait_for
from test_workgroups import refused


def metric(server, name, **labels):
    text = urllib.request.urlopen(f"http://{server.names['metrics']}/metrics", timeout=10).read().decode()
    wanted = "".join(f'{k}="{v}"' for k, v in labels.items())
    found = re.search(rf"^{name}(?:\{{{wanted}\}})? (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


@pytest.fixture
def budgets(tmp_path):
    """Starts servers with budgets in one data directory."""
    made = []

    def start(*args, kind=Server):
        for s in made:
            s.kill()
        made[:] = [kind(tmp_path, *args).start()]
        return made[0]

    yield start
    for s in made:
        s.stop()
        if s.process.poll() is None:
            s.kill()


def test_a_queue_that_says_why_and_survives(budgets):
    limits = ("--budget-account-sessions", "1")
    server = budgets(*limits)
    first = Spark(server)
    first.wait("IDLE")
    second, third = Spark(server), Spark(server, workgroup="spark35")
    glue = server.client("glue")
    glue.create_session(Id="waits", Role="arn:aws:iam::000000000000:role/r", Command={"Name": "glueetl", "PythonVersion": "3"})
    said = "The session waits to be started: the account runs 1 of 1 sessions. It is number {} of 3 in the queue, and waits until "
    for n, s in ((1, second), (2, third)):
        status = s.status()
        assert status["State"] == "CREATING" and status["StateChangeReason"].startswith(said.format(n)), status
    got = glue.get_session(Id="waits")["Session"]
    assert got["Status"] == "PROVISIONING" and got["ErrorMessage"].startswith(said.format(3)), got
    assert metric(server, "glaux_sessions_queued", **{"for": "account-sessions"}) == 3
    refused(lambda: second.start("1"), "InvalidRequestException", "CREATING")

    server.kill()
    server.start()
    assert second.status()["StateChangeReason"].startswith(said.format(1))
    second.athena.terminate_session(SessionId=second.id)
    wait_for("it is over", 10, lambda: second.status()["State"] == "TERMINATED")
    glue.stop_session(Id="waits")
    wait_for("it is over", 10, lambda: glue.get_session(Id="waits")["Session"]["Status"] == "STOPPED")
    assert "number 1 of 1 in the queue" in third.status()["StateChangeReason"]
    remote = Remote(server, third.id)
    client = remote.start("print(spark.range(10).count())")  # its calls wait with the session
    first.end()
    assert remote.finish(client)[0] == "10\n"
    third.wait("IDLE")
    assert third.run("print(1 + 1)")[0] == "2\n"
    assert "StateChangeReason" not in third.status()
    assert metric(server, "glaux_session_queue_seconds_count", outcome="admitted") == 1
    third.end()


def test_refusals_have_the_text_of_aws(budgets, tmp_path):
    config = tmp_path / "budgets.yaml"
    config.write_text("budget: {account-dpus: 8, workgroups: [{name: spark, dpus: 4, policy: refuse}]}\n")
    server = budgets("--config", str(config))
    first = Spark(server, EngineConfiguration={"MaxConcurrentDpus": 3})
    refused(lambda: Spark(server), "TooManyRequestsException",
            "Maximum allowed sessions reached: the sessions of workgroup spark have 3 of 4 DPUs, and it may need 2.")
    refused(lambda: Spark(server, EngineConfiguration={"MaxConcurrentDpus": 5}), "InvalidRequestException",
            "MaxConcurrentDpus 5 is more than the 4 DPUs that the sessions of workgroup spark may have.")
    other = Spark(server, workgroup="spark35", EngineConfiguration={"MaxConcurrentDpus": 6})  # that one queues
    assert "the sessions of the account have 3 of 8 DPUs, and it may need 6" in other.status()["StateChangeReason"]
    assert metric(server, "glaux_sessions_refused_total", by="workgroup-dpus") >= 1  # the client tries again
    for s in (other, first):
        s.end()


def own_group():
    """The memory control group of this process and the file of its limit, or None where no group can be made in it."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return pathlib.Path("/sys/fs/cgroup/memory" + path), "memory.limit_in_bytes"
        if controllers == "" and "memory" in pathlib.Path(f"/sys/fs/cgroup{path}/cgroup.subtree_control").read_text():
            return pathlib.Path("/sys/fs/cgroup" + path), "memory.max"
    return None


@pytest.fixture
def group(tmp_path):
    """A control group of 2 GiB; None where no group can be made, as for an ordinary user."""
    found = own_group() if os.geteuid() == 0 else None
    if found is None:
        yield None
        return
    parent, limit = found
    made = parent / f"glaux-test-{os.getpid()}"
    made.mkdir()
    (made / limit).write_text(str(2 << 30))
    yield made
    wait_for("the group is empty", 30, lambda: not any(f.read_text() for f in made.rglob("cgroup.procs")))
    for below in sorted(made.rglob("*/"), reverse=True):
        below.rmdir()
    made.rmdir()


@pytest.fixture
def small(group, budgets):
    """Starts servers on a machine of little memory: in the group, or one that keeps all but 1300 MiB free."""

    class Confined(Server):
        def command(self, *arguments):
            return ["sh", "-c", f"echo $$ >{group}/cgroup.procs && exec \"$@\"", "sh", *arguments]

    def start(*args):
        if group:
            return budgets("--memory-headroom", "700", *args, kind=Confined)
        total = int(re.search(r"MemTotal: +(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) >> 10
        return budgets("--memory-headroom", str(total - 1300), *args)

    return start


def kills(group):
    """How many processes the kernel has killed in the group and below for want of memory."""
    files = [*group.rglob("memory.oom_control"), *group.rglob("memory.events")]
    return sum(int(n) for f in files for n in re.findall(r"^oom_kill (\d+)$", f.read_text(), re.M))


def swapped(group):
    """How many bytes of the group's memory the kernel has moved to disk."""
    files = [*group.rglob("memory.stat"), *group.rglob("memory.swap.current")]
    return sum(int(n) for f in files for n in re.findall(r"^(?:swap )?(\d+)$", f.read_text(), re.M))


def test_a_start_waits_while_another_session_has_the_memory(small, group):
    server = small()
    works = Spark(server)
    works.wait("IDLE")
    works.run("block = b'x' * (850 << 20)")
    waits = Spark(server)
    status = waits.status()
    assert status["State"] == "CREATING" and "MiB of memory are available" in status["StateChangeReason"], status
    listed = waits.athena.list_sessions(WorkGroup="spark", StateFilter="CREATING")["Sessions"]
    assert [s["SessionId"] for s in listed] == [waits.id] and "MiB" in listed[0]["Status"]["StateChangeReason"]
    if group:  # what comes back without anybody's telling is seen
        works.run("del block")
        assert kills(group) == 0
    else:
        works.end()
    waits.wait("IDLE")
    for s in (works, waits):
        s.end()


def test_too_many_starts_wait_for_memory(small, group):
    server = small()
    athena = server.client("athena")
    sessions = [Spark(server) for _ in range(10)]

    def states():
        got = [s.status() for s in sessions]
        assert not any(g["State"] == "FAILED" for g in got), got
        waiting = [i for i, g in enumerate(got) if "waits to be started" in g.get("StateChangeReason", "")]
        idle = [i for i, g in enumerate(got) if g["State"] == "IDLE"]
        return idle, waiting, got

    def settled():
        idle, waiting, got = states()
        return idle and len(idle) + len(waiting) == len(sessions) and (idle, waiting, got)

    idle, waiting, got = wait_for("the starts settle", 120, settled)
    # No more than fit, in their order, and those that wait say why.
    assert idle == list(range(len(idle))) and len(idle) < 5, got
    assert all("MiB" in got[i]["StateChangeReason"] for i in waiting), got
    for i in idle:
        assert sessions[i].run("print(spark.range(10).count())")[0] == "10\n"
    # A session that works takes what it was not counted for, and nothing is killed.
    sessions[0].run("block = b'x' * (400 << 20)")
    if group:
        assert kills(group) == swapped(group) == 0
    for i in idle:
        sessions[i].end()
    following = wait_for("those that waited start", 120, lambda: states()[0])
    waiting = states()[1]  # in their order, though of those that start together any may be the first
    assert waiting == list(range(len(sessions) - len(waiting), len(sessions))), waiting
    assert sessions[following[0]].run("print(1 + 1)")[0] == "2\n"
    if group:
        assert kills(group) == 0
    for s in sessions:
        athena.terminate_session(SessionId=s.id)


def test_drivers_that_wait_make_room(small, group):
    server = small("--pool-max", "2", "--pool-min", "1")
    wait_for("a driver waits", 120, lambda: metric(server, "glaux_pool_drivers", state="ready") >= 1)
    sessions = [Spark(server) for _ in range(6)]

    def settled():
        got = [s.status() for s in sessions]
        assert not any(g["State"] == "FAILED" for g in got), got
        idle = [s for s, g in zip(sessions, got) if g["State"] == "IDLE"]
        waiting = [g for g in got if "waits to be started" in g.get("StateChangeReason", "")]
        return len(idle) + len(waiting) == len(sessions) and (idle, waiting)

    idle, waiting = wait_for("the starts settle", 120, settled)
    assert len(idle) > 1 and waiting and all("MiB" in g["StateChangeReason"] for g in waiting), (len(idle), waiting)
    assert metric(server, "glaux_pool_launches_total", tier="warm") >= 1
    idle[0].run("block = b'x' * (400 << 20)")
    for s in idle[1:]:
        assert s.run("print(spark.range(10).count())")[0] == "10\n"
    # What the heap has grown by, nobody waits in the place of.
    assert metric(server, "glaux_pool_drivers", state="ready") + metric(server, "glaux_pool_drivers", state="launching") <= 1
    if group:
        assert kills(group) == 0
    for s in sessions:
        s.athena.terminate_session(SessionId=s.id)
