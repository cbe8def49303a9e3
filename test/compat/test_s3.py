"""S3 at the same address, from outside and from inside a session."""

import json
import time
import urllib.error
import urllib.request

import pytest
import urllib3

from conftest import Server, Spark, wait_for


def test_objects(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b.txt", Body=b"hello")
    assert s3.get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"hello"
    assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/b.txt"]
    s3.copy_object(Bucket=bucket, Key="a/c.txt", CopySource={"Bucket": bucket, "Key": "a/b.txt"})
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a/b.txt"}, {"Key": "a/c.txt"}, {"Key": "never"}]})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="a/")


def test_multipart(s3, bucket, tmp_path):
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 4096 * 20)
    s3.upload_file(str(big), bucket, "big")
    s3.download_file(bucket, "big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    s3.delete_object(Bucket=bucket, Key="big")


def test_presigned_and_virtual_host(server, s3, bucket):
    url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "signed"})
    assert urllib3.request("PUT", url, body=b"by url").status == 200
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "signed"})
    assert urllib.request.urlopen(url).read() == b"by url"
    with pytest.raises(urllib.error.HTTPError) as e:
        urllib.request.urlopen(f"{server.url}/{bucket}/signed")
    assert e.value.code == 403


def test_temporary_credentials(server, bucket):
    sts = server.client("sts")
    assert sts.get_caller_identity()["Account"] == "000000000000"
    got = sts.assume_role(RoleArn="arn:aws:iam::000000000000:role/team/any", RoleSessionName="me")
    keys = got["Credentials"]
    mine = dict(aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                aws_session_token=keys["SessionToken"])
    assert server.client("sts", **mine).get_caller_identity()["Arn"].endswith(":assumed-role/any/me")
    for key in (keys["AccessKeyId"], server.env["AWS_ACCESS_KEY_ID"]):
        assert sts.get_access_key_info(AccessKeyId=key)["Account"] == "000000000000"
    of_root = sts.get_session_token()["Credentials"]
    theirs = dict(aws_access_key_id=of_root["AccessKeyId"], aws_secret_access_key=of_root["SecretAccessKey"],
                  aws_session_token=of_root["SessionToken"])
    assert server.client("sts", **theirs).get_caller_identity()["Arn"].endswith(":root")
    server.client("s3", **mine).put_object(Bucket=bucket, Key="temp", Body=b"1")
    assert server.client("athena", **mine).list_work_groups()["WorkGroups"]


def test_command_line(server, bucket, tmp_path):
    (tmp_path / "f.txt").write_text("from a file")
    server.aws("s3", "cp", tmp_path / "f.txt", f"s3://{bucket}/cli/f.txt")
    assert server.aws("s3", "cp", f"s3://{bucket}/cli/f.txt", "-") == "from a file"
    assert "f.txt" in server.aws("s3", "ls", f"s3://{bucket}/cli/")
    server.aws("s3", "rm", f"s3://{bucket}/cli/", "--recursive")
    assert server.aws("sts", "get-caller-identity")["Account"] == "000000000000"
    role = server.aws("sts", "assume-role", "--role-arn", "arn:aws:iam::000000000000:role/any", "--role-session-name", "me")
    assert role["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/any/me"
    assert server.aws("sts", "get-session-token", "--duration-seconds", "900")["Credentials"]["SessionToken"]
    key = role["Credentials"]["AccessKeyId"]
    assert server.aws("sts", "get-access-key-info", "--access-key-id", key)["Account"] == "000000000000"


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
@pytest.mark.parametrize("format", ["csv", "json", "parquet", "orc", "avro"])
def test_formats_inside_a_session(spark, s3, bucket, scheme, format):
    path = f"{scheme}://{bucket}/formats/{scheme}/{format}"
    header = ".option('header', True)" if format == "csv" else ""
    out, _ = spark.run(
        f"df = spark.range(1000).selectExpr('id', 'cast(id % 7 as string) as k')\n"
        f"df.write.mode('overwrite').format('{format}'){header}.save('{path}')\n"
        f"back = spark.read.format('{format}'){header}.load('{path}')\n"
        f"print(back.count(), back.filter(\"k = '3'\").count())")
    assert out.split() == ["1000", "143"]
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=f"formats/{scheme}/{format}/")["Contents"]]
    assert not any("__magic" in k or "_temporary" in k for k in keys), keys
    success = s3.get_object(Bucket=bucket, Key=f"formats/{scheme}/{format}/_SUCCESS")["Body"].read()
    assert json.loads(success)["committer"] == "magic"


def test_aborted_job_leaves_nothing(spark, s3, bucket):
    spark.run(
        "from pyspark.sql.functions import udf\n"
        "def bad(x):\n"
        "    if x == 999: raise ValueError('stop')\n"
        "    return x\n"
        f"spark.range(1000).repartition(4).select(udf(bad, 'long')('id').alias('v')).write.parquet('s3://{bucket}/aborted/')",
        state="FAILED")
    left = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="aborted/").get("Contents", [])
            if not o["Key"].endswith("/")]
    assert left == []


