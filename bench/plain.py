# The peer of a cold session: plain pyspark, as its documentation starts it.
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[2]").getOrCreate()
print("session", flush=True)
spark.range(10).count()
print("count", flush=True)
spark.stop()
