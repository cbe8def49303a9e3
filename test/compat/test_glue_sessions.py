"""Glue sessions: boto3 and the AWS CLI against the real binary."""

import json
import re
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from conftest import Server, spark_python, wait_for

ROLE = "arn:aws:iam::000000000000:role/GlueRole"
NAME = "notebook of a/b:1 ä"


@pytest.fixture(scope="module")
def glue(server):
    return server.client("glue")


def create(glue, name, **more):
    return glue.create_session(Id=name, Role=ROLE, **{"Command": {"Name": "glueetl", "PythonVersion": "3"}, **more})["Session"]


def status(glue, name):
    return glue.get_session(Id=name)["Session"]["Status"]


def wait(glue, name, *states, timeout=90):
    def reached():
        now = status(glue, name)
        assert now in states or now in ("PROVISIONING", "READY", "STOPPING"), glue.get_session(Id=name)
        return now in states

    wait_for(f"session {name} is {states}", timeout, reached, every=0.05)
    return glue.get_session(Id=name)["Session"]


@pytest.fixture(scope="module")
def ready(glue):
    create(glue, NAME, GlueVersion="4.0", Description="for all", Tags={"owner": "me", "team": "a"}, NumberOfWorkers=3, WorkerType="G.2X",
           IdleTimeout=30, Timeout=60, DefaultArguments={"--enable-spark-live-ui": "true", "--greeting": "hello"}, Connections={"Connections": []})
    yield wait(glue, NAME, "READY")
    glue.delete_session(Id=NAME)


def refused(call, code, text):
    with pytest.raises(ClientError) as failed:
        call()
    error = failed.value.response["Error"]
    assert error["Code"] == code and re.search(text, error["Message"]), error


def run(glue, code, name=NAME, timeout=60):
    """Runs a statement to its end; its output."""
    number = glue.run_statement(SessionId=name, Code=code)["Id"]

    def over():
        statement = glue.get_statement(SessionId=name, Id=number)["Statement"]
        return statement if statement["State"] in ("AVAILABLE", "ERROR", "CANCELLED") else None

    return wait_for("the statement is over", timeout, over)["Output"]


def test_a_session_reads_back_as_it_was_asked_for(glue, ready):
    assert ready["CreatedOn"].timestamp() <= time.time()
    ran = ready["ExecutionTime"]
    assert 0 < ran < 120 and abs(ready["DPUSeconds"] - 6 * ran) < 0.01
    known = {k: v for k, v in ready.items() if k not in ("CreatedOn", "ExecutionTime", "DPUSeconds")}
    assert known == {
        "Id": NAME, "Status": "READY", "Description": "for all", "Role": ROLE, "Command": {"Name": "glueetl", "PythonVersion": "3"},
        "DefaultArguments": {"--enable-spark-live-ui": "true", "--greeting": "hello"}, "Connections": {"Connections": []}, "Progress": 1.0,
        "MaxCapacity": 6.0, "GlueVersion": "4.0", "NumberOfWorkers": 3, "WorkerType": "G.2X", "IdleTimeout": 30, "SessionType": "LIVY",
    }


def test_lists_and_tags(glue, ready):
    listed = glue.list_sessions(Tags={"owner": "me", "team": "a"}, RequestOrigin="test")
    assert listed["Ids"] == [NAME] and [s["Id"] for s in listed["Sessions"]] == [NAME]
    assert glue.list_sessions(Tags={"owner": "you"})["Ids"] == []
    arn = f"arn:aws:glue:us-east-1:000000000000:session/{NAME}"
    glue.tag_resource(ResourceArn=arn, TagsToAdd={"team": "b", "more": ""})
    glue.untag_resource(ResourceArn=arn, TagsToRemove=["owner", "nope"])
    assert glue.get_tags(ResourceArn=arn)["Tags"] == {"team": "b", "more": ""}
    assert glue.list_sessions(Tags={"owner": "me"})["Ids"] == []
    refused(lambda: glue.get_tags(ResourceArn=arn + "x"), "EntityNotFoundException", "not found")
    refused(lambda: glue.tag_resource(ResourceArn="arn:aws:glue:us-east-1:000000000000:job/j", TagsToAdd={"a": "b"}), "EntityNotFoundException", "job/j")


