"""Workgroups, tags and engine versions through boto3 and the AWS CLI."""

import datetime

import pytest
from botocore.exceptions import ClientError


def refused(call, code, text=None):
    with pytest.raises(ClientError) as e:
        call()
    error = e.value.response["Error"]
    assert error["Code"] == code, error
    if text:
        assert text in error["Message"], error
    return e.value.response


def test_first_start_made_workgroups(athena, server):
    groups = {g["Name"]: g for g in athena.list_work_groups()["WorkGroups"]}
    assert {"primary", "spark", "spark35"} <= set(groups)
    spark = athena.get_work_group(WorkGroup="spark")["WorkGroup"]
    assert spark["Configuration"]["EngineVersion"]["EffectiveEngineVersion"] == "PySpark engine version 3"
    assert spark["Configuration"]["ResultConfiguration"]["OutputLocation"].startswith("s3://")
    assert spark["Configuration"]["ExecutionRole"].startswith("arn:aws:iam::000000000000:role/")
    assert isinstance(spark["CreationTime"], datetime.datetime)
    spark35 = athena.get_work_group(WorkGroup="spark35")["WorkGroup"]
    assert spark35["Configuration"]["EngineVersion"]["EffectiveEngineVersion"] == "Apache Spark version 3.5"
    primary = athena.get_work_group(WorkGroup="primary")["WorkGroup"]
    assert primary["Configuration"]["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"


def test_life_of_a_workgroup(athena):
    role = "arn:aws:iam::000000000000:role/any"
    athena.create_work_group(
        Name="life", Description="first",
        Configuration={"EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"}, "ExecutionRole": role,
                       "ResultConfiguration": {"OutputLocation": "s3://glaux-000000000000/life"}},
        Tags=[{"Key": "team", "Value": "blue"}])
    refused(lambda: athena.create_work_group(Name="life"), "InvalidRequestException", "already created")
    arn = "arn:aws:athena:us-east-1:000000000000:workgroup/life"
    assert athena.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "team", "Value": "blue"}]
    athena.tag_resource(ResourceARN=arn, Tags=[{"Key": "cost", "Value": "7"}])
    athena.untag_resource(ResourceARN=arn, TagKeys=["team"])
    assert athena.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "cost", "Value": "7"}]
    athena.update_work_group(WorkGroup="life", Description="second", State="DISABLED")
    got = athena.get_work_group(WorkGroup="life")["WorkGroup"]
    assert (got["Description"], got["State"]) == ("second", "DISABLED")
    refused(lambda: athena.update_work_group(WorkGroup="life", ConfigurationUpdates={
        "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"}}), "InvalidRequestException")
    athena.delete_work_group(WorkGroup="life")
    refused(lambda: athena.get_work_group(WorkGroup="life"), "InvalidRequestException", "is not found")


