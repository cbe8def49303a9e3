"""One Spark of the installed runtime (GLAUX_RUNTIME_DIR) for all tests of the library, which is the one of this source tree."""

import json
import os
import pathlib
import sys

import pytest

SOURCE = str(pathlib.Path(__file__).resolve().parents[2])
RUNTIME = json.loads(pathlib.Path(os.environ["GLAUX_RUNTIME_DIR"], "runtime.json").read_text())

sys.path.insert(0, SOURCE)
sys.path.append(str(pathlib.Path(RUNTIME["sparkHome"]).parent))
os.environ.update(SPARK_HOME=RUNTIME["sparkHome"], SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=RUNTIME["python"], PYTHONPATH=SOURCE)


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    from pyspark.sql import SparkSession

    avro = [j for j in RUNTIME["classPath"] if "spark-avro" in j]
    made = (SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
            .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1").config("spark.jars", ",".join(avro))
            .config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("warehouse"))).getOrCreate())
    yield made
    made.stop()


@pytest.fixture(scope="session")
def glue(spark):
    from awsglue.context import GlueContext

    return GlueContext(spark.sparkContext)


@pytest.fixture
def frame(glue):
    """Makes a frame of dictionaries."""
    return lambda rows, name="frame": glue.create_dynamic_frame.from_rdd(rows, name)


def plain(frame) -> list:
    """The records of a frame, as dictionaries in the order of their text."""
    from awsglue import records

    df = frame._df
    return sorted((records.record(r, df.schema) for r in df.collect()), key=repr)
