"""Sessions through boto3 and the AWS CLI."""

import uuid

import pytest
from conftest import RUNTIME, Spark, wait_for
from test_workgroups import refused


def test_life_of_a_session(server, athena):
    token = str(uuid.uuid4())
    request = dict(WorkGroup="spark", Description="life", EngineConfiguration={
        "CoordinatorDpuSize": 1, "MaxConcurrentDpus": 2, "DefaultExecutorDpuSize": 1,
        "SparkProperties": {"spark.sql.shuffle.partitions": "3"}}, SessionIdleTimeoutInMinutes=15, ClientRequestToken=token)
    first = athena.start_session(**request)
    assert first["State"] in ("CREATING", "CREATED")
    assert athena.start_session(**request)["SessionId"] == first["SessionId"]
    refused(lambda: athena.start_session(**{**request, "Description": "other"}), "InvalidRequestException")
    s = Spark.__new__(Spark)
    s.server, s.athena, s.s3, s.id = server, athena, server.client("s3"), first["SessionId"]
    uuid.UUID(s.id)
    s.wait("IDLE")
    got = athena.get_session(SessionId=s.id)
    assert got["WorkGroup"] == "spark" and got["Description"] == "life"
    assert got["EngineVersion"] == "PySpark engine version 3"
    assert got["EngineConfiguration"]["MaxConcurrentDpus"] == 2
    assert got["SessionConfiguration"]["SessionIdleTimeoutInMinutes"] == 15
    assert got["Status"]["IdleSinceDateTime"]
    assert s.run("print(spark.conf.get('spark.sql.shuffle.partitions'))")[0].strip() == "3"
    executors = athena.list_executors(SessionId=s.id)["ExecutorsSummary"]
    assert any(e["ExecutorType"] == "COORDINATOR" for e in executors), executors
    sizes = {e["ApplicationRuntimeId"]: e["SupportedDPUSizes"] for e in athena.list_application_dpu_sizes()["ApplicationDPUSizes"]}
    assert sizes and all(1 in s for s in sizes.values()), sizes
    assert any(x["SessionId"] == s.id for x in athena.list_sessions(WorkGroup="spark")["Sessions"])
    assert any(x["SessionId"] == s.id for x in athena.list_sessions(WorkGroup="spark", StateFilter="IDLE")["Sessions"])
    arn = f"arn:aws:athena:us-east-1:000000000000:workgroup/spark/session/{s.id}"
    athena.tag_resource(ResourceARN=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert {"Key": "k", "Value": "v"} in athena.list_tags_for_resource(ResourceARN=arn)["Tags"]
    assert athena.terminate_session(SessionId=s.id)["State"] in ("TERMINATING", "TERMINATED")
    wait_for("session is TERMINATED", 30, lambda: s.status()["State"] == "TERMINATED")
    assert s.status()["EndDateTime"]
    assert athena.get_session(SessionId=s.id)["Statistics"]["DpuExecutionInMillis"] > 0
    assert athena.terminate_session(SessionId=s.id)["State"] == "TERMINATED"
    refused(lambda: s.start("1"), "InvalidRequestException", "TERMINATED")
    assert athena.list_executors(SessionId=s.id)["ExecutorsSummary"], "executors stay listed"


def test_spark35_and_classifications(server):
    s = Spark(server, "spark35", EngineConfiguration={"MaxConcurrentDpus": 4, "Classifications": [
        {"Name": "spark-defaults", "Properties": {"spark.sql.session.timeZone": "Asia/Tokyo"}}]})
    try:
        s.wait("IDLE")
        assert s.run("spark.conf.get('spark.sql.session.timeZone')")[1]["Result"]["ResultS3Uri"]
        assert s.run("print(spark.conf.get('spark.sql.session.timeZone'), spark.version)")[0].split() == ["Asia/Tokyo", "3.5.6"]
    finally:
        s.end()


@pytest.mark.parametrize("request_, text", [
    (dict(WorkGroup="primary", EngineConfiguration={}), "Workgroup EngineVersion is not Spark."),
    (dict(WorkGroup="no-such", EngineConfiguration={}), "is not found"),
    (dict(WorkGroup="spark", EngineConfiguration={"CoordinatorDpuSize": 2}), ""),
    (dict(WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 99999}), ""),
    (dict(WorkGroup="spark", EngineConfiguration={}, SessionIdleTimeoutInMinutes=9999), ""),
    (dict(WorkGroup="spark", EngineConfiguration={"AdditionalConfigs": {"NotebookId": str(uuid.uuid4())}}),
     "NotebookVersion is required when NotebookId is provided."),
    (dict(WorkGroup="spark", EngineConfiguration={}, NotebookVersion="Athena notebook version 1"),
     "NotebookId is required when NotebookVersion is provided."),
    (dict(WorkGroup="spark35", EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {"spark.a": "b"}}), ""),
    (dict(WorkGroup="spark35", EngineConfiguration={"MaxConcurrentDpus": 2, "CoordinatorDpuSize": 1}), ""),
])
def test_refused_starts(athena, request_, text):
    before = athena.list_sessions(WorkGroup="spark")["Sessions"]
    refused(lambda: athena.start_session(**request_), "InvalidRequestException", text)
    assert athena.list_sessions(WorkGroup="spark")["Sessions"] == before


