"""The runtime under test is the installed one (GLAUX_RUNTIME_DIR), with the runner of this source tree."""

import json
import os
import pathlib
import sys
import tempfile

import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE))

from glaux_training.session import Runner, Session  # noqa: E402


@pytest.fixture(scope="session")
def runtime() -> dict:
    path = pathlib.Path(os.environ["GLAUX_RUNTIME_DIR"], "runtime.json")
    installed = json.loads(path.read_text())
    installed["pythonPath"] = [str(SOURCE)]
    return installed


def environment(runtime: dict) -> dict:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SPARK_", "PYSPARK_"))}
    env.update(PYTHONPATH=str(SOURCE), SPARK_HOME=runtime["sparkHome"])
    return env


@pytest.fixture
def runner(runtime):
    """A runner of its own, without a JVM."""
    with tempfile.TemporaryDirectory() as cwd:
        made = Runner(environment(runtime), cwd, runtime["python"])
        made.wait("imported")
        yield made
        made.close()


@pytest.fixture(scope="module")
def shared(runtime):
    """A runner that the tests of a module share, because starting one takes a while."""
    with tempfile.TemporaryDirectory() as cwd:
        made = Runner(environment(runtime), cwd, runtime["python"])
        made.wait("imported")
        yield made
        made.close()


@pytest.fixture(scope="module")
def session(runtime):
    """A whole session with Spark."""
    with Session(runtime) as made:
        yield made