def test_pages(glue, ready, tmp_path_factory):
    for n in range(3):
        create(glue, f"page-{n}", Tags={"pages": "yes"})
    names, token = [], None
    while True:
        page = glue.list_sessions(Tags={"pages": "yes"}, MaxResults=2, **({"NextToken": token} if token else {}))
        names += page["Ids"]
        token = page.get("NextToken")
        if token is None:
            break
    assert names == ["page-2", "page-1", "page-0"]
    refused(lambda: glue.list_sessions(NextToken="nonsense"), "InvalidInputException", "NextToken")
    for n in range(3):
        assert glue.delete_session(Id=f"page-{n}", RequestOrigin="test") == {"Id": f"page-{n}"} | {"ResponseMetadata": ANY}
    assert glue.list_sessions(Tags={"pages": "yes"})["Ids"] == []


class Any:
    def __eq__(self, other):
        return True


ANY = Any()


def test_an_id_is_free_once_its_session_is_deleted(glue):
    create(glue, "again")
    refused(lambda: create(glue, "again"), "AlreadyExistsException", "^Session already exists.$")
    glue.delete_session(Id="again")
    create(glue, "again", GlueVersion="5.0")
    assert glue.stop_session(Id="again")["Id"] == "again"
    assert wait(glue, "again", "STOPPED")["CompletedOn"]
    assert glue.stop_session(Id="again")["Id"] == "again"
    refused(lambda: create(glue, "again"), "AlreadyExistsException", "^Session already exists.$")
    refused(lambda: glue.run_statement(SessionId="again", Code="1"), "InvalidInputException", "^Session is not ready, session_id=again, status=STOPPED$")
    glue.delete_session(Id="again")
    refused(lambda: glue.get_session(Id="again"), "EntityNotFoundException", "^Session again not found.$")
    refused(lambda: glue.delete_session(Id="again"), "EntityNotFoundException", "^Session again not found.$")
    refused(lambda: glue.stop_session(Id="again"), "EntityNotFoundException", "^Session again not found.$")


@pytest.mark.parametrize("request_, code, text", [
    ({"Command": {"Name": "glueray"}}, "InvalidInputException", "^Account not allowed to submit Glue Ray session$"),
    ({"Command": {"Name": "pythonshell"}}, "InvalidInputException", "pythonshell"),
    ({"GlueVersion": "6.0"}, "InvalidInputException", "Use Glue version 5.1"),
    ({"GlueVersion": "1.0"}, "InvalidInputException", "Glue version 1.0 is not supported"),
    ({"MaxCapacity": 4.0, "NumberOfWorkers": 2}, "InvalidInputException", "^Please do not set Max Capacity if using Worker Type and Number of Workers.$"),
    ({"MaxCapacity": 1.0}, "InvalidInputException", "at least 2 DPUs"),
    ({"WorkerType": "G.3X"}, "ValidationException", "workerType"),
    ({"DefaultArguments": {f"--a{n}": "1" for n in range(76)}}, "ValidationException", "less than or equal to 75"),
    ({"DefaultArguments": {"--conf": "nonsense"}}, "InvalidInputException", "--conf"),
    ({"DefaultArguments": {"--datalake-formats": "paimon"}}, "InvalidInputException", "paimon"),
    ({"SessionType": "SPARK_CONNECT", "GlueVersion": "4.0"}, "InvalidInputException", "5.1"),
    ({"Tags": {"aws:x": "y"}}, "InvalidInputException", "aws:"),
])
def test_what_no_session_can_be_made_with(glue, request_, code, text):
    with pytest.raises(ClientError) as failed:
        create(glue, "never", **request_)
    error = failed.value.response["Error"]
    assert re.fullmatch(code, error["Code"]) and re.search(text, error["Message"]), error
    assert "never" not in glue.list_sessions()["Ids"]


