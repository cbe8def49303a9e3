"""Cells in Scala, in a session with Spark."""

import pytest

from glaux_training.session import Session

RUN = iter("scala-%d" % n for n in range(10_000))


@pytest.fixture(scope="module")
def scala(runtime):
    with Session(runtime, wait=False, connect=False, language="scala") as made:
        made.attach(display="plain")
        yield made


def printed(session):
    with open(session.driver.printed, encoding="utf-8") as file:
        return file.read()


def run(session, code, timeout=120):
    """Runs a cell; returns its done frame and what the driver printed by then."""
    before = len(printed(session))
    done = session.runner.run(code, next(RUN), timeout=timeout)[-1]
    return done, printed(session)[before:]


def test_values_are_shown_as_at_the_prompt(scala):
    assert run(scala, "1+1") == ({"ev": "done", "id": "scala-0", "ok": True, "interrupted": False}, "res0: Int = 2\n")
    assert run(scala, "val x = 1\nval y = x + 1\nx + y")[1] == "x: Int = 1\ny: Int = 2\nres1: Int = 3\n"
    assert run(scala, "println(1)")[1] == "1\n"
    assert run(scala, "")[1] == ""
    assert run(scala, "// nothing\n")[1] == ""
