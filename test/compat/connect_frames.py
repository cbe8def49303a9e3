"""Makes each call of Spark Connect twice, straight to the driver and through the proxy, and compares what comes back.

Run with the runtime's Python; arguments: driver's socket, its secret, the proxy's host and port, token, the caller's ARN.
"""

import os
import re
import sys
import uuid
import zlib

import grpc
from google.rpc import status_pb2
from pyspark.sql.connect.proto import base_pb2 as b
from pyspark.sql.connect.proto import relations_pb2 as r

socket, secret, address, token, arn = sys.argv[1:]
options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
with open(os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"], "rb") as f:
    creds = grpc.ssl_channel_credentials(f.read())
LANES = {
    "direct": (grpc.insecure_channel("unix:" + socket, options), [("x-glaux-session-secret", secret)]),
    "proxied": (grpc.secure_channel(address, creds, options), [("x-aws-proxy-auth", token), ("x-aws-proxy-port", "15002")]),
}
SESSION = str(uuid.uuid4())


def of(kind, **more):
    """A request of the caller's own Spark session. Only the proxied one may claim another user."""
    m = kind(session_id=SESSION, client_type="frames", **more)
    m.user_context.user_id = arn
    return m


def plan(partitions=2, rows=5):
    p = b.Plan()
    p.root.range.start, p.root.range.end, p.root.range.step, p.root.range.num_partitions = 0, rows, 1, partitions
    return p


def sql(text):
    p = b.Plan()
    p.root.CopyFrom(r.Relation(sql=r.SQL(query=text)))
    return p


def artifacts(name):
    data = b"x" * 32768

    def chunk(d):
        return b.AddArtifactsRequest.ArtifactChunk(data=d, crc=zlib.crc32(d))

    begin = of(b.AddArtifactsRequest)
    begin.begin_chunk.name, begin.begin_chunk.total_bytes, begin.begin_chunk.num_chunks = name, 3 * len(data), 3
    begin.begin_chunk.initial_chunk.CopyFrom(chunk(data))
    return [begin] + [of(b.AddArtifactsRequest, chunk=chunk(data)) for _ in range(2)]


def get(key):
    q = of(b.ConfigRequest)
    q.operation.get.keys.append(key)
    return q


def analyze():
    q = of(b.AnalyzePlanRequest)
    q.schema.plan.CopyFrom(plan())
    return q


def interrupt():
    q = of(b.InterruptRequest, interrupt_type=b.InterruptRequest.INTERRUPT_TYPE_ALL)
    return q


def status(lane):
    q = of(b.ArtifactStatusesRequest)
    q.names.append(f"files/{lane}")
    return q


def long(message, size):
    """The message with a field that nobody knows, so long that the whole has size bytes."""
    text = message.SerializeToString()
    left = n = size - len(text) - 5  # tag, and a length of four bytes
    length = b""
    while n > 127:
        length += bytes([n & 127 | 128])
        n >>= 7
    whole = text + b"\x7a" + length + bytes([n]) + bytes(left)
    assert len(whole) == size
    return whole


LONGEST = 128 << 20
CALLS = {  # name: (method, client streams, requests of a lane, response)
    "Config": ("Config", False, lambda lane: [get("spark.sql.ansi.enabled")], b.ConfigResponse),
    "a Config that fails": ("Config", False, lambda lane: [get("no.such.key")], b.ConfigResponse),
    "the longest Config": ("Config", False, lambda lane: [long(get("spark.sql.ansi.enabled"), LONGEST)], b.ConfigResponse),
    "AnalyzePlan": ("AnalyzePlan", False, lambda lane: [analyze()], b.AnalyzePlanResponse),
    "ExecutePlan": ("ExecutePlan", False, lambda lane: [of(b.ExecutePlanRequest, plan=plan())], b.ExecutePlanResponse),
    "a long ExecutePlan": ("ExecutePlan", False, lambda lane: [of(b.ExecutePlanRequest, plan=plan(1, 2_000_000))], b.ExecutePlanResponse),
    "an ExecutePlan that fails": ("ExecutePlan", False, lambda lane: [of(b.ExecutePlanRequest, plan=sql("select nonsense"))], b.ExecutePlanResponse),
    "an ExecutePlan that fails late": (
        "ExecutePlan", False, lambda lane: [of(b.ExecutePlanRequest, plan=sql("select assert_true(id < 3) from range(0, 9, 1, 1)"))], b.ExecutePlanResponse),
    "AddArtifacts": ("AddArtifacts", True, lambda lane: artifacts(f"files/{lane}"), b.AddArtifactsResponse),
    "ArtifactStatus": ("ArtifactStatus", False, lambda lane: [status(lane)], b.ArtifactStatusesResponse),
    "Interrupt": ("Interrupt", False, lambda lane: [interrupt()], b.InterruptResponse),
    "ReattachExecute": (
        "ReattachExecute", False, lambda lane: [of(b.ReattachExecuteRequest, operation_id="5b9b2a4c-7a4d-4f3c-9b1e-0c3f4f3a8d11")], b.ExecutePlanResponse),
    "ReleaseExecute": (
        "ReleaseExecute", False, lambda lane: [of(b.ReleaseExecuteRequest, operation_id="5b9b2a4c-7a4d-4f3c-9b1e-0c3f4f3a8d11")], b.ReleaseExecuteResponse),
    "another session's id": ("Config", False, lambda lane: [b.ConfigRequest(session_id="none")], b.ConfigResponse),
    "a call of a later Spark": ("FetchErrorDetails", False, lambda lane: [b""], b.ConfigResponse),
}


def plain(message, lane):
    """A message without what differs from call to call: ids and measured times."""
    for name in ("operation_id", "response_id"):
        if name in message.DESCRIPTOR.fields_by_name:
            message.ClearField(name)
    if isinstance(message, b.ExecutePlanResponse) and message.HasField("metrics"):
        for metric in message.metrics.metrics:
            metric.execution_metrics.clear()
            metric.plan_id = metric.parent = 0
    return str(message).replace(lane, "LANE")


def words(text, lane):
    """A text without ids of objects, and without its stack: where code is compiled meanwhile differs."""
    numbers = r"#\d+L?|[0-9a-f]{8}-[0-9a-f-]{27}|(TID|[Ss]tage|[Jj]ob|[Tt]ask) \d+(\.\d+)?"
    return re.sub(numbers, "N", text.split("\n\tat ")[0].replace(lane, "LANE"))


def call(lane, method, client, requests, response):
    channel, meta = LANES[lane]
    make = channel.stream_stream(
        "/spark.connect.SparkConnectService/" + method,
        request_serializer=lambda m: m if isinstance(m, bytes) else m.SerializeToString(), response_deserializer=bytes)
    c = make(iter(requests), metadata=meta, timeout=120)
    answers = []
    try:
        answers = [plain(response.FromString(a), lane) for a in c]
    except grpc.RpcError:
        pass
    trailers = {}
    for key, value in c.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            s = status_pb2.Status.FromString(value)
            value = (s.code, words(s.message, lane), [d.type_url for d in s.details])
        elif key != "content-type":
            value = words(value if isinstance(value, str) else value.decode("latin-1"), lane)
        if key != "content-type":
            trailers[key] = value
    head = sorted(key for key, _ in c.initial_metadata() or ())
    return {"answers": answers, "code": str(c.code()), "details": words(c.details() or "", lane), "head": head, "trailers": trailers}


bad = 0
for name, (method, client, requests, response) in CALLS.items():
    got = {lane: call(lane, method, client, requests(lane), response) for lane in LANES}
    same = got["direct"] == got["proxied"]
    print(("same   " if same else "DIFFERS"), name, got["proxied"]["code"], len(got["proxied"]["answers"]))
    if not same:
        bad += 1
        for key, value in got["direct"].items():
            if value != got["proxied"][key]:
                print(f"  {key}: direct {str(value)[:2000]}\n  {key}: proxied {str(got['proxied'][key])[:2000]}")
sys.exit(1 if bad else 0)
