"""The object store as boto3 and the AWS CLI use it: every way to name, sign and move an object."""

import datetime
import hashlib
import io
import json
import os
import socket
import time
import urllib.error
import urllib.request

import boto3
import pytest
import urllib3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

ODD = "a/ü b+c%20=&?"


def code(call, **arguments):
    with pytest.raises(ClientError) as e:
        call(**arguments)
    return e.value.response["Error"]["Code"]


def keys_of(s3, bucket, prefix=""):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": 7})
    return [o["Key"] for page in pages for o in page.get("Contents", [])]


@pytest.fixture(scope="module")
def bucket(s3):
    s3.create_bucket(Bucket="compat-object")
    return "compat-object"


def temporary(server, seconds=900, **request):
    keys = server.client("sts").assume_role(
        RoleArn="arn:aws:iam::000000000000:role/any", RoleSessionName="object", DurationSeconds=seconds, **request)["Credentials"]
    return dict(aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"])


def test_odd_keys_metadata_and_errors(s3, bucket):
    s3.put_object(Bucket=bucket, Key=ODD, Body=b"hello", Metadata={"k": "v"}, ContentType="text/q")
    got = s3.get_object(Bucket=bucket, Key=ODD)
    assert got["Body"].read() == b"hello" and got["Metadata"] == {"k": "v"} and got["ContentType"] == "text/q"
    assert keys_of(s3, bucket, "a/") == [ODD]
    assert s3.get_object(Bucket=bucket, Key=ODD, Range="bytes=1-2")["Body"].read() == b"el"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": ODD})
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"hello"
    assert code(s3.get_object, Bucket=bucket, Key="none") == "NoSuchKey"
    assert code(s3.head_object, Bucket=bucket, Key="none") == "404"
    assert code(s3.get_object, Bucket="no-such-bucket", Key="x") == "NoSuchBucket"
    assert code(s3.delete_bucket, Bucket=bucket) == "BucketNotEmpty"
    s3.put_object_tagging(Bucket=bucket, Key=ODD, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key=ODD)["TagSet"] == [{"Key": "a", "Value": "b"}]
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": ODD}, {"Key": "copy"}, {"Key": "never"}]})
    assert sorted(d["Key"] for d in gone["Deleted"]) == sorted([ODD, "copy", "never"])
    assert keys_of(s3, bucket) == []


def test_listing_in_pages_and_by_delimiter(s3, bucket):
    want = sorted(f"list/{n % 3}/{n:02}" for n in range(20))
    for key in want:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    assert keys_of(s3, bucket, "list/") == want
    got = s3.list_objects_v2(Bucket=bucket, Prefix="list/", Delimiter="/")
    assert [p["Prefix"] for p in got["CommonPrefixes"]] == ["list/0/", "list/1/", "list/2/"]
    assert [o["Key"] for o in s3.list_objects(Bucket=bucket, Prefix="list/0/")["Contents"]] == [k for k in want if k.startswith("list/0/")]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in want], "Quiet": True})
    assert keys_of(s3, bucket, "list/") == []


def test_multipart_by_hand(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    body = [os.urandom(5 << 20), os.urandom(5 << 20), b"end"]
    parts = [{"PartNumber": n, "ETag": s3.upload_part(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=n, Body=b)["ETag"]}
             for n, b in enumerate(body, 1)]
    assert [p["PartNumber"] for p in s3.list_parts(Bucket=bucket, Key="parts", UploadId=upload)["Parts"]] == [1, 2, 3]
    assert code(s3.head_object, Bucket=bucket, Key="parts") == "404", "nothing is visible before it is complete"
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    whole = b"".join(body)
    assert hashlib.sha256(s3.get_object(Bucket=bucket, Key="parts")["Body"].read()).digest() == hashlib.sha256(whole).digest()
    s3.copy({"Bucket": bucket, "Key": "parts"}, bucket, "parts-copy")
    assert s3.head_object(Bucket=bucket, Key="parts-copy")["ContentLength"] == len(whole)
    other = s3.create_multipart_upload(Bucket=bucket, Key="dropped")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="dropped", UploadId=other, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="dropped", UploadId=other)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert code(s3.list_parts, Bucket=bucket, Key="dropped", UploadId=other) == "NoSuchUpload"
    assert code(s3.upload_part, Bucket=bucket, Key="dropped", UploadId=other, PartNumber=1, Body=b"x") == "NoSuchUpload"