def test_nothing_is_visible_before_the_commit(spark, s3, bucket):
    calc = spark.start(
        "from pyspark.sql.functions import udf\n"
        "def slow(x):\n"
        "    if x == 0: __import__('time').sleep(6)\n"
        "    return x\n"
        f"spark.range(0, 1000, 1, 4).select(udf(slow, 'long')('id').alias('v')).write.parquet('s3://{bucket}/commit/')")
    while spark.state(calc) in ("CREATING", "CREATED", "QUEUED", "RUNNING"):
        keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="commit/").get("Contents", [])]
        if spark.state(calc) != "RUNNING" or any(k.endswith("_SUCCESS") for k in keys):
            break
        # The job commits once every task has said what it wrote; until then no file of it can be seen.
        tasks = sum(k.endswith(".pendingset") for k in keys)
        assert tasks == 4 or not any("part-" in k and "__magic" not in k for k in keys), keys
    assert spark.finish(calc)["Status"]["State"] == "COMPLETED"
    assert spark.run(f"print(spark.read.parquet('s3://{bucket}/commit/').count())")[0] == "1000\n"


def test_boto3_inside_a_session(spark, s3, bucket):
    out, _ = spark.run(
        "import boto3\n"
        f"boto3.client('s3').put_object(Bucket='{bucket}', Key='inside', Body=b'from inside')\n"
        "print(boto3.client('sts').get_caller_identity()['Arn'])\n"
        f"print(boto3.client('athena').get_session_status(SessionId='{spark.id}')['Status']['State'])")
    arn, state = out.split()
    assert arn.endswith(f"/AthenaExecutor-{spark.id}") and state == "BUSY"
    assert s3.get_object(Bucket=bucket, Key="inside")["Body"].read() == b"from inside"


def test_dynamic_partition_overwrite_keeps_other_partitions(spark, bucket):
    out, _ = spark.run(
        f"path = 's3://{bucket}/dynamic'\n"
        "def write(rows, **more):\n"
        "    spark.createDataFrame(rows, 'k string, v long').write.mode('overwrite').options(**more).partitionBy('k').parquet(path)\n"
        "write([('a', 1), ('a', 5), ('b', 1)])\n"
        "write([('a', 2)], partitionOverwriteMode='dynamic')\n"
        "print(sorted((r.k, r.v) for r in spark.read.parquet(path).collect()))")
    assert out == "[('a', 2), ('b', 1)]\n"


def test_success_is_written_last(spark, s3, bucket):
    spark.run(f"spark.range(100).repartition(3).write.parquet('s3://{bucket}/last/')")
    files = {o["Key"].split("/")[-1]: o["LastModified"]
             for o in s3.list_objects_v2(Bucket=bucket, Prefix="last/")["Contents"] if not o["Key"].endswith("/")}
    assert len(files) == 4 and max(files.values()) == files["_SUCCESS"], files


def test_two_sessions_write_side_by_side(server, spark, bucket):
    """As root they have different uids, and nothing in /tmp to share."""
    other = Spark(server)
    try:
        other.wait("IDLE")
        code = "spark.range(100).write.mode('overwrite').parquet('s3://%s/side/%s')\nprint(spark.read.parquet('s3://%s/side/%s').count())"
        calcs = [(s, s.start(code % (bucket, s.id, bucket, s.id))) for s in (spark, other)]
        for s, calc in calcs:
            got = s.finish(calc)
            assert got["Status"]["State"] == "COMPLETED", got
            assert s.object(got["Result"]["StdOutS3Uri"]) == b"100\n"
    finally:
        other.end()


def test_a_session_outlives_its_first_credentials(tmp_path):
    server = Server(tmp_path, "--credential-life", "10s").start()
    try:
        s = Spark(server)
        s.wait("IDLE")
        s.s3.create_bucket(Bucket="old")
        first = s.run("import boto3\ns3 = boto3.client('s3')\n"
                      "keys = s3._request_signer._credentials.get_frozen_credentials()\n"
                      "spark.range(7).write.parquet('s3://old/t')\nprint(keys.access_key, end='')")[0]
        end = time.monotonic() + 12

        def old():
            return time.monotonic() > end

        wait_for("the first credentials have expired", 20, old)
        out = s.run("s3.put_object(Bucket='old', Key='k', Body=b'later')\n"
                    "print(spark.read.parquet('s3://old/t').count())\n"
                    "print(s3._request_signer._credentials.get_frozen_credentials().access_key)")[0].split()
        assert out[0] == "7" and out[1] != first and out[1].startswith("ASIA")
    finally:
        server.stop()
