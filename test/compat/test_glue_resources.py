"""Connections, security configurations and usage profiles, which Glue sessions refer to."""

import json
import re
import sqlite3

import pytest
from botocore.exceptions import ClientError

from conftest import Server

ROLE = "arn:aws:iam::000000000000:role/glue"
KEY = "arn:aws:kms:us-east-1:000000000000:key/k"
CONNECTION = {
    "Name": "a/b c",
    "Description": "where the data is",
    "ConnectionType": "JDBC",
    "MatchCriteria": ["one", "two"],
    "ConnectionProperties": {"JDBC_CONNECTION_URL": "jdbc:postgresql://db/x", "USERNAME": "me", "PASSWORD": "hidden words"},
    "SparkProperties": {"dbtable": "t", "url": "for spark"},
    "AthenaProperties": {"lambda_function_arn": "arn"},
    "PythonProperties": {"k": "v"},
    "PhysicalConnectionRequirements": {"SubnetId": "subnet-1", "SecurityGroupIdList": ["sg-1"], "AvailabilityZone": "us-east-1a"},
    "AuthenticationConfiguration": {
        "AuthenticationType": "OAUTH2",
        "SecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s",
        "KmsKeyArn": KEY,
        "OAuth2Properties": {
            "OAuth2GrantType": "CLIENT_CREDENTIALS",
            "OAuth2ClientApplication": {"UserManagedClientApplicationClientId": "app"},
            "TokenUrl": "https://id.example/token",
            "TokenUrlParametersMap": {"scope": "all"},
            "OAuth2Credentials": {"UserManagedClientApplicationClientSecret": "hidden too"},
        },
    },
    "ValidateForComputeEnvironments": ["SPARK", "ATHENA"],
}
ENCRYPTION = {
    "S3Encryption": [{"S3EncryptionMode": "SSE-KMS", "KmsKeyArn": KEY}],
    "CloudWatchEncryption": {"CloudWatchEncryptionMode": "DISABLED"},
    "JobBookmarksEncryption": {"JobBookmarksEncryptionMode": "CSE-KMS", "KmsKeyArn": KEY},
    "DataQualityEncryption": {"DataQualityEncryptionMode": "SSE-KMS", "KmsKeyArn": KEY},
}
PROFILE = {
    "SessionConfiguration": {
        "numberOfWorkers": {"DefaultValue": "3", "MinValue": "2", "MaxValue": "4"},
        "workerType": {"DefaultValue": "G.2X", "AllowedValues": ["G.1X", "G.2X"]},
        "timeout": {"DefaultValue": "60", "MaxValue": "90"},
        "idleTimeout": {"DefaultValue": "7"},
    },
    "JobConfiguration": {"timeout": {"MaxValue": "10"}},
}


@pytest.fixture(scope="module")
def glue(server):
    return server.client("glue")


def refused(code, call, text=None, **request):
    with pytest.raises(ClientError) as e:
        call(**request)
    assert e.value.response["Error"]["Code"] == code, e.value.response
    if text:
        assert text in e.value.response["Error"]["Message"]


def arn(kind, name):
    return f"arn:aws:glue:us-east-1:000000000000:{kind}/{name}"


def pages(call, member, size, **request):
    """Every item, page by page."""
    found, token = [], None
    while True:
        got = call(MaxResults=size, **request, **({"NextToken": token} if token else {}))
        assert len(got[member]) <= size
        found += got[member]
        token = got.get("NextToken")
        if not token:
            return found


