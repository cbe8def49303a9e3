"""One real session, end to end, on free ports and in a temporary directory.

Starts bin/glaux, puts a CSV file into S3 with boto3, starts a session, aggregates
the file with PySpark over s3://, prints what Spark printed and how long each step
took, and stops everything. Exits 0 only if all of it worked.
"""

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLAUX = ROOT / "bin" / "glaux"

CODE = """
from pyspark.sql import functions as f
weather = spark.read.csv("s3://demo/weather.csv", header=True, inferSchema=True)
(weather.groupBy("city")
    .agg(f.round(f.avg("celsius"), 1).alias("mean_celsius"), f.sum("rain_mm").alias("rain_mm"))
    .orderBy("city").show())
"""
AGAIN = """
wettest = weather.orderBy(f.desc("rain_mm")).first()
print(f"The wettest month: {wettest.month} in {wettest.city}, {wettest.rain_mm} mm")
"""


def main(tmp):
    times = []

    def timed(what, begin):
        times.append((what, time.monotonic() - begin))

    # The runtime of "make run", so that it is fetched once.
    shared = pathlib.Path(os.environ.get("XDG_DATA_HOME") or pathlib.Path.home() / ".local/share")
    runtime = os.environ.get("GLAUX_RUNTIME_DIR", str(shared / "glaux" / "runtime"))
    subprocess.run([GLAUX, "runtime", "install", "--dir", runtime], check=True)

    begin = time.monotonic()
    ready = tmp / "ready"
    log = open(tmp / "server.log", "wb")
    server = subprocess.Popen([GLAUX, "serve", "--listen", "127.0.0.1:0", "--data-dir", tmp / "data",
                               "--runtime-dir", runtime, "--ready-file", ready], stderr=log)
    try:
        while not ready.exists():
            if server.poll() is not None or time.monotonic() - begin > 30:
                sys.exit("the server did not start:\n" + (tmp / "server.log").read_text())
            time.sleep(0.002)
        timed("server start, new data directory", begin)
        exports = subprocess.check_output([GLAUX, "env", "--data-dir", tmp / "data"], text=True)
        for name in [n for n in os.environ if n.startswith("AWS_")]:
            del os.environ[name]  # a profile or a session token of the user's own would win
        for line in exports.splitlines():
            name, value = shlex.split(line)[1].split("=", 1)
            os.environ[name] = value

        import boto3  # after the environment says where to

        athena, s3 = boto3.client("athena"), boto3.client("s3")
        s3.create_bucket(Bucket="demo")
        s3.upload_file(str(pathlib.Path(__file__).with_name("weather.csv")), "demo", "weather.csv")

        begin = time.monotonic()
        session = athena.start_session(WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 2})["SessionId"]
        while (status := athena.get_session_status(SessionId=session)["Status"])["State"] != "IDLE":
            if status["State"] in ("FAILED", "TERMINATED") or time.monotonic() - begin > 180:
                sys.exit(f"the session did not start: {status}")
            time.sleep(0.01)
        timed("session start to IDLE", begin)

        for what, code in (("first calculation", CODE), ("second calculation", AGAIN)):
            begin = time.monotonic()
            calc = athena.start_calculation_execution(SessionId=session, CodeBlock=code)["CalculationExecutionId"]
            while True:
                got = athena.get_calculation_execution(CalculationExecutionId=calc)
                if got["Status"]["State"] in ("COMPLETED", "FAILED", "CANCELED"):
                    break
                time.sleep(0.005)
            timed(what, begin)
            for uri in ("StdErrorS3Uri", "StdOutS3Uri"):
                bucket, key = got["Result"][uri].removeprefix("s3://").split("/", 1)
                print(s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode(), end="")
            if got["Status"]["State"] != "COMPLETED":
                sys.exit(f"the {what} ended {got['Status']}")
    finally:
        stopped = subprocess.run([GLAUX, "stop", "--data-dir", tmp / "data"]).returncode
        server.wait(30)
    width = max(len(what) for what, _ in times)
    print()
    for what, seconds in times:
        print(f"{what:<{width}}  {seconds * 1000:8.0f} ms")
    sys.exit(stopped)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="glaux-demo-") as directory:
        main(pathlib.Path(directory))