def test_the_library_and_arguments_in_a_session(glue, ready, bucket, s3):
    s3.put_object(Bucket=bucket, Key="glue/in/a.json", Body=b'{"id": 1, "v": 1}\n{"id": 2, "v": "x"}\n')
    out = run(glue, f"""
import sys
from awsglue.transforms import *
from awsglue.utils import getResolvedOptions
from pyspark.context import SparkContext
from awsglue.context import GlueContext
from awsglue.job import Job
sc = SparkContext.getOrCreate()
glueContext = GlueContext(sc)
spark = glueContext.spark_session
job = Job(glueContext)
args = getResolvedOptions(sys.argv, ["greeting"])
frame = glueContext.create_dynamic_frame.from_options("s3", {{"paths": ["s3://{bucket}/glue/in/"]}}, "json")
frame = ResolveChoice.apply(frame, specs=[("v", "cast:string")])
frame = Filter.apply(frame, f=lambda r: r["id"] == 2)
glueContext.write_dynamic_frame.from_options(frame, "s3", {{"path": "s3://{bucket}/glue/out/"}}, "parquet")
args["greeting"], spark.read.parquet("s3://{bucket}/glue/out/").collect()
""", timeout=120)
    assert (out["Status"], out["Data"]["TextPlain"]) == ("ok", "('hello', [Row(id=2, v='x')])"), out


def test_system_logs(glue, ready):
    run(glue, "import os; os.system('echo said to the log >&2')")
    url = glue.get_system_logs_for_session(Id=NAME)["SystemLogsUrl"]

    def logged():
        with urllib.request.urlopen(url) as reply:
            assert reply.headers["Content-Type"] == "text/plain; charset=utf-8" and reply.headers["Content-Disposition"].startswith("attachment")
            text = reply.read().decode()
        return text if "said to the log" in text else None

    text = wait_for("the log arrives", 20, logged, every=0.2)
    # What the session was told once: it asked for another version than it runs on.
    assert text.count("This session asked for Glue version 4.0. It runs on the runtime of version 5.1: Spark 3.5.6") == 1
    with pytest.raises(urllib.error.HTTPError) as denied:
        urllib.request.urlopen(url[:-4] + "AAAA")
    assert denied.value.code == 403
    refused(lambda: glue.get_system_logs_for_session(Id="nobody"), "EntityNotFoundException", "nobody")


def test_dashboard(glue, ready):
    url = glue.get_dashboard_url(ResourceId=NAME, ResourceType="SESSION")["Url"]
    assert re.match(r"http://[0-9a-f-]{36}\.ui\.localhost:\d+/_glaux/enter\?ticket=", url)
    refused(lambda: glue.get_dashboard_url(ResourceId="jr_1", ResourceType="JOB"), "EntityNotFoundException", "jr_1")


def test_sessions_of_spark_connect(server, glue):
    create(glue, "connect", SessionType="SPARK_CONNECT", NumberOfWorkers=2)
    assert glue.get_session(Id="connect")["Session"]["SessionType"] == "SPARK_CONNECT"
    if status(glue, "connect") == "PROVISIONING":
        refused(lambda: glue.get_session_endpoint(SessionId="connect"), "IllegalSessionStateException", "status=PROVISIONING")
    wait(glue, "connect", "READY")
    refused(lambda: glue.run_statement(SessionId="connect", Code="1"), "OperationNotSupportedException", "SPARK_CONNECT")
    refused(lambda: glue.list_statements(SessionId="connect"), "OperationNotSupportedException", "SPARK_CONNECT")
    refused(lambda: glue.get_dashboard_url(ResourceId="connect", ResourceType="SESSION"), "OperationNotSupportedException", "--enable-spark-live-ui")
    end = glue.get_session_endpoint(SessionId="connect")["SparkConnect"]
    assert end["Url"] == "sc://localhost:" + server.connect.rsplit(":", 1)[1]
    assert 0 < end["AuthTokenExpirationTime"].timestamp() - time.time() < 1810
    code = f"""
from urllib.parse import quote
from pyspark.sql import SparkSession
spark = SparkSession.builder.remote({end["Url"]!r} + "/;use_ssl=true;x-aws-proxy-auth=" + quote({end["AuthToken"]!r}, safe="")).getOrCreate()
print(spark.range(7).count())
"""
    assert server.run(spark_python(), "-c", code).stdout.strip() == "7"
    glue.delete_session(Id="connect")
    refused(lambda: glue.get_session_endpoint(SessionId="connect"), "EntityNotFoundException", "connect")