@pytest.mark.parametrize("version", ["s3", "s3v4"])
@pytest.mark.parametrize("temp", [False, True])
def test_presigned(server, bucket, version, temp):
    e = server.env
    keys = temporary(server) if temp else dict(aws_access_key_id=e["AWS_ACCESS_KEY_ID"], aws_secret_access_key=e["AWS_SECRET_ACCESS_KEY"])
    s3 = boto3.client("s3", endpoint_url=server.url, region_name="us-east-1",
                      config=Config(signature_version=version, s3={"addressing_style": "path"}), **keys)
    key = f"presigned {version} {temp}"
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": key})
    assert urllib3.request("PUT", url, body=b"by url").status == 200
    url = s3.generate_presigned_url("get_object", Params={
        "Bucket": bucket, "Key": key, "ResponseContentType": "text/q", "ResponseContentDisposition": 'attachment; filename="a b"'})
    reply = urllib3.request("GET", url)
    assert reply.data == b"by url" and reply.headers["Content-Type"] == "text/q"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="a b"'
    assert urllib3.request("GET", url.replace("presigned", "presigneD", 1)).status in (403, 404)
    assert urllib3.request("GET", url.replace("text", "html")).status == 403
    assert urllib3.request("PUT", url, body=b"other method").status == 403
    assert urllib3.request("GET", url + "&tagging").status == 403
    short = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=1)
    end = time.monotonic() + 10
    while urllib3.request("GET", short).status != 403:
        assert time.monotonic() < end, "a URL that was good for a second still is"
    assert server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == b"by url"


def test_bucket_in_the_host(server, bucket, monkeypatch):
    plain = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: plain("127.0.0.1" if host.endswith("localhost") else host, *a, **k))
    e = server.env
    s3 = boto3.client("s3", endpoint_url=server.url.replace("127.0.0.1", "localhost"), region_name="us-east-1",
                      aws_access_key_id=e["AWS_ACCESS_KEY_ID"], aws_secret_access_key=e["AWS_SECRET_ACCESS_KEY"],
                      config=Config(s3={"addressing_style": "virtual"}, signature_version="s3v4"))
    for key in ("host", "_glaux/health", ODD):  # the second is nobody's page when a bucket is named
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key})
        assert url.startswith(f"http://{bucket}.localhost:") and urllib.request.urlopen(url).read() == key.encode()
    assert "host" in keys_of(s3, bucket)
    s3.upload_fileobj(io.BytesIO(bytes(20 << 20)), bucket, "host-parts")
    assert s3.head_object(Bucket=bucket, Key="host-parts")["ContentLength"] == 20 << 20
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "host"}, {"Key": "host-parts"}]})
    assert code(s3.head_object, Bucket=bucket, Key="host") == "404"


def test_credentials_that_are_no_good(server, s3, bucket):
    s3.put_object(Bucket=bucket, Key="guarded", Body=b"secret")
    mine, other = temporary(server), temporary(server)
    assert server.client("s3", **mine).get_object(Bucket=bucket, Key="guarded")["Body"].read() == b"secret"

    def refusal(service="s3", **keys):
        call = server.client(service, **keys)
        return code(call.get_object, Bucket=bucket, Key="guarded") if service == "s3" else code(call.list_work_groups)

    swapped = dict(mine, aws_session_token=other["aws_session_token"])
    none = {k: v for k, v in mine.items() if k != "aws_session_token"}
    broken = dict(mine, aws_session_token=mine["aws_session_token"][:-8] + "AAAAAAA=")
    assert refusal(**swapped) == refusal(**broken) == "InvalidToken" and refusal(**none) == "InvalidAccessKeyId"
    assert refusal("athena", **swapped) == refusal("athena", **broken) == refusal("athena", **none) == "UnrecognizedClientException"
    assert refusal(**dict(mine, aws_secret_access_key="x" * 40)) == "SignatureDoesNotMatch"
    assert refusal("athena", **dict(mine, aws_secret_access_key="x" * 40)) == "InvalidSignatureException"
    assert refusal(aws_session_token=mine["aws_session_token"]) == "InvalidToken", "root's key has no token"