def test_connections(server, glue):
    made = glue.create_connection(ConnectionInput=CONNECTION, Tags={"team": "data"})
    assert made["CreateConnectionStatus"] == "READY"
    name = CONNECTION["Name"]
    refused("AlreadyExistsException", glue.create_connection, "already exists", ConnectionInput=CONNECTION)

    got = glue.get_connection(Name=name)["Connection"]
    for member in ("Name", "Description", "ConnectionType", "MatchCriteria", "ConnectionProperties", "SparkProperties", "AthenaProperties",
                   "PythonProperties", "PhysicalConnectionRequirements"):
        assert got[member] == CONNECTION[member], member
    shown = json.loads(json.dumps(CONNECTION["AuthenticationConfiguration"]))
    del shown["OAuth2Properties"]["OAuth2Credentials"]
    assert got["AuthenticationConfiguration"] == shown
    assert got["CompatibleComputeEnvironments"] == ["SPARK", "ATHENA"] and got["ConnectionSchemaVersion"] == 2
    assert got["Status"] == "READY" and got["CreationTime"] == got["LastUpdatedTime"] and got["LastUpdatedBy"].endswith(":root")
    assert "hidden" not in json.dumps(glue.get_connection(Name=name, HidePassword=True)["Connection"], default=str)
    spark = glue.get_connection(Name=name, ApplyOverrideForComputeEnvironment="SPARK")["Connection"]
    assert spark["ConnectionProperties"]["url"] == "for spark"

    # What is written to disk tells no passwords.
    for file in server.data.rglob("*.db*"):
        assert b"hidden" not in file.read_bytes(), file

    glue.tag_resource(ResourceArn=arn("connection", name), TagsToAdd={"more": "1", "team": "new"})
    glue.untag_resource(ResourceArn=arn("connection", name), TagsToRemove=["more", "nothing"])
    assert glue.get_tags(ResourceArn=arn("connection", name))["Tags"] == {"team": "new"}

    glue.update_connection(Name=name, ConnectionInput={"Name": name, "ConnectionType": "NETWORK", "ConnectionProperties": {}})
    got = glue.get_connection(Name=name)["Connection"]
    assert got["ConnectionType"] == "NETWORK" and got["ConnectionSchemaVersion"] == 1 and "Description" not in got
    assert got["LastUpdatedTime"] > got["CreationTime"] and glue.get_tags(ResourceArn=arn("connection", name))["Tags"] == {"team": "new"}
    refused("InvalidInputException", glue.update_connection, Name=name, ConnectionInput={**CONNECTION, "Name": "other"})

    glue.delete_connection(ConnectionName=name)
    for call, request in (
        (glue.get_connection, {"Name": name}), (glue.delete_connection, {"ConnectionName": name}), (glue.get_tags, {"ResourceArn": arn("connection", name)}),
        (glue.update_connection, {"Name": name, "ConnectionInput": CONNECTION}), (glue.get_connections, {"CatalogId": "111111111111"}),
    ):
        refused("EntityNotFoundException", call, "not found", **request)


@pytest.mark.parametrize("change, text", [
    ({"ConnectionType": "SFTP"}, "not supported"),
    ({"ConnectionProperties": {"HOST": "h"}}, "JDBC_CONNECTION_URL, or HOST and PORT and JDBC_ENGINE"),
    ({"ConnectionType": "KAFKA"}, "KAFKA_BOOTSTRAP_SERVERS"),
    ({"ConnectionType": "MONGODB"}, "CONNECTION_URL"),
])
def test_connections_that_lead_nowhere(glue, change, text):
    refused("InvalidInputException", glue.create_connection, text, ConnectionInput={**CONNECTION, **change})


@pytest.mark.parametrize("change", [
    {"ConnectionType": "PIGEON"}, {"ConnectionProperties": {"COLOUR": "red"}}, {"MatchCriteria": ["x"] * 11}, {"Description": "x" * 2049},
    {"ValidateForComputeEnvironments": ["ABACUS"]},
])
def test_connections_against_the_model(glue, change):
    refused("ValidationException", glue.create_connection, "validation error", ConnectionInput={**CONNECTION, **change})


def test_lists_of_connections(glue):
    names = [f"list {n}" for n in range(5)] + ["\U00010348" * 255]
    for n, name in enumerate(names):
        kind = {"ConnectionType": "KAFKA", "ConnectionProperties": {"KAFKA_BOOTSTRAP_SERVERS": "b:9092"}} if n % 2 else {
            "ConnectionType": "NETWORK", "ConnectionProperties": {}}
        glue.create_connection(ConnectionInput={"Name": name, "MatchCriteria": ["all", f"n{n}"], **kind})
    listed = [c["Name"] for c in pages(glue.get_connections, "ConnectionList", 1, Filter={"MatchCriteria": ["all"]})]
    assert listed == names
    assert [c["Name"] for c in pages(glue.get_connections, "ConnectionList", 2, Filter={"ConnectionType": "KAFKA", "MatchCriteria": ["all"]})] == names[1::2]
    assert [c["Name"] for c in glue.get_connections(Filter={"MatchCriteria": ["n4", "all"]})["ConnectionList"]] == ["list 4"]
    assert glue.get_connections(Filter={"MatchCriteria": ["all"], "ConnectionSchemaVersion": 2})["ConnectionList"] == []
    token = glue.get_connections(MaxResults=1)["NextToken"]
    refused("InvalidInputException", glue.get_connections, NextToken=token, Filter={"ConnectionType": "KAFKA"})
    refused("InvalidInputException", glue.get_connections, NextToken="nonsense")
    for name in names:
        glue.delete_connection(ConnectionName=name)


