"""The cells of training: what sessions begin with."""

CELLS = [
    "1 + 1",
    "spark.range(10).count()",
    "spark.range(5).show()",
    """
from pyspark.sql import functions as F, Window
from pyspark.sql.types import StructType, StructField, IntegerType, StringType
df = spark.createDataFrame([(1, "a", 1.5), (2, "b", 2.5), (3, None, 3.5)], ["n", "s", "x"])
df.createOrReplaceTempView("t")
df.show()
df.printSchema()
df.describe().show()
spark.sql("select s, count(*) c, sum(x) t, max(n) from t group by s having c > 0 order by s").show()
spark.sql("select a.n, b.s from t a left join t b on a.n = b.n where a.x between 1 and 3").collect()
spark.sql("select n, upper(s), date_add(current_date(), int(n)), cast(x as decimal(10,2)), row_number() over (partition by s order by n) r from t").collect()
df.withColumn("l", F.lag("n").over(Window.orderBy("n"))).filter(F.col("s").isNotNull()).collect()
df.select(F.explode(F.array("n", F.lit(7)))).distinct().limit(3).toPandas()
df.explain()
sc.parallelize(range(100), 2).map(lambda v: (v % 3, v)).reduceByKey(lambda a, b: a + b).collect()
spark.createDataFrame([(i, i % 5) for i in range(100)], "a int, b int").groupBy("b").pivot("b").count().cache().count()
""",
    """
from pyspark.sql.functions import udf, pandas_udf
df.select(udf(lambda v: v + 1, "int")("n")).collect()
@pandas_udf("double")
def half(v):
    return v / 2
df.select(half("x")).collect()
import pandas
spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
spark.createDataFrame(pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})).toPandas()
spark.conf.unset("spark.sql.execution.arrow.pyspark.enabled")
""",
    """
spark.sql("create database if not exists trained")
df.write.mode("overwrite").saveAsTable("trained.t")
spark.sql("show tables in trained").show()
spark.sql("insert into trained.t values (9, 'z', 9.5)")
spark.table("trained.t").count()
spark.sql("describe extended trained.t").show(truncate=False)
spark.sql("drop database trained cascade")
""",
    """
for form in ("parquet", "csv", "json", "orc"):
    df.write.mode("overwrite").format(form).save("s3://training/%s/" % form)
    spark.read.format(form).load("s3://training/%s/" % form).collect()
df.write.mode("overwrite").option("header", True).csv("s3a://training/csv/")
spark.read.option("header", True).option("inferSchema", True).csv("s3a://training/csv/").groupBy("s").count().collect()
df.write.mode("append").partitionBy("s").parquet("s3://training/parts/")
spark.read.parquet("s3://training/parts/").where("s = 'a'").count()
df.write.mode("overwrite").format("avro").save("s3://training/avro/")
sc.textFile("s3://training/csv/").count()
""",
    "sc._jvm.glaux.ScalaCells.train()",
    "spark.sql('select no_such_column from t')",
    "spark.range(3).select(__import__('pyspark').sql.functions.udf(lambda v: 1 / 0)('id')).collect()",
]

# Fails on purpose, for the classes of failures.
FAILING = {len(CELLS) - 1, len(CELLS) - 2}