def test_what_a_replay_may_change(server, s3, bucket):
    """A captured request is good for itself alone."""
    root = Credentials(server.env["AWS_ACCESS_KEY_ID"], server.env["AWS_SECRET_ACCESS_KEY"])

    def signed(sign, service, method, path, body=b"", **headers):
        request = AWSRequest(method, server.url + path, headers=headers, data=body)
        sign(root, service, "us-east-1").add_auth(request)
        return request

    def send(request, path=None, body=None, **headers):
        url = request.url if path is None else server.url + path
        reply = urllib3.request(request.method, url, headers={**dict(request.headers), **headers},
                                body=request.data if body is None else body, retries=False)
        return reply.status, reply.data.decode()

    call = signed(SigV4Auth, "athena", "POST", "/", b"{}", **{"X-Amz-Target": "AmazonAthena.ListWorkGroups", "Content-Type": "application/x-amz-json-1.1"})
    assert send(call)[0] == 200
    for change in ({"body": b'{"MaxResults":1}'}, {"path": "/x"}, {"path": "/?a=b"}, {"Host": "other.example"},
                   {"X-Amz-Target": "AmazonAthena.ListNamedQueries"}, {"X-Amz-Date": "20200101T000000Z"}):
        status, text = send(call, **change)
        assert status == 400 and "InvalidSignatureException" in text, (change, text)

    s3.put_object(Bucket=bucket, Key="replay", Body=b"old")
    put = signed(S3SigV4Auth, "s3", "PUT", f"/{bucket}/replay", b"new")
    for change, want in (({"body": b"bad"}, "XAmzContentSHA256Mismatch"), ({"path": f"/{bucket}/replay2"}, "SignatureDoesNotMatch"),
                         ({"path": f"/{bucket}/replay?tagging"}, "SignatureDoesNotMatch"), ({"X-Amz-Acl": "public-read"}, "AccessDenied"),
                         ({"X-Amz-Copy-Source": f"/{bucket}/guarded"}, "AccessDenied")):
        status, text = send(put, **change)
        assert status in (400, 403) and want in text, (change, text)
    assert s3.get_object(Bucket=bucket, Key="replay")["Body"].read() == b"old"
    assert send(put)[0] == 200 and s3.get_object(Bucket=bucket, Key="replay")["Body"].read() == b"new"


def test_times(server, bucket, monkeypatch):
    """Requests five minutes and more from now are refused, in both directions."""
    import botocore.auth as auth
    for minutes, good in ((-6, False), (6, False), (-4, True), (4, True)):
        then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
        monkeypatch.setattr(auth, "get_current_datetime", lambda remove_tzinfo=True, t=then: t.replace(tzinfo=None) if remove_tzinfo else t)
        if good:
            assert server.client("athena").list_work_groups()["WorkGroups"]
            server.client("s3").list_objects_v2(Bucket=bucket)
        else:
            assert code(server.client("athena").list_work_groups) == "InvalidSignatureException"
            assert code(server.client("s3").list_objects_v2, Bucket=bucket) == "RequestTimeTooSkewed"


def test_command_line(server, s3, bucket, tmp_path):
    tree = tmp_path / "tree"
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "one.txt").write_text("one")
    (tree / "deep" / "two ü.txt").write_text("two")
    (tree / "deep" / "er" / "big").write_bytes(os.urandom(20 << 20))  # in parts
    here = f"s3://{bucket}/cli"
    server.aws("s3", "cp", tree / "one.txt", f"{here}/one.txt")
    assert server.aws("s3", "cp", f"{here}/one.txt", "-") == "one"
    server.aws("s3", "sync", tree, f"{here}/tree")
    assert sorted(keys_of(s3, bucket, "cli/tree/")) == ["cli/tree/deep/er/big", "cli/tree/deep/two ü.txt", "cli/tree/one.txt"]
    assert server.aws("s3", "sync", tree, f"{here}/tree").strip() == "", "a second sync has nothing to do"
    (tree / "one.txt").unlink()
    server.aws("s3", "sync", tree, f"{here}/tree", "--delete")
    server.aws("s3", "sync", f"{here}/tree", tmp_path / "back")
    assert (tmp_path / "back/deep/er/big").read_bytes() == (tree / "deep/er/big").read_bytes()
    assert not (tmp_path / "back/one.txt").exists()
    server.aws("s3", "mv", f"{here}/tree/deep/two ü.txt", f"{here}/moved")
    assert server.aws("s3", "cp", f"{here}/moved", "-") == "two"
    url = server.aws("s3", "presign", f"{here}/moved").strip()
    assert urllib.request.urlopen(url).read() == b"two"
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url.replace("moved", "one.txt"))
    assert "moved" in server.aws("s3", "ls", f"{here}/")
    server.aws("s3", "rm", here, "--recursive")
    assert keys_of(s3, bucket, "cli/") == []
    server.aws("s3", "mb", "s3://compat-cli")
    server.aws("s3", "rb", "s3://compat-cli")
    assert server.aws("s3", "ls", "s3://compat-cli", check=False).returncode != 0