def test_unknown_ids(athena):
    nobody = str(uuid.uuid4())
    for call in (athena.get_session, athena.get_session_status, athena.terminate_session, athena.list_executors):
        refused(lambda call=call: call(SessionId=nobody), "InvalidRequestException")
    for call in (athena.get_calculation_execution, athena.get_calculation_execution_status,
                 athena.get_calculation_execution_code, athena.stop_calculation_execution):
        refused(lambda call=call: call(CalculationExecutionId=nobody), "InvalidRequestException")


def test_failed_start_says_why(server):
    s = Spark(server, EngineConfiguration={"MaxConcurrentDpus": 2, "SparkProperties": {"spark.jars": "s3://no-such-bucket/x.jar"}})
    wait_for("session is FAILED", 120, lambda: s.status()["State"] == "FAILED")
    assert "x.jar" in s.status()["StateChangeReason"], s.status()


def test_the_runtime_knows_whose_sessions_run_with_it(server):
    """An update of the runtime spares what sessions run with; for that it must find them."""
    assert str(server.data / "sessions") in [f.read_text() for f in (RUNTIME / "users").iterdir()]


def test_command_line(server):
    aws = server.aws
    started = aws("athena", "start-session", "--work-group", "spark", "--engine-configuration", "MaxConcurrentDpus=2")
    sid = started["SessionId"]
    wait_for("session is IDLE", 120, lambda: aws("athena", "get-session-status", "--session-id", sid)["Status"]["State"] == "IDLE", every=0.2)
    assert aws("athena", "get-session", "--session-id", sid)["SessionId"] == sid
    assert aws("athena", "list-executors", "--session-id", sid)["ExecutorsSummary"]
    assert any(s["SessionId"] == sid for s in aws("athena", "list-sessions", "--work-group", "spark")["Sessions"])
    assert aws("athena", "get-session-endpoint", "--session-id", sid)["AuthToken"]
    arn = f"arn:aws:athena:us-east-1:000000000000:workgroup/spark/session/{sid}"
    assert aws("athena", "get-resource-dashboard", "--resource-arn", arn)["Url"]
    assert aws("athena", "list-application-dpu-sizes")["ApplicationDPUSizes"]
    calc = aws("athena", "start-calculation-execution", "--session-id", sid, "--code-block", "spark.range(5).show()")["CalculationExecutionId"]
    wait_for("calculation is over", 120, lambda: aws(
        "athena", "get-calculation-execution-status", "--calculation-execution-id", calc)["Status"]["State"] == "COMPLETED", every=0.2)
    got = aws("athena", "get-calculation-execution", "--calculation-execution-id", calc)
    assert "|  4|" in aws("s3", "cp", got["Result"]["StdOutS3Uri"], "-")
    assert aws("athena", "get-calculation-execution-code", "--calculation-execution-id", calc)["CodeBlock"]
    assert any(c["CalculationExecutionId"] == calc for c in aws("athena", "list-calculation-executions", "--session-id", sid)["Calculations"])
    slow = aws("athena", "start-calculation-execution", "--session-id", sid, "--code-block", "import time; time.sleep(600)")["CalculationExecutionId"]
    aws("athena", "stop-calculation-execution", "--calculation-execution-id", slow)
    wait_for("calculation is CANCELED", 10, lambda: aws(
        "athena", "get-calculation-execution-status", "--calculation-execution-id", slow)["Status"]["State"] == "CANCELED", every=0.1)
    aws("athena", "terminate-session", "--session-id", sid)
