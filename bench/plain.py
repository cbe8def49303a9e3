# The peer of a session: plain pyspark, as its documentation starts it. After
# its first count it runs the blocks of code that come in, each a line of JSON,
# and says when each is done.
import json
import sys

from pyspark.sql import SparkSession

builder = SparkSession.builder.master("local[2]")
for argument in sys.argv[1:]:
    builder = builder.config(*argument.split("=", 1))
spark = builder.getOrCreate()
print("session", flush=True)
spark.range(10).count()
print("count", flush=True)
for line in sys.stdin:
    exec(json.loads(line), globals())
    print("done", flush=True)
spark.stop()