def test_roles_and_users_of_the_configuration(tmp_path):
    """Rules hold in the object store too: for reads, copies, bulk deletes and what headers set."""
    from conftest import Server
    config = tmp_path / "glaux.yaml"
    config.write_text("""
users:
  - name: ada
    access-key: AKIAADAADAADAADAADAA
    secret-key: ada's own secret key
    allow:
      - actions: ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
        resources: ["arn:aws:s3:::rules/open/*"]
      - actions: ["s3:ListBucket"]
        resources: ["arn:aws:s3:::rules"]
max-request-bytes: 4096
""")
    server = Server(tmp_path, "--config", config)
    try:
        server.start()
        root = server.client("s3")
        root.create_bucket(Bucket="rules")
        root.put_object(Bucket="rules", Key="open/a", Body=b"a")
        root.put_object(Bucket="rules", Key="shut/b", Body=b"b")
        ada = server.client("s3", aws_access_key_id="AKIAADAADAADAADAADAA", aws_secret_access_key="ada's own secret key")
        assert ada.get_object(Bucket="rules", Key="open/a")["Body"].read() == b"a"
        assert len(keys_of(ada, "rules")) == 2
        upload = root.create_multipart_upload(Bucket="rules", Key="shut/c")["UploadId"]
        for call, arguments in (
                (ada.get_object, {"Key": "shut/b"}), (ada.head_object, {"Key": "shut/b"}), (ada.get_object, {"Key": "open//../shut/b"}),
                (ada.put_object, {"Key": "shut/b"}), (ada.delete_object, {"Key": "shut/b"}),
                (ada.copy_object, {"Key": "open/c", "CopySource": "rules/shut/b"}), (ada.copy_object, {"Key": "open/c", "CopySource": "/rules/open/%2e%2e/shut/b"}),
                (ada.put_object, {"Key": "open/c", "ACL": "public-read"}), (ada.put_object, {"Key": "open/c", "Tagging": "a=b"}),
                (ada.put_object_tagging, {"Key": "open/a", "Tagging": {"TagSet": []}}), (ada.get_object_tagging, {"Key": "open/a"}),
                (ada.upload_part, {"Key": "shut/c", "UploadId": upload, "PartNumber": 1}), (ada.abort_multipart_upload, {"Key": "shut/c", "UploadId": upload}),
                (ada.list_parts, {"Key": "shut/c", "UploadId": upload}), (ada.list_object_versions, {}), (ada.get_bucket_policy, {}), (ada.delete_bucket, {})):
            assert code(call, Bucket="rules", **arguments) in ("AccessDenied", "403", "InvalidArgument", "NoSuchKey"), (call, arguments)
        assert code(ada.upload_part, Bucket="rules", Key="open/c", UploadId=upload, PartNumber=1, Body=b"x") == "NoSuchUpload"
        gone = ada.delete_objects(Bucket="rules", Delete={"Objects": [{"Key": "open/a"}, {"Key": "shut/b"}, {"Key": "open/../shut/b"}]})
        # A key with ".." cannot exist, so it is gone already; it is not shut/b.
        assert sorted(d["Key"] for d in gone["Deleted"]) == ["open/../shut/b", "open/a"]
        assert {e["Key"]: e["Code"] for e in gone["Errors"]} == {"shut/b": "AccessDenied"}
        assert root.get_object(Bucket="rules", Key="shut/b")["Body"].read() == b"b"
        keys = dict(aws_access_key_id="AKIAADAADAADAADAADAA", aws_secret_access_key="ada's own secret key")
        assert code(server.client("athena", **keys).list_work_groups) == "AccessDeniedException"
        assert code(server.client("athena").create_work_group, Name="w", Description="x" * 8192) in ("RequestEntityTooLargeException", "413")
    finally:
        server.stop()


def test_results_need_the_roles_permission(tmp_path):
    """What code in a session may not write, the server does not write for it."""
    from conftest import Server, Spark
    config = tmp_path / "glaux.yaml"
    config.write_text("""
roles:
  - name: narrow
    allow:
      - actions: ["s3:PutObject"]
        resources: ["arn:aws:s3:::open/*"]
""")
    server = Server(tmp_path, "--config", config)
    try:
        server.start()
        s3, athena = server.client("s3"), server.client("athena")
        for name in ("open", "secret"):
            s3.create_bucket(Bucket=name)
            athena.create_work_group(Name=name, Configuration={
                "EngineVersion": {"SelectedEngineVersion": "PySpark engine version 3"}, "ExecutionRole": "arn:aws:iam::000000000000:role/narrow",
                "ResultConfiguration": {"OutputLocation": f"s3://{name}/out"}})
        shut = Spark(server, "secret")
        free = Spark(server, "open")
        shut.wait("IDLE")
        _, got = shut.run("print('x')", state="FAILED")
        reason = got["Status"]["StateChangeReason"]
        assert reason.startswith(f"The result could not be written to s3://secret/out/{shut.id}/"), reason
        assert f"access denied: User: arn:aws:sts::000000000000:assumed-role/narrow/AthenaExecutor-{shut.id} is not authorized to perform: s3:PutObject" in reason, reason
        assert not got.get("Result", {}).get("StdOutS3Uri")
        assert keys_of(s3, "secret") == []
        free.wait("IDLE")
        assert free.run("print('x')")[0] == "x\n"
        assert len(keys_of(s3, "open")) == 3
        shut.end()
        free.end()
    finally:
        server.stop()


