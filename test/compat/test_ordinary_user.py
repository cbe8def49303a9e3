"""The whole server as an ordinary user: sessions run as that user."""

import os
import pathlib
import shlex
import shutil
import signal
import tempfile

import pytest

from conftest import ROOT, RUNTIME, Server, Spark, processes, wait_for
from test_dashboard import Browser, url_of

NOBODY = 65534


def closed(path):
    """The highest directory above path that others may not pass, or None."""
    for directory in reversed(pathlib.Path(path).parents):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None


def opened(needed):
    """Shell lines for a mount namespace of one's own in which everybody reaches what is needed."""
    groups = {}
    for path in needed:
        directory = closed(path)
        if directory is not None:
            groups.setdefault(directory, []).append(path)
    lines = ["set -e", "aside=$(mktemp -d)", "mount -t tmpfs tmpfs $aside"]
    for n, path in enumerate(p for group in groups.values() for p in group):
        lines += [f"mkdir $aside/{n}", f"mount --bind {shlex.quote(str(path))} $aside/{n}"]
    n = 0
    for directory, paths in groups.items():
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(directory))}")
        for path in paths:
            at = shlex.quote(str(path))
            lines += [f"mkdir -p {at}", f"mount --bind $aside/{n} {at}"]
            n += 1
    lines += ["umount -l $aside", "rmdir $aside"]
    return "\n".join(lines)


class OrdinaryServer(Server):
    """A server that root starts as a user without rights."""

    def command(self, *arguments):
        python = next(RUNTIME.glob("python*/bin/python3")).resolve().parents[1]
        needed = [python, ROOT / "bin", RUNTIME, self.tmp]
        serve = shlex.join(["env", "-i", "PATH=" + os.environ["PATH"], f"HOME={self.tmp}", f"TMPDIR={self.tmp}",
                            "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                            *map(str, arguments)])
        return ["unshare", "--mount", "sh", "-c", opened(needed) + "\nexec " + serve]


@pytest.fixture
def ordinary():
    tmp = pathlib.Path(tempfile.mkdtemp(prefix="glo"))  # short: it holds sockets
    if os.geteuid() == 0:
        os.chown(tmp, NOBODY, NOBODY)
        s = OrdinaryServer(tmp)
    else:
        s = Server(tmp)
    yield s.start()
    s.stop()
    if s.process.poll() is None:
        s.kill()
    shutil.rmtree(tmp)


def test_session_of_an_ordinary_user(ordinary):
    s3 = ordinary.client("s3")
    s3.create_bucket(Bucket="mine")
    spark = Spark(ordinary)
    spark.wait("IDLE")
    out, _ = spark.run("import os; print(os.getuid(), spark.range(5).count())")
    assert out == f"{os.geteuid() or NOBODY} 5\n"
    spark.run("spark.range(3).write.parquet('s3://mine/table')")

    ordinary.kill(signal.SIGKILL)
    ordinary.start()
    out, _ = spark.run("print(spark.read.parquet('s3://mine/table').count())")
    assert out == "3\n"
    browser = Browser(ordinary)
    browser.open(url_of(ordinary, spark.id))
    assert "Completed Jobs" in browser.page("/jobs/")
    spark.end()
    assert "Completed Jobs" in browser.page("/jobs/")  # from its event log
    wait_for("nothing of the session is left", 10, lambda: not [p for p in processes().values() if spark.id in p])
