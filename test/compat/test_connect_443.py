"""Spark Connect on port 443, where AWS's documentation and SageMaker Studio expect it.

The server and its clients have a network of their own, in which the port is free and allowed.
"""

import pytest

from conftest import ApartServer, environment

# Amazon's user guide, "Spark Connect support": these lines and no others.
DOCUMENTED = """
import boto3
from pyspark.sql import SparkSession

athena = boto3.client("athena")
s = athena.start_session(WorkGroup="spark35", EngineConfiguration={"MaxConcurrentDpus": 4})
e = athena.get_session_endpoint(SessionId=s["SessionId"])
url = e["EndpointUrl"].replace("https", "sc") + ":443/;use_ssl=true;x-aws-proxy-auth=" + e["AuthToken"]
spark = SparkSession.builder.remote(url).getOrCreate()
print(spark.range(10).count())
athena.terminate_session(SessionId=s["SessionId"])
"""

# The library's own Athena sessions. Two things around them are played: the
# project, which it asks DataZone in the cloud for, and the Spark properties of
# Iceberg's and Glue's catalogs, which sessions do not have here.
STUDIO = """
import os, time, types
import sagemaker_studio.utils.spark.session.athena.athena_spark_session_manager as athena

athena.Project = lambda: types.SimpleNamespace(id="project")
athena.build_spark_configs = lambda **given: {"spark.sql.shuffle.partitions": "7"}
connection = types.SimpleNamespace(type="SPARK_CONNECT", data=types.SimpleNamespace(workgroup_name="spark35"))
manager = athena.AthenaSparkSessionManager(connection=connection)
spark = manager.create()
try:
    print(spark.conf.get("spark.sql.shuffle.partitions"), spark.range(10).count())
    time.sleep(3)  # its token is old then: it asks for another one before it expires
    print(len(spark.range(100000).toPandas()))
finally:
    manager.stop()
"""


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    s = ApartServer(tmp_path_factory.mktemp("apart"), "--connect-token-life", "5m2s")
    s.listen = "127.0.0.1:4580"  # with a free port no other listener would take a fixed one
    s.start()
    yield s
    s.stop()


def test_the_documented_lines(apart):
    assert apart.names["connect"] == "127.0.0.1:443"
    assert apart.python(DOCUMENTED).split() == ["10"]


def test_sagemaker_studio(apart):
    library = environment("studio.txt")
    role = """
import boto3
c = boto3.client("sts").assume_role(RoleArn="arn:aws:iam::000000000000:role/studio", RoleSessionName="someone")["Credentials"]
print(c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"])
"""
    key, secret, token = apart.python(role).split()
    log = apart.tmp / "server.log"
    before = log.read_text().count("operation=GetSessionEndpoint")
    out = apart.python(STUDIO, AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret, AWS_SESSION_TOKEN=token, HOME=str(apart.tmp),
                       PYTHONPATH=str(library / "lib" / "python3.11" / "site-packages"), DataZoneDomainRegion="us-east-1")
    assert out.split() == ["7", "10", "100000"]
    # For the address, for the first call, and because the token was old.
    assert log.read_text().count("operation=GetSessionEndpoint") >= before + 3


def test_a_second_server_takes_another_port_and_says_so(apart, tmp_path):
    other = ApartServer(tmp_path, "--metrics-listen", "off")
    other.command = lambda *arguments: apart.inside(*arguments)
    other.listen = "127.0.0.1:4680"
    other.start()
    try:
        assert other.names["connect"] == "127.0.0.1:15443"
        said = [line for line in (tmp_path / "server.log").read_text().splitlines() if "port 443" in line]
        assert len(said) == 1 and "another program uses it" in said[0] and "glaux doctor" in said[0], said
    finally:
        other.stop()
