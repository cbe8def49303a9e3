# Runs a one-row query through the class on standard input in plain pyspark, and
# prints how long each of the later ones took.
import contextlib
import io
import sys
import time

from pyspark.sql import SparkSession

code = sys.stdin.read()
spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
for n in range(60):
    exec(code, globals())
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        Wrapper.execute("select 1 as one", output=True)
    took = time.perf_counter() - began
    if n >= 10:
        print("%.3fms" % (took * 1000))
spark.stop()
