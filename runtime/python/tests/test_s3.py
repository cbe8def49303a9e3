"""Writing to S3 through the driver's defaults. The store is the one of training; the real server is tried by the server's own tests."""

import json

import pytest

from glaux_training.objects import Store
from glaux_training.session import Session


@pytest.fixture(scope="module")
def s3(runtime):
    store = Store()
    with Session(runtime, env=store.environment()) as session:
        yield session, store
    store.close()


def names(store, prefix):
    return sorted(n[len(prefix):] for n in store.objects if n.startswith(prefix) and not n.endswith("/"))


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "orc", "avro"])
def test_the_magic_committer_writes(s3, form):
    session, store = s3
    session.must("spark.range(4, numPartitions=2).write.format('%s').save('s3://data/%s')" % (form, form))
    left = names(store, "data/%s/" % form)
    assert left[0] == "_SUCCESS" and len(left) == 3 and all(n.startswith("part-") for n in left[1:]), left
    assert json.loads(store.objects["data/%s/_SUCCESS" % form])["committer"] == "magic"
    session.must("assert spark.read.format('%s').load('s3a://data/%s').count() == 4" % (form, form))


def test_an_aborted_job_leaves_nothing(s3):
    session, store = s3
    done = session.run("""
from pyspark.sql.functions import udf
def bad(v):
    if v == 3: raise ValueError('no')
    return v
spark.range(4, numPartitions=2).select(udf(bad, 'long')('id').alias('v')).write.parquet('s3://data/aborted')
""")[-1]
    assert not done["ok"]
    assert names(store, "data/aborted/") == []


def test_dynamic_partition_overwrite(s3):
    session, store = s3
    session.must("""
spark.createDataFrame([(1, 'a'), (2, 'b')], ['n', 'k']).write.partitionBy('k').parquet('s3://data/dynamic')
spark.createDataFrame([(9, 'b')], ['n', 'k']).write.partitionBy('k').mode('overwrite').option('partitionOverwriteMode', 'dynamic').parquet('s3://data/dynamic')
rows = sorted((r.n, r.k) for r in spark.read.parquet('s3://data/dynamic').collect())
assert rows == [(1, 'a'), (9, 'b')], rows
""")


def test_files_outside_s3_use_the_plain_committer(s3, tmp_path):
    session, _ = s3
    session.must("spark.range(3).write.parquet('file://%s/local')\nassert spark.read.parquet('file://%s/local').count() == 3" % (tmp_path, tmp_path))
    assert not list(tmp_path.glob("local/_temporary"))
