"""The released Jupyter kernels of AWS Glue, headless, over real notebooks.

The server and the kernels have a network of their own in which there is
nothing else: what a kernel asks anybody but the server fails there.
"""

import base64
import json
import re
import subprocess

import pytest

from conftest import ROOT, ApartServer, environment

HERE = ROOT / "test" / "compat"
VENV = environment("kernel.txt")

# A profile whose credentials are of a role: the kernel asks STS who it is and
# IAM for the role's ARN, and starts sessions as that role.
PROFILE = """
[profile glaux]
region = us-east-1
role_arn = arn:aws:iam::000000000000:role/notebooks/scientist
role_session_name = ada
credential_source = Environment
"""


class Notebook:
    """One notebook that runs, and what it had to show."""

    def __init__(self, server, name, **env):
        self.path = server.tmp / name
        self.log = open(server.tmp / f"{name}.log", "w+")
        self.process = subprocess.Popen(server.inside(VENV / "bin/python", HERE / "run_notebook.py", HERE / "notebooks" / name, self.path),
                                        env={**server.kernels, **env}, stdout=self.log, stderr=subprocess.STDOUT, cwd=server.tmp)
        self.cells = None

    def read(self):
        """Wait for its end and return it."""
        if self.cells is None:
            code = self.process.wait(150)
            self.log.seek(0)
            assert code == 0, self.log.read()[-4000:]
            self.cells = {c["id"]: c for c in json.loads(self.path.read_text())["cells"]}
        return self

    def outputs(self, cell, kind):
        return [o for o in self.read().cells[cell]["outputs"] if o["output_type"] == kind]

    def text(self, cell, stream="stdout"):
        return "".join("".join(o["text"]) for o in self.outputs(cell, "stream") if o["name"] == stream)

    def session(self, cell):
        """The id of the session that a cell had to make first."""
        return re.search(r"^Session (\S+) has been created\.$", self.text(cell), re.MULTILINE)[1]


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    """All notebooks, side by side on one server."""
    server = ApartServer(tmp_path_factory.mktemp("kernels"))
    server.listen = "127.0.0.1:4580"
    server.start()
    home = server.tmp / "home"
    home.mkdir()
    (home / "config").write_text(PROFILE)
    server.kernels = {
        **server.env, "HOME": str(home), "PATH": f"{VENV}/bin:/usr/bin:/bin", "AWS_CONFIG_FILE": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter"), "JUPYTER_RUNTIME_DIR": str(home / "run"), "IPYTHONDIR": str(home / "ipython"),
    }
    subprocess.run([VENV / "bin/python", VENV / "bin/install-glue-kernels"], env=server.kernels, check=True, stdout=subprocess.DEVNULL)
    profile = {"glue_profile": "glaux"}
    studio = {"request_origin": "GlueStudioNotebook", "userId": "ada", "glue_endpoint_url": server.url}
    running = {
        "pyspark": Notebook(server, "pyspark.ipynb", **profile),
        "studio": Notebook(server, "studio.ipynb", **studio),
        "idle": Notebook(server, "idle.ipynb", **profile),
        "scala": Notebook(server, "scala.ipynb", **profile),
    }
    yield running
    for n in running.values():
        if n.process.poll() is None:
            n.process.kill()
            n.process.wait()
        n.log.close()
    server.stop()


@pytest.fixture
def pyspark(notebooks):
    return notebooks["pyspark"]


def test_magics_before_a_session(pyspark):
    assert "There is no current session." in pyspark.text("no-session")
    assert "Setting session ID prefix to compat" in pyspark.text("magics")
    assert "idle_timeout has been set to 30 minutes." in pyspark.text("magics")


def test_a_session_is_made_for_the_profile(pyspark):
    assert pyspark.session("print").startswith("compat-")
    assert pyspark.text("print").rstrip().endswith("printed")
    assert pyspark.text("value").strip() == "42"
    status = pyspark.text("status")
    for line in ("Status: READY", "Role: arn:aws:iam::000000000000:role/notebooks/scientist", "GlueVersion: 5.0", "Session Type: glueetl",
                 "Idle Timeout: 30", "Worker Type: G.1X", "Number of Workers: 2", "'team': 'blue'", "'owner': 'AROA"):
        assert line in status, (line, status)
    assert f"Session ID: {pyspark.session('print')}" in status


def test_sessions_are_listed_and_tagged(pyspark):
    assert re.search(rf"\| {pyspark.session('print')} *\| READY ", pyspark.text("list"))
    assert "Tag {'step': 'later'} added" in pyspark.text("tag-later")


def test_arguments_and_sql(pyspark):
    assert pyspark.text("arguments").split() == ["hello", "3"]
    assert "|   10|" in pyspark.text("spark-sql")
    assert re.findall(r"\| +(\d+)\|", pyspark.text("sql")) == ["9", "16"]


def test_errors_are_told_and_over(pyspark):
    assert pyspark.text("error").strip() == "ZeroDivisionError: division by zero"
    assert pyspark.text("after-error").strip() == "0.5"


def test_a_plot_is_an_image(pyspark):
    [plot] = pyspark.outputs("plot", "display_data")
    assert base64.b64decode(plot["data"]["image/png"]).startswith(b"\x89PNG\r\n")


def test_the_library_is_there(pyspark):
    assert pyspark.text("library").strip() == "3"


def test_an_interrupted_cell_leaves_the_session(pyspark):
    assert "Execution Interrupted. Attempting to cancel the statement" in pyspark.text("long")
    assert pyspark.text("after-long").strip() == "'kept'"


def test_a_stopped_session_is_followed_by_a_new_one(pyspark):
    assert "Stopped session." in pyspark.text("stop")
    assert pyspark.session("again") != pyspark.session("print")
    assert pyspark.text("again").rstrip().endswith("new False")
    assert "Stopped session." in pyspark.text("stop-again")


def test_without_a_profile(notebooks):
    studio = notebooks["studio"]
    assert studio.text("first").rstrip().endswith("10")
    assert studio.session("first") in studio.text("list")
    assert "|from sql|" in studio.text("sql")
    assert "Stopped session." in studio.text("stop")


def test_a_session_left_alone_times_out_and_is_made_again(notebooks):
    idle = notebooks["idle"]
    assert idle.text("first").rstrip().endswith("first session")
    late = idle.text("late", "stderr")
    assert f"session_id={idle.session('first')} has reached TIMEOUT status." in late
    assert "Please re-run the same cell to restart the session." in late
    assert idle.session("again") != idle.session("first")
    assert idle.text("again").rstrip().endswith("False")


def test_scala(notebooks):
    scala = notebooks["scala"]
    assert "answer: Int = 42" in scala.text("value")
    assert re.search(r"\| *Ada\| *36\|", scala.text("class")) and "Bob" not in scala.text("class")
    assert re.search(r"\| *Bob\|", scala.text("sql"))
    assert "43" in scala.text("print").split()
    assert "IndexOutOfBoundsException" in scala.text("error")
    assert "type mismatch" in scala.text("wrong")
    assert "Int = 43" in scala.text("after")
    assert "Stopped session." in scala.text("stop")
