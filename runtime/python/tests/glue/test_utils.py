"""Arguments, and the beginning that every script has."""

import pytest

from awsglue.utils import GlueArgumentError, getResolvedOptions


def test_arguments():
    args = ["script.py", "--JOB_NAME", "j", "--day=2024-01-01", "--empty", "", "--flag", "--TempDir", "s3://b/t", "--job-bookmark-option", "job-bookmark-enable"]
    found = getResolvedOptions(args, ["JOB_NAME", "day", "empty", "flag"])
    assert found == {"JOB_NAME": "j", "day": "2024-01-01", "empty": "", "flag": "", "TempDir": "s3://b/t", "job_bookmark_option": "job-bookmark-enable"}


def test_arguments_that_are_not_there():
    assert getResolvedOptions(["s"], []) == {"job_bookmark_option": "job-bookmark-disable"}
    with pytest.raises(GlueArgumentError, match="--nope"):
        getResolvedOptions(["s", "--a", "1"], ["nope"])
    with pytest.raises(GlueArgumentError, match="without hyphens"):
        getResolvedOptions(["s", "--a", "1"], ["--a"])


def test_the_beginning_of_a_script(spark):
    names = {}
    exec(
        "import sys\nfrom awsglue.transforms import *\nfrom awsglue.utils import getResolvedOptions\nfrom pyspark.context import SparkContext\n"
        "from awsglue.context import GlueContext\nfrom awsglue.job import Job\nfrom awsglue.dynamicframe import DynamicFrame\n"
        "sc = SparkContext.getOrCreate()\nglueContext = GlueContext(sc)\nspark = glueContext.spark_session\njob = Job(glueContext)\njob.init('j', {})\n"
        "frame = DynamicFrame.fromDF(spark.range(3), glueContext, 'f')\nn = frame.count()\njob.commit()\n",
        names,
    )
    assert (names["n"], names["job"].isInitialized()) == (3, True)


def test_what_is_missing_says_so(glue, frame):
    with pytest.raises(NotImplementedError, match="GlueContext.purge_table"):
        glue.purge_table("d", "t")
    with pytest.raises(NotImplementedError, match="'dynamodb'"):
        glue.create_dynamic_frame.from_options("dynamodb", {"x": 1})
    with pytest.raises(NotImplementedError, match="'xml'"):
        glue.write_dynamic_frame.from_options(frame([{"a": 1}]), "s3", {"path": "/tmp/never"}, "xml")
    with pytest.raises(NotImplementedError, match="FindMatches"):
        from awsglue.transforms import FindMatches

        FindMatches.apply(frame=None)
    with pytest.raises(NotImplementedError, match="gluetypes.StringType"):
        from awsglue import gluetypes

        gluetypes.StringType
    with pytest.raises(AttributeError):
        glue.no_such_thing
