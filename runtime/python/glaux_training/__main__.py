"""``python -m glaux_training train RUNTIME.json ARCHIVE`` writes a start-up archive;
``python -m glaux_training lambdas RUNTIME.json JAR`` the lambdas that sessions use, as classes;
``python -m glaux_training measure RUNTIME.json [RUNS]`` compares start-up with plain pyspark."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from glaux_training import ui, work
from glaux_training.objects import Store
from glaux_training.session import Session


def train(runtime: dict, archive: str) -> None:
    """Does the work of training in one session and writes the archive at its end."""
    # Written by Java when it exits normally.
    _train(runtime, ["-XX:ArchiveClassesAtExit=" + archive, "-Xlog:cds=off", "-Xlog:cds+dynamic=off"])
    if not os.path.exists(archive):
        raise SystemExit("Java wrote no archive")


def lambdas(runtime: dict, jar: str) -> None:
    """Does the same work and writes the lambdas that it used down as classes; see glaux.LambdaClasses."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(jar)) as dump:  # with the rest of an installation that is killed
        _train(runtime, ["-Djdk.internal.lambda.dumpProxyClasses=" + dump])
        subprocess.run([runtime["java"], "-cp", os.pathsep.join(runtime["classPath"]), "glaux.LambdaClasses", dump, jar], check=True)


def _train(runtime: dict, flags: "list[str]") -> None:
    store = Store()
    with tempfile.TemporaryDirectory(prefix="glaux-events-") as events:
        properties = {
            "spark.sql.warehouse.dir": "s3://training/warehouse",  # where a session's is
            "spark.eventLog.enabled": "true", "spark.eventLog.dir": "file://" + events, "spark.eventLog.rolling.enabled": "true",
        }
        # One that waits first: what it does meanwhile is part of it too.
        session = Session(runtime, flags=flags, properties=properties, env={**store.environment(), "GLAUX_UI_SECRET": ui.SECRET}, waits="context")
        try:
            session.claim()
            _work(runtime, session)
            ui.look(session)
        finally:
            session.close()
            store.close()


def _work(runtime: dict, session: Session) -> None:
    for number, cell in enumerate(work.CELLS):
        done = session.run(cell, "training-%d" % number)[-1]
        if done["ok"] == (number in work.FAILING):
            raise SystemExit("cell %d: %s" % (number, "\n".join(done.get("error", {}).get("traceback", ["did not fail"]))))
    env = {**os.environ, "GLAUX_CLIENT_SOCKET": session.socket, "GLAUX_CLIENT_SECRET": session.secret}
    subprocess.run([runtime["python"], os.path.join(os.path.dirname(__file__), "connect.py")], env=env, check=True, timeout=300, stdout=subprocess.DEVNULL)


PLAIN = """
import time
t = time.monotonic()
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[2]").getOrCreate()
print("ready", time.monotonic() - t, flush=True)
spark.range(10).count()
print("count", time.monotonic() - t, flush=True)
"""


def measure(runtime: dict, runs: int) -> None:
    """Prints both sides in turns, so that a change of load hits both, and the ratios of the medians."""
    rows = {"plain": [], "glaux": []}
    for _ in range(runs):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "SPARK_", "PYSPARK_"))}
        env.update(PYSPARK_PYTHON=runtime["python"], SPARK_LOCAL_IP="127.0.0.1")
        plain = subprocess.run([runtime["python"], "-c", PLAIN], env=env, capture_output=True, text=True, check=True)
        times = dict(line.split() for line in plain.stdout.splitlines())
        rows["plain"].append((float(times["ready"]), float(times["count"])))
        session = Session(runtime)
        session.must("spark.range(10).count()")
        rows["glaux"].append((session.ready, time.monotonic() - session.began))
        archive = [e for e in session.driver.seen if e["ev"] == "archive"]
        session.close()
    for name, times in rows.items():
        print("%-6s ready %s  count %s" % (name, " ".join("%.2f" % t[0] for t in times), " ".join("%.2f" % t[1] for t in times)))
    ready, count = ([statistics.median(t[i] for t in rows[name]) for name in ("glaux", "plain")] for i in (0, 1))
    print("ready %.2f / %.2f = %.2f   first count %.2f / %.2f = %.2f   archive used: %s" % (
        *ready, ready[0] / ready[1], *count, count[0] / count[1], archive[0]["used"] if archive else "?"))


def main(argv: "list[str]") -> None:
    with open(argv[2]) as file:
        runtime = json.load(file)
    if argv[1] == "train":
        train(runtime, argv[3])
    elif argv[1] == "lambdas":
        lambdas(runtime, argv[3])
    elif argv[1] == "measure":
        measure(runtime, int(argv[3]) if len(argv) > 3 else 3)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv)
