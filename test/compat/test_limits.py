"""What keeps sessions from each other's memory, on machines with control groups for it."""

from conftest import Server, Spark, wait_for


def test_a_driver_that_outgrows_its_limit_dies_alone(tmp_path):
    server = Server(tmp_path, "--confine-beyond-heap", "700").start()
    try:
        said = (tmp_path / "server.log").read_text()
        if "share memory and processors without limits" in said:
            assert "why=" in said  # a machine that has no control groups for us
            return
        greedy, other = Spark(server), Spark(server)
        greedy.wait()
        other.wait()
        calc = greedy.start("kept = b'x' * (2500 << 20)\nprint(len(kept))")
        ended = greedy.finish(calc)
        assert ended["Status"]["State"] == "FAILED", ended["Status"]
        wait_for("the greedy session ends", 30, lambda: greedy.status()["State"] == "FAILED")
        reason = greedy.status()["StateChangeReason"]
        assert "ran out of memory" in reason and "1724 MiB for all its processes together" in reason, reason
        assert other.run("print(1 + 1)")[0] == "2\n"

        # A worker that outgrows it fails its task; the session lives, and its log says why.
        calc = other.start("print(sc.parallelize([1], 1).map(lambda _: len(b'x' * (2500 << 20))).collect())")
        assert other.finish(calc)["Status"]["State"] == "FAILED"
        assert other.run("print(1 + 1)")[0] == "2\n"
        logs = server.data / "sessions" / other.id / "logs"
        wait_for("the log says so", 20, lambda: any(b"the kernel has ended a process of this session: the session has 1724 MiB" in f.read_bytes()
                                                   for f in logs.rglob("*") if f.is_file()))
        other.end()
    finally:
        server.stop()