def test_endpoint_of_a_session_with_statements(glue, ready):
    refused(lambda: glue.get_session_endpoint(SessionId=NAME), "OperationNotSupportedException", "LIVY")


def test_code_in_a_session_is_its_role_and_reaches_no_other_session(glue, ready):
    out = run(glue, f"""
import boto3
glue = boto3.client("glue")
print(boto3.client("sts").get_caller_identity()["Arn"])
print(glue.get_session(Id={NAME!r})["Session"]["Status"])
for call in (lambda: glue.get_session(Id="other"), lambda: glue.list_sessions()):
    try:
        call()
    except Exception as e:
        print(e.response["Error"]["Code"])
""")
    assert out["Data"]["TextPlain"].splitlines() == [
        "arn:aws:sts::000000000000:assumed-role/GlueRole/GlueJobRunnerSession", "READY", "AccessDeniedException", "AccessDeniedException"]


def test_command_line(server, glue, ready):
    aws = server.aws
    made = aws("glue", "create-session", "--id", "cli", "--role", ROLE, "--command", "Name=gluestreaming,PythonVersion=3", "--glue-version", "5.1",
               "--tags", "from=cli")
    assert made["Session"]["Command"]["Name"] == "gluestreaming" and made["Session"]["MaxCapacity"] == 5
    wait(glue, "cli", "READY")
    # A stream goes on over statements, and ends when it is told to.
    run(glue, "q = spark.readStream.format('rate').option('rowsPerSecond', 50).load().writeStream.format('memory').queryName('seen').start()", "cli")
    more = """
import time
before, end = spark.table('seen').count(), time.time() + 30
while spark.table('seen').count() <= before and time.time() < end: time.sleep(0.1)
spark.table('seen').count() > before, q.isActive
"""
    for _ in range(2):
        assert run(glue, more, "cli")["Data"]["TextPlain"] == "(True, True)"
    assert run(glue, "q.stop(); q.isActive", "cli")["Data"]["TextPlain"] == "False"
    assert aws("glue", "get-session", "--id", "cli")["Session"]["Id"] == "cli"
    assert aws("glue", "list-sessions", "--tags", "from=cli")["Ids"] == ["cli"]
    arn = "arn:aws:glue:us-east-1:000000000000:session/cli"
    aws("glue", "tag-resource", "--resource-arn", arn, "--tags-to-add", "a=b")
    aws("glue", "untag-resource", "--resource-arn", arn, "--tags-to-remove", "from")
    assert aws("glue", "get-tags", "--resource-arn", arn)["Tags"] == {"a": "b"}
    assert "Url" in json.dumps(aws("glue", "get-dashboard-url", "--resource-id", NAME, "--resource-type", "SESSION"))
    assert "LIVY" in aws("glue", "get-session-endpoint", "--session-id", "cli", check=False).stderr
    assert aws("glue", "stop-session", "--id", "cli")["Id"] == "cli"
    wait(glue, "cli", "STOPPED")
    assert aws("glue", "delete-session", "--id", "cli")["Id"] == "cli"
    assert "NotImplementedException" in aws("glue", "get-jobs", check=False).stderr


def test_sessions_go_on_over_a_restart_and_end_with_the_machine(own_server):
    glue = own_server.client("glue")
    create(glue, "lasting", Tags={"a": "b"})
    wait(glue, "lasting", "READY")
    own_server.kill()
    own_server.start()
    glue = own_server.client("glue")
    assert status(glue, "lasting") == "READY"
    assert run(glue, "1 + 1", "lasting")["Data"]["TextPlain"] == "2"
    assert glue.list_sessions(Tags={"a": "b"})["Ids"] == ["lasting"]


def test_timeouts_have_defaults_of_the_server(tmp_path):
    server = Server(tmp_path, "--glue-timeout", "2h", "--glue-idle-timeout", "15m").start()
    try:
        glue = server.client("glue")
        assert create(glue, "default")["IdleTimeout"] == 15
        assert create(glue, "own", Timeout=10)["IdleTimeout"] == 10
    finally:
        server.stop()