def test_refusals(athena):
    refused(lambda: athena.create_work_group(Name="primary"), "InvalidRequestException")
    refused(lambda: athena.get_work_group(WorkGroup="no-such"), "InvalidRequestException", "WorkGroup is not found.")
    refused(lambda: athena.get_work_group(WorkGroup="bad name!"), "InvalidRequestException")
    refused(lambda: athena.create_work_group(Name="norole", Configuration={
        "EngineVersion": {"SelectedEngineVersion": "Apache Spark version 3.5"}}), "InvalidRequestException", "executionRole is null or empty")
    got = refused(lambda: athena.list_data_catalogs(), "NotImplementedException", "ListDataCatalogs")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_role_must_be_passed(tmp_path):
    """Who may use Athena and not pass roles, becomes no role by way of a workgroup."""
    from conftest import Server
    config = tmp_path / "glaux.yaml"
    config.write_text("""
users:
  - name: ada
    access-key: AKIAADAADAADAADAADAA
    secret-key: ada's own secret key
    allow:
      - actions: ["athena:*"]
      - actions: ["iam:PassRole"]
        resources: ["arn:aws:iam::000000000000:role/hers"]
""")
    server = Server(tmp_path, "--config", config)
    try:
        server.start()
        ada = server.client("athena", aws_access_key_id="AKIAADAADAADAADAADAA", aws_secret_access_key="ada's own secret key")
        of = lambda role, account="000000000000": {"ExecutionRole": f"arn:aws:iam::{account}:role/{role}"}
        spark = {"EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"}}
        text = ("User: arn:aws:iam::000000000000:user/ada is not authorized to perform: iam:PassRole on resource: "
                "arn:aws:iam::000000000000:role/vip because no identity-based policy allows the iam:PassRole action")
        refused(lambda: ada.create_work_group(Name="w", Configuration=spark | of("vip")), "AccessDeniedException", text)
        refused(lambda: ada.start_session(WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 2}, **of("vip")), "AccessDeniedException", text)
        ada.create_work_group(Name="w", Configuration=spark | of("hers"))
        refused(lambda: ada.update_work_group(WorkGroup="w", ConfigurationUpdates=of("vip")), "AccessDeniedException", text)
        ada.update_work_group(WorkGroup="w", ConfigurationUpdates=of("hers"), Description="mine")
        root = server.client("athena")
        foreign = of("x", "111111111111")
        for call in (lambda: root.create_work_group(Name="x", Configuration=spark | foreign),
                     lambda: root.update_work_group(WorkGroup="w", ConfigurationUpdates=foreign),
                     lambda: root.start_session(WorkGroup="spark", EngineConfiguration={"MaxConcurrentDpus": 2}, **foreign)):
            refused(call, "AccessDeniedException", "Cross-account pass role is not allowed.")
        refused(lambda: root.get_work_group(WorkGroup="x"), "InvalidRequestException", "WorkGroup is not found.")
        assert root.get_work_group(WorkGroup="w")["WorkGroup"]["Configuration"]["ExecutionRole"] == of("hers")["ExecutionRole"]
    finally:
        server.stop()


def test_paging_and_engine_versions(athena):
    for n in range(3):
        athena.create_work_group(Name=f"page-{n}")
    seen, token = [], None
    while True:
        got = athena.list_work_groups(MaxResults=2, **({"NextToken": token} if token else {}))
        assert len(got["WorkGroups"]) <= 2
        seen += [g["Name"] for g in got["WorkGroups"]]
        token = got.get("NextToken")
        if not token:
            break
    assert len(seen) == len(set(seen)) and {"page-0", "page-1", "page-2"} <= set(seen)
    versions = {v["SelectedEngineVersion"] for v in athena.list_engine_versions()["EngineVersions"]}
    assert {"AUTO", "PySpark engine version 3", "Apache Spark version 3.5"} <= versions
    for n in range(3):
        athena.delete_work_group(WorkGroup=f"page-{n}")


def test_command_line(server):
    aws = server.aws
    aws("athena", "create-work-group", "--name", "cli", "--tags", "Key=a,Value=b")
    assert aws("athena", "get-work-group", "--work-group", "cli")["WorkGroup"]["Name"] == "cli"
    arn = "arn:aws:athena:us-east-1:000000000000:workgroup/cli"
    aws("athena", "tag-resource", "--resource-arn", arn, "--tags", "Key=c,Value=d")
    aws("athena", "untag-resource", "--resource-arn", arn, "--tag-keys", "a")
    assert aws("athena", "list-tags-for-resource", "--resource-arn", arn)["Tags"] == [{"Key": "c", "Value": "d"}]
    aws("athena", "update-work-group", "--work-group", "cli", "--description", "x")
    assert any(g["Name"] == "cli" for g in aws("athena", "list-work-groups")["WorkGroups"])
    assert aws("athena", "list-engine-versions")["EngineVersions"]
    aws("athena", "delete-work-group", "--work-group", "cli", "--recursive-delete-option")
    out = aws("athena", "get-work-group", "--work-group", "cli", check=False)
    assert out.returncode != 0 and "WorkGroup is not found." in out.stderr


def test_signatures(server):
    for keys, code in (
        ({"aws_secret_access_key": "x" * 40}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAAAAAAAAAAAAAAAAA"}, "UnrecognizedClientException"),
        ({"aws_session_token": "no token of ours"}, "UnrecognizedClientException"),
    ):
        refused(lambda keys=keys: server.client("athena", **keys).list_work_groups(), code)