def test_credentials_of_a_session(tmp_path):
    """What code in a session holds is good for its own affairs, for a while, and for nobody who has ended."""
    from conftest import Server, Spark, wait_for
    server = Server(tmp_path, "--credential-life", "10s").start()
    try:
        server.client("s3").create_bucket(Bucket="mine")
        one, two = Spark(server), Spark(server)
        one.wait("IDLE")
        two.wait("IDLE")
        out, _ = one.run(
            "import boto3, json, os, urllib.request\n"
            "k = boto3.Session().get_credentials().get_frozen_credentials()\n"
            "print(json.dumps([k.access_key, k.secret_key, k.token, os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'], "
            "os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']]))")
        access, secret, token, uri, word = json.loads(out)
        keys = dict(aws_access_key_id=access, aws_secret_access_key=secret, aws_session_token=token)
        athena, sts = server.client("athena", **keys), server.client("sts", **keys)
        server.client("s3", **keys).put_object(Bucket="mine", Key="x", Body=b"x")
        assert athena.get_session(SessionId=one.id)["SessionId"] == one.id
        for call, arguments in (
                (athena.get_session, {"SessionId": two.id}), (athena.terminate_session, {"SessionId": two.id}),
                (athena.start_calculation_execution, {"SessionId": two.id, "CodeBlock": "1"}), (athena.list_calculation_executions, {"SessionId": two.id}),
                (athena.start_session, {"WorkGroup": "spark", "EngineConfiguration": {"MaxConcurrentDpus": 2}}),
                (athena.create_work_group, {"Name": "w"}), (athena.delete_work_group, {"WorkGroup": "spark"}),
                (athena.get_work_group, {"WorkGroup": "primary"}), (sts.get_session_token, {}),
                (sts.assume_role, {"RoleArn": "arn:aws:iam::000000000000:role/any", "RoleSessionName": "me"})):
            assert code(call, **arguments) in ("AccessDeniedException", "AccessDenied"), (call, arguments)

        # The endpoint gives to the holder of a session's own word only.
        path = uri.split("/", 3)[3]
        ask = lambda path, word: urllib3.request("GET", f"{server.url}/{path}", headers={"Authorization": word}).status
        assert ask(path, word) == 200
        assert ask(path, word[:-2]) == ask(path, "") == ask(path.rsplit("/", 1)[0] + "/" + two.id, word) == 401
        one.end()
        assert ask(path, word) == 410, "the session has ended"

        def expired():
            try:
                server.client("s3", **keys).get_object(Bucket="mine", Key="x")
            except ClientError as e:
                return e.response["Error"]["Code"]

        assert wait_for("the credentials expire", 20, expired, every=0.5) == "ExpiredToken"
        assert code(athena.list_work_groups) == "ExpiredTokenException" and code(sts.get_caller_identity) == "ExpiredToken"
        two.end()
    finally:
        server.stop()


def test_partitions_and_appends_inside_a_session(spark, s3, bucket):
    """S3A with names that need escaping, a second append, and an overwrite."""
    out, _ = spark.run(
        "df = spark.range(3000).selectExpr('id', \"concat('a:b c%', id % 2, '+x') q\")\n"
        "for f in ('parquet', 'csv', 'json', 'orc'):\n"
        f"    df.write.mode('overwrite').partitionBy('q').format(f).save('s3a://{bucket}/spark/' + f)\n"
        f"    assert spark.read.format(f).schema(df.schema).load('s3a://{bucket}/spark/' + f).count() == 3000\n"
        f"print(sorted(r.q for r in spark.read.parquet('s3a://{bucket}/spark/parquet').select('q').distinct().collect()))\n"
        f"path = 's3://{bucket}/spark/appended'\n"
        "df.write.mode('append').parquet(path); df.write.mode('append').parquet(path)\n"
        "print(spark.read.parquet(path).count())\n"
        "df.write.mode('overwrite').parquet(path)\n"
        "print(spark.read.parquet(path).count())")
    assert out.splitlines() == ["['a:b c%0+x', 'a:b c%1+x']", "6000", "3000"]
