"""Our own pages: health, readiness, metrics, and output that is read while code runs."""


import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def get(url, **headers):
    return urllib3.request("GET", url, headers=headers, preload_content=False)


def test_health_and_readiness(server):
    assert get(server.url + "/_glaux/health").json()["status"] == "ok"
    assert get(server.url + "/_glaux/ready").json()["ready"] is True
    assert get(server.url + "/_glaux/health", Host="rebound.example").status == 421
    assert get(server.url + "/_glaux/credentials/anything").status in (401, 403, 404)


def test_metrics(server):
    server.client("athena").list_work_groups()
    server.client("s3").list_buckets()
    text = get("http://" + server.names["metrics"] + "/metrics").data.decode()
    assert 'glaux_requests_total{code="",operation="ListWorkGroups",service="athena",status="200"}' in text
    assert "glaux_request_seconds_bucket" in text and "glaux_s3_request_seconds" in text


def signed(server, url):
    request = AWSRequest("GET", url)
    SigV4Auth(Credentials(server.env["AWS_ACCESS_KEY_ID"], server.env["AWS_SECRET_ACCESS_KEY"]),
              "athena", "us-east-1").add_auth(request)
    return urllib3.request("GET", url, headers=dict(request.headers), preload_content=False)


def test_output_is_read_while_the_code_runs(server, spark):
    calc = spark.start("import time\nfor n in range(5):\n    print('line', n, flush=True)\n    time.sleep(0.4)")
    reply = signed(server, f"{server.url}/_glaux/calculations/{calc}/stdout")
    assert reply.status == 200
    first = reply.read(len("line 0\n"))
    assert first == b"line 0\n"
    assert spark.state(calc) in ("CREATED", "QUEUED", "RUNNING"), "the code still runs"
    assert (first + reply.read()).decode().splitlines() == [f"line {n}" for n in range(5)]
    assert get(f"{server.url}/_glaux/calculations/{calc}/stdout").status in (400, 401, 403)
    spark.finish(calc)