def test_security_configurations(glue):
    made = glue.create_security_configuration(Name="s", EncryptionConfiguration=ENCRYPTION)
    assert made["Name"] == "s" and made["CreatedTimestamp"]
    got = glue.get_security_configuration(Name="s")["SecurityConfiguration"]
    assert got == {"Name": "s", "CreatedTimeStamp": made["CreatedTimestamp"], "EncryptionConfiguration": ENCRYPTION}
    glue.create_security_configuration(Name="r", EncryptionConfiguration={})
    assert [s["Name"] for s in pages(glue.get_security_configurations, "SecurityConfigurations", 1)] == ["r", "s"]
    refused("AlreadyExistsException", glue.create_security_configuration, "already exists", Name="s", EncryptionConfiguration={})
    refused("InvalidInputException", glue.create_security_configuration, "KmsKeyArn", Name="t",
            EncryptionConfiguration={"CloudWatchEncryption": {"CloudWatchEncryptionMode": "SSE-KMS"}})
    refused("EntityNotFoundException", glue.get_tags, ResourceArn=arn("securityConfiguration", "s"))
    for name in ("r", "s"):
        glue.delete_security_configuration(Name=name)
    refused("EntityNotFoundException", glue.get_security_configuration, "not found", Name="s")
    refused("EntityNotFoundException", glue.delete_security_configuration, "not found", Name="s")


def test_usage_profiles(glue):
    assert glue.create_usage_profile(Name="p", Description="small", Configuration=PROFILE, Tags={"a": "b"})["Name"] == "p"
    got = glue.get_usage_profile(Name="p")
    assert got["Configuration"] == PROFILE and got["Description"] == "small" and got["CreatedOn"] == got["LastModifiedOn"]
    assert glue.get_tags(ResourceArn=arn("usageProfile", "p"))["Tags"] == {"a": "b"}
    glue.create_usage_profile(Name="q", Configuration={"JobConfiguration": {"timeout": {"DefaultValue": "5"}}})
    listed = pages(glue.list_usage_profiles, "Profiles", 1)
    assert [p["Name"] for p in listed] == ["p", "q"] and listed[0]["Description"] == "small" and listed[0]["CreatedOn"]
    refused("AlreadyExistsException", glue.create_usage_profile, "already exists", Name="p", Configuration=PROFILE)
    refused("InvalidInputException", glue.create_usage_profile, "at least one", Name="r", Configuration={})
    refused("InvalidInputException", glue.update_usage_profile, "whole number", Name="p",
            Configuration={"SessionConfiguration": {"timeout": {"MinValue": "soon"}}})
    assert glue.update_usage_profile(Name="p", Configuration={"SessionConfiguration": {"timeout": {"MaxValue": "9"}}})["Name"] == "p"
    got = glue.get_usage_profile(Name="p")
    assert "Description" not in got and got["Configuration"] == {"SessionConfiguration": {"timeout": {"MaxValue": "9"}}}
    for name in ("p", "q", "p"):  # one that is not there is no failure
        glue.delete_usage_profile(Name=name)
    refused("EntityNotFoundException", glue.get_usage_profile, "not found", Name="p")
    refused("EntityNotFoundException", glue.update_usage_profile, "not found", Name="p", Configuration=PROFILE)


def test_sessions_name_what_is_there(glue):
    session = {"Id": "refused", "Role": ROLE, "Command": {"Name": "glueetl"}}
    refused("EntityNotFoundException", glue.create_session, "Connection nowhere not found", **session, Connections={"Connections": ["nowhere"]})
    refused("EntityNotFoundException", glue.create_session, "Security configuration none not found", **session, SecurityConfiguration="none")
    refused("EntityNotFoundException", glue.get_session, Id="refused")
    glue.create_connection(ConnectionInput={"Name": "net", "ConnectionType": "NETWORK", "ConnectionProperties": {}})
    glue.create_security_configuration(Name="sec", EncryptionConfiguration=ENCRYPTION)
    glue.create_session(**{**session, "Id": "named"}, Connections={"Connections": ["net"]}, SecurityConfiguration="sec")
    got = glue.get_session(Id="named")["Session"]
    assert got["Connections"] == {"Connections": ["net"]} and got["SecurityConfiguration"] == "sec" and "ProfileName" not in got
    glue.delete_session(Id="named")
    glue.delete_connection(ConnectionName="net")
    glue.delete_security_configuration(Name="sec")


