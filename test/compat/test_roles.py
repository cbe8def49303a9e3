"""IAM's GetRole, with which a client finds the role that its own credentials are of."""

import pytest
from botocore.exceptions import ClientError

ARN = "arn:aws:iam::000000000000:role/notebooks/scientist"


def test_a_role_is_found_by_the_name_in_its_identity(server):
    keys = server.client("sts").assume_role(RoleArn=ARN, RoleSessionName="me")["Credentials"]
    mine = dict(aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"])
    who = server.client("sts", **mine).get_caller_identity()
    name = who["Arn"].split("/")[1]
    role = server.client("iam", **mine).get_role(RoleName=name)["Role"]
    assert (role["Arn"], role["RoleName"], role["Path"]) == (ARN, "scientist", "/notebooks/")
    assert role["RoleId"] == who["UserId"].split(":")[0]
    assert role["MaxSessionDuration"] == 43200
    services = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]  # boto3 decodes the document
    assert "glue.amazonaws.com" in services
    # Ids do not change, and the AWS CLI sees the same.
    assert server.aws("iam", "get-role", "--role-name", "any")["Role"] == server.aws("iam", "get-role", "--role-name", "any")["Role"]


def test_what_iam_refuses(server):
    with pytest.raises(ClientError) as refused:
        server.client("iam").get_role(RoleName="a b")
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError) as refused:
        server.client("iam").list_roles()
    assert (refused.value.response["Error"]["Code"], refused.value.response["ResponseMetadata"]["HTTPStatusCode"]) == ("NotImplementedException", 501)