def test_usage_profiles_limit_sessions(tmp_path):
    config = tmp_path / "glaux.yaml"
    config.write_text("glue: {usage-profile: everyone}\nroles:\n- {name: big, usage-profile: large}\n")
    server = Server(tmp_path, "--config", config).start()
    try:
        glue, sts = server.client("glue"), server.client("sts")
        session = {"Role": ROLE, "Command": {"Name": "glueetl"}}
        refused("EntityNotFoundException", glue.create_session, "Usage profile everyone not found", Id="a", **session)
        glue.create_usage_profile(Name="everyone", Configuration=PROFILE)
        for request, text in (
            ({"NumberOfWorkers": 5}, "5 of numberOfWorkers"), ({"WorkerType": "G.4X"}, "G.4X of workerType"), ({"Timeout": 91}, "91 of timeout"),
            ({"MaxCapacity": 4.0}, "instead of MaxCapacity"), ({"MaxCapacity": 4.0, "NumberOfWorkers": 2}, ""),
        ):
            refused("InvalidInputException", glue.create_session, text, Id="a", **session, **request)
        glue.create_session(Id="a", **session)
        got = glue.get_session(Id="a")["Session"]
        assert (got["ProfileName"], got["WorkerType"], got["NumberOfWorkers"], got["IdleTimeout"]) == ("everyone", "G.2X", 3, 7)
        glue.delete_session(Id="a")

        keys = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/big", RoleSessionName="me")["Credentials"]
        big = server.client("glue", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
        refused("EntityNotFoundException", big.create_session, "Usage profile large not found", Id="b", **session)
        big.create_usage_profile(Name="large", Configuration={"SessionConfiguration": {"numberOfWorkers": {"MinValue": "9"}}})
        big.create_session(Id="b", **session)
        got = big.get_session(Id="b")["Session"]
        assert (got["ProfileName"], got["WorkerType"], got["NumberOfWorkers"]) == ("large", "G.1X", 9)
        big.delete_session(Id="b")
    finally:
        server.stop()


def test_what_was_acknowledged_is_there_after_a_kill(own_server):
    glue = own_server.client("glue")
    glue.create_connection(ConnectionInput=CONNECTION, Tags={"a": "b"})
    own_server.kill()
    own_server.start()
    got = own_server.client("glue").get_connection(Name=CONNECTION["Name"])["Connection"]
    assert got["ConnectionProperties"] == CONNECTION["ConnectionProperties"]
    with sqlite3.connect(f"file:{next(own_server.data.rglob('*.db'))}?mode=ro", uri=True) as db:
        assert [r[0] for r in db.execute("SELECT kind FROM resources")] == ["connection"]


def test_aws_cli(server):
    aws = server.aws
    made = aws("glue", "create-connection", "--connection-input", json.dumps({**CONNECTION, "Name": "cli"}))
    assert made["CreateConnectionStatus"] == "READY"
    assert aws("glue", "get-connection", "--name", "cli", "--hide-password")["Connection"]["ConnectionProperties"].keys() == {"JDBC_CONNECTION_URL", "USERNAME"}
    assert [c["Name"] for c in aws("glue", "get-connections", "--filter", "ConnectionType=JDBC")["ConnectionList"]] == ["cli"]
    aws("glue", "update-connection", "--name", "cli", "--connection-input", '{"Name": "cli", "ConnectionType": "NETWORK", "ConnectionProperties": {}}')
    aws("glue", "delete-connection", "--connection-name", "cli")
    out = aws("glue", "get-connection", "--name", "cli", check=False)
    assert out.returncode in (254, 255) and re.search(r"\(EntityNotFoundException\).*Connection cli not found", out.stderr)
    assert aws("glue", "create-security-configuration", "--name", "cli", "--encryption-configuration", json.dumps(ENCRYPTION))["Name"] == "cli"
    assert aws("glue", "get-security-configuration", "--name", "cli")["SecurityConfiguration"]["EncryptionConfiguration"] == ENCRYPTION
    assert [s["Name"] for s in aws("glue", "get-security-configurations")["SecurityConfigurations"]] == ["cli"]
    aws("glue", "delete-security-configuration", "--name", "cli")
    assert aws("glue", "create-usage-profile", "--name", "cli", "--configuration", json.dumps(PROFILE))["Name"] == "cli"
    assert aws("glue", "get-usage-profile", "--name", "cli")["Configuration"] == PROFILE
    assert [p["Name"] for p in aws("glue", "list-usage-profiles")["Profiles"]] == ["cli"]
    aws("glue", "update-usage-profile", "--name", "cli", "--configuration", json.dumps(PROFILE), "--description", "new")
    aws("glue", "delete-usage-profile", "--name", "cli")
