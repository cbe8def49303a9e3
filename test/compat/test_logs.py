"""CloudWatch Logs: boto3 with its paginators, both AWS CLIs, and a tail that follows."""

import pathlib
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from conftest import wait_for

DEBIAN_AWS = pathlib.Path("/usr/bin/aws")  # version 2, which has "logs tail"


@pytest.fixture(scope="module")
def logs(server):
    return server.client("logs")


def now():
    return int(time.time() * 1000)


def make(logs, group, *streams):
    logs.create_log_group(logGroupName=group)
    for stream in streams:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)


def put(logs, group, stream, *messages, at=None):
    at = at or now()
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[
        {"timestamp": at + i, "message": m} for i, m in enumerate(messages)])


def refused(code, text, call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    assert (error["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]) == (code, 400)
    assert text in error["Message"], error


def test_groups(logs):
    before = now()
    logs.create_log_group(logGroupName="/compat/groups/a", tags={"team": "x"})
    for name in ("b", "c", "d"):
        logs.create_log_group(logGroupName=f"/compat/groups/{name}", logGroupClass="INFREQUENT_ACCESS" if name == "d" else "STANDARD")
    refused("ResourceAlreadyExistsException", "The specified log group already exists", logs.create_log_group, logGroupName="/compat/groups/a")

    pages = list(logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix="/compat/groups/", PaginationConfig={"PageSize": 3}))
    assert [len(p["logGroups"]) for p in pages] == [3, 1]
    got = [g for p in pages for g in p["logGroups"]]
    assert [g["logGroupName"][-1] for g in got] == ["a", "b", "c", "d"]
    a = got[0]
    assert a["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/compat/groups/a:*"
    assert a["logGroupArn"] == a["arn"].removesuffix(":*")
    assert before <= a["creationTime"] <= now()
    assert (a["storedBytes"], a["metricFilterCount"], a["logGroupClass"]) == (0, 0, "STANDARD")
    assert "retentionInDays" not in a

    def names(**filters):
        return [g["logGroupName"] for g in logs.describe_log_groups(**filters)["logGroups"]]

    assert names(logGroupNamePattern="groups/b") == ["/compat/groups/b"]
    assert names(logGroupNamePrefix="/compat/groups/", logGroupClass="INFREQUENT_ACCESS") == ["/compat/groups/d"]
    assert names(logGroupIdentifiers=["/compat/groups/c", a["logGroupArn"]]) == ["/compat/groups/a", "/compat/groups/c"]
    refused("InvalidParameterException", "mutually exclusive", logs.describe_log_groups, logGroupNamePrefix="a", logGroupNamePattern="b")

    logs.put_retention_policy(logGroupName="/compat/groups/a", retentionInDays=14)
    assert logs.describe_log_groups(logGroupNamePrefix="/compat/groups/a")["logGroups"][0]["retentionInDays"] == 14
    logs.delete_retention_policy(logGroupName="/compat/groups/a")
    assert "retentionInDays" not in logs.describe_log_groups(logGroupNamePrefix="/compat/groups/a")["logGroups"][0]
    refused("InvalidParameterException", "'retentionInDays' failed to satisfy constraint", logs.put_retention_policy,
            logGroupName="/compat/groups/a", retentionInDays=2)

    logs.put_log_group_deletion_protection(logGroupIdentifier=a["logGroupArn"], deletionProtectionEnabled=True)
    refused("ValidationException", "protected", logs.delete_log_group, logGroupName="/compat/groups/a")
    logs.put_log_group_deletion_protection(logGroupIdentifier="/compat/groups/a", deletionProtectionEnabled=False)
    for name in "abcd":
        logs.delete_log_group(logGroupName=f"/compat/groups/{name}")
    assert names(logGroupNamePrefix="/compat/groups/") == []
    refused("ResourceNotFoundException", "The specified log group does not exist.", logs.delete_log_group, logGroupName="/compat/groups/a")


def test_tags(logs):
    logs.create_log_group(logGroupName="/compat/tags", tags={"a": "1"})
    arn = "arn:aws:logs:us-east-1:000000000000:log-group:/compat/tags"
    logs.tag_resource(resourceArn=arn, tags={"b": "2", "c": ""})
    logs.tag_log_group(logGroupName="/compat/tags", tags={"d": "ü"})
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "2", "c": "", "d": "ü"}
    logs.untag_resource(resourceArn=arn, tagKeys=["a", "none"])
    logs.untag_log_group(logGroupName="/compat/tags", tags=["b"])
    assert logs.list_tags_log_group(logGroupName="/compat/tags")["tags"] == {"c": "", "d": "ü"}
    refused("TooManyTagsException", "50", logs.tag_resource, resourceArn=arn, tags={f"k{i}": "" for i in range(49)})
    refused("InvalidParameterException", "aws:", logs.tag_resource, resourceArn=arn, tags={"aws:x": "y"})
    refused("ResourceNotFoundException", "", logs.tag_resource, resourceArn=arn + "-none", tags={"x": "y"})


def test_streams(logs):
    make(logs, "/compat/streams", *(f"s{i}" for i in range(5)))
    refused("ResourceAlreadyExistsException", "The specified log stream already exists", logs.create_log_stream,
            logGroupName="/compat/streams", logStreamName="s0")
    at = now() - 60000
    put(logs, "/compat/streams", "s3", "x", at=at)
    put(logs, "/compat/streams", "s1", "x", "y", at=at + 1000)
    pages = list(logs.get_paginator("describe_log_streams").paginate(
        logGroupName="/compat/streams", PaginationConfig={"PageSize": 2}))
    got = [s for p in pages for s in p["logStreams"]]
    assert len(pages) == 3 and [s["logStreamName"] for s in got] == ["s0", "s1", "s2", "s3", "s4"]
    s = got[1]
    assert (s["firstEventTimestamp"], s["lastEventTimestamp"], s["storedBytes"]) == (at + 1000, at + 1001, 0)
    assert s["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:/compat/streams:log-stream:s1"
    assert abs(s["lastIngestionTime"] - now()) < 60000 and s["uploadSequenceToken"]
    assert "firstEventTimestamp" not in got[0]

    by_time = [s["logStreamName"] for p in logs.get_paginator("describe_log_streams").paginate(
        logGroupName="/compat/streams", orderBy="LastEventTime", descending=True, PaginationConfig={"PageSize": 1}) for s in p["logStreams"]]
    assert by_time[:2] == ["s1", "s3"] and len(by_time) == 5
    assert [s["logStreamName"] for s in logs.describe_log_streams(
        logGroupIdentifier="arn:aws:logs:us-east-1:000000000000:log-group:/compat/streams", logStreamNamePrefix="s4")["logStreams"]] == ["s4"]
    refused("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.", logs.describe_log_streams,
            logGroupName="/compat/streams", orderBy="LastEventTime", logStreamNamePrefix="s")
    refused("InvalidParameterException", "logGroupIdentifier", logs.describe_log_streams)
    refused("InvalidParameterException", "'limit' failed to satisfy constraint: Member must have value less than or equal to 50",
            logs.describe_log_streams, logGroupName="/compat/streams", limit=51)
    refused("InvalidParameterException", "nextToken is invalid", logs.describe_log_streams, logGroupName="/compat/streams", nextToken="x")
    logs.delete_log_stream(logGroupName="/compat/streams", logStreamName="s1")
    refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.get_log_events,
            logGroupName="/compat/streams", logStreamName="s1")


def test_put(logs):
    make(logs, "/compat/put", "s")
    t = now()
    day = 24 * 3600 * 1000

    def events(*items):
        return dict(logGroupName="/compat/put", logStreamName="s", logEvents=[{"timestamp": at, "message": m} for at, m in items])

    out = logs.put_log_events(**events((t - 15 * day, "too old"), (t - 1000, "fine"), (t + 3 * 3600 * 1000, "too new")), sequenceToken="whatever")
    assert out["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2} and out["nextSequenceToken"]
    logs.put_retention_policy(logGroupName="/compat/put", retentionInDays=1)
    out = logs.put_log_events(**events((t - 2 * day, "expired"), (t, "fine")))
    assert out["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    logs.delete_retention_policy(logGroupName="/compat/put")
    assert "rejectedLogEventsInfo" not in logs.put_log_events(**events((t, "ü" * 1000)))
    assert [e["message"] for e in logs.get_log_events(logGroupName="/compat/put", logStreamName="s")["events"]] == ["fine", "fine", "ü" * 1000]

    code = "InvalidParameterException"
    refused(code, "Log events in a single PutLogEvents request must be in chronological order.", logs.put_log_events, **events((t, "x"), (t - 1, "y")))
    refused(code, "cannot span more than 24 hours", logs.put_log_events, **events((t - 2 * day, "x"), (t, "y")))
    refused(code, "Log event too large: 1048577 bytes exceeds limit of 1048576", logs.put_log_events, **events((t, "x" * (2 ** 20 - 25))))
    refused(code, "Upload too large: 1048577 bytes exceeds limit of 1048576", logs.put_log_events,
            **events((t, "x" * (2 ** 19 - 26)), (t, "x" * (2 ** 19 - 25))))
    refused(code, "'logEvents' failed to satisfy constraint: Member must have length less than or equal to 10000",
            logs.put_log_events, **events(*[(t, "x")] * 10001))
    logs.put_log_events(**events((t, "x" * (2 ** 20 - 26))))
    logs.put_log_events(**events(*[(t, "x")] * 10000))
    refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.put_log_events,
            logGroupName="/compat/put", logStreamName="none", logEvents=[{"timestamp": t, "message": "x"}])
    refused("ResourceNotFoundException", "The specified log group does not exist.", logs.put_log_events,
            logGroupName="/compat/none", logStreamName="none", logEvents=[{"timestamp": t, "message": "x"}])


def test_get(logs):
    make(logs, "/compat/get", "s")
    t = now() - 60000
    put(logs, "/compat/get", "s", *(f"line {i}" for i in range(10)), at=t)
    here = dict(logGroupName="/compat/get", logStreamName="s")

    def messages(page):
        return [e["message"] for e in page["events"]]

    lines = [f"line {i}" for i in range(10)]
    page = logs.get_log_events(**here)
    assert messages(page) == lines and page["events"][0]["timestamp"] == t
    again = logs.get_log_events(**here, nextToken=page["nextForwardToken"], startFromHead=True)
    assert messages(again) == [] and again["nextForwardToken"] == page["nextForwardToken"]
    assert messages(logs.get_log_events(**here, nextToken=again["nextBackwardToken"])) == lines
    put(logs, "/compat/get", "s", "new")
    assert messages(logs.get_log_events(**here, nextToken=again["nextForwardToken"], startFromHead=True)) == ["new"]

    # From the end backwards, in pages that read forwards.
    page = logs.get_log_events(**here, limit=4)
    assert messages(page) == lines[7:] + ["new"]
    page = logs.get_log_events(**here, limit=4, nextToken=page["nextBackwardToken"])
    assert messages(page) == lines[3:7]
    page = logs.get_log_events(**here, limit=4, nextToken=page["nextBackwardToken"])
    assert messages(page) == lines[:3]
    last = logs.get_log_events(**here, limit=4, nextToken=page["nextBackwardToken"])
    assert messages(last) == [] and last["nextBackwardToken"] == page["nextBackwardToken"]
    assert messages(logs.get_log_events(**here, limit=3, nextToken=last["nextForwardToken"])) == lines[:3]

    assert messages(logs.get_log_events(**here, startFromHead=True, limit=2)) == lines[:2]
    assert messages(logs.get_log_events(**here, startTime=t + 3, endTime=t + 5)) == lines[3:5]
    refused("InvalidParameterException", "The specified nextToken is invalid.", logs.get_log_events, **here, nextToken="f/1")
    make(logs, "/compat/get/empty", "s")
    page = logs.get_log_events(logGroupName="/compat/get/empty", logStreamName="s")
    assert page["events"] == [] and page["nextForwardToken"] and page["nextBackwardToken"]
    put(logs, "/compat/get/empty", "s", "first")
    assert messages(logs.get_log_events(logGroupName="/compat/get/empty", logStreamName="s", nextToken=page["nextForwardToken"])) == ["first"]


def test_filter(logs):
    group = "/compat/filter"
    make(logs, group, "web-1", "web-2", "db")
    t = now() - 60000
    for i in range(30):
        stream = ("web-1", "web-2", "db")[i % 3]
        put(logs, group, stream, f"[ERROR {400 + i}] line {i}" if i % 2 else f'{{"level": "info", "n": {i}}}', at=t + i)

    def found(**more):
        return [e for p in logs.get_paginator("filter_log_events").paginate(logGroupName=group, **more) for e in p["events"]]

    events = found(PaginationConfig={"PageSize": 7})
    assert [e["timestamp"] for e in events] == list(range(t, t + 30))
    assert len({e["eventId"] for e in events}) == 30 and {e["logStreamName"] for e in events} == {"web-1", "web-2", "db"}
    assert [e["eventId"] for e in found()] == [e["eventId"] for e in events]
    assert len(found(logStreamNamePrefix="web-")) == 20
    assert len(found(logStreamNames=["db", "web-1"], interleaved=True)) == 20
    assert [e["timestamp"] for e in found(startTime=t + 5, endTime=t + 7)] == [t + 5, t + 6, t + 7]
    assert [e["timestamp"] for e in found(startTime=t + 5, startFromHead=False, PaginationConfig={"PageSize": 4})] == list(range(t + 29, t + 4, -1))
    assert len(found(filterPattern="ERROR")) == 15
    assert len(found(filterPattern='ERROR -"[ERROR 401]"', PaginationConfig={"PageSize": 2})) == 14
    assert len(found(filterPattern="?ERROR ?info")) == 30
    assert len(found(filterPattern='{ $.level = "info" && $.n >= 10 }')) == 10
    assert len(found(filterPattern="%40[13]%")) == 2
    assert len(found(filterPattern="[head = *ERROR*, word = line, n > 20]")) == 5
    page = logs.filter_log_events(logGroupName=group)
    assert page["searchedLogStreams"] == [] and "nextToken" not in page
    refused("InvalidParameterException", "Invalid character(s) in term 'a:b'", logs.filter_log_events, logGroupName=group, filterPattern="a:b")
    refused("InvalidParameterException", "mutually exclusive", logs.filter_log_events, logGroupName=group, logStreamNames=["db"], logStreamNamePrefix="d")
    refused("InvalidParameterException", "Jan 1, 2024", logs.filter_log_events, logGroupName=group, startFromHead=False)
    refused("InvalidParameterException", "The specified nextToken is invalid.", logs.filter_log_events, logGroupName=group, nextToken="x")
    refused("ResourceNotFoundException", "The specified log stream does not exist.", logs.filter_log_events, logGroupName=group, logStreamNames=["none"])
    refused("ResourceNotFoundException", "The specified log group does not exist.", logs.filter_log_events, logGroupName="/compat/none")


def test_large_pages(logs):
    """More than a page has room for, by number and by size, arrives complete and in order."""
    make(logs, "/compat/large", "s")
    t = now() - 100000
    for i in range(3):
        put(logs, "/compat/large", "s", *(f"{i}-{n}" for n in range(8000)), at=t + i * 8000)
    put(logs, "/compat/large", "s", *("x" * 300000 + str(i) for i in range(3)), at=t + 90000)
    put(logs, "/compat/large", "s", *("x" * 300000 + str(i) for i in range(3, 6)), at=t + 90010)
    pages = list(logs.get_paginator("filter_log_events").paginate(logGroupName="/compat/large"))
    events = [e["message"] for p in pages for e in p["events"]]
    assert events == [f"{i}-{n}" for i in range(3) for n in range(8000)] + ["x" * 300000 + str(i) for i in range(6)]
    assert all(len(p["events"]) <= 10000 and sum(len(e["message"]) for e in p["events"]) <= 2 ** 20 for p in pages)


def test_bad_names(logs, server):
    code = "InvalidParameterException"
    pattern = "failed to satisfy constraint: Member must satisfy regular expression pattern: "
    refused(code, f"Value 'a b' at 'logGroupName' {pattern}[\\.\\-_/#A-Za-z0-9]+", logs.create_log_group, logGroupName="a b")
    refused(code, "are reserved for AWS", logs.create_log_group, logGroupName="aws/x")
    make(logs, "/compat/names")
    for name in ("a:b", "a*"):
        refused(code, f"Value '{name}' at 'logStreamName' {pattern}[^:*]*", logs.create_log_stream, logGroupName="/compat/names", logStreamName=name)
    logs.create_log_stream(logGroupName="/compat/names", logStreamName="2024/01/01/[$LATEST] ü")
    for call, more in ((logs.create_log_group, {}), (logs.create_log_stream, {"logStreamName": "s"}), (logs.delete_log_group, {}),
                       (logs.delete_log_stream, {"logStreamName": "s"}), (logs.put_retention_policy, {"retentionInDays": 1}),
                       (logs.delete_retention_policy, {}), (logs.tag_log_group, {"tags": {"a": "b"}}), (logs.untag_log_group, {"tags": ["a"]}),
                       (logs.put_log_events, {"logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "x"}]})):
        refused(code, "Log groups starting with /glaux/ are reserved", call, logGroupName="/glaux/managed/spark", **more)
    with pytest.raises(ClientError) as caught:
        logs.start_query(logGroupName="/compat/names", startTime=1, endTime=2, queryString="fields @message")
    assert caught.value.response["Error"]["Code"] == "NotImplementedException"


def test_restart_and_kill(own_server):
    logs = own_server.client("logs")
    make(logs, "kept", "s")
    put(logs, "kept", "s", "one", "two")
    first = logs.filter_log_events(logGroupName="kept")["events"]
    own_server.kill()
    own_server.listen = "127.0.0.1:0"
    own_server.start()
    assert own_server.client("logs").filter_log_events(logGroupName="kept")["events"] == first


def test_cli_v1(server):
    server.aws("logs", "create-log-group", "--log-group-name", "/compat/v1", "--tags", "a=b")
    server.aws("logs", "create-log-stream", "--log-group-name", "/compat/v1", "--log-stream-name", "s")
    server.aws("logs", "put-log-events", "--log-group-name", "/compat/v1", "--log-stream-name", "s",
               "--log-events", f"timestamp={now()},message=hello")
    out = server.aws("logs", "filter-log-events", "--log-group-name", "/compat/v1", "--filter-pattern", "hello")
    assert [e["message"] for e in out["events"]] == ["hello"]
    out = server.aws("logs", "get-log-events", "--log-group-name", "/compat/v1", "--log-stream-name", "s")
    assert [e["message"] for e in out["events"]] == ["hello"]
    assert server.aws("logs", "describe-log-groups", "--log-group-name-prefix", "/compat/v1")["logGroups"][0]["storedBytes"] == 31
    assert len(server.aws("logs", "describe-log-streams", "--log-group-name", "/compat/v1")["logStreams"]) == 1
    server.aws("logs", "delete-log-group", "--log-group-name", "/compat/v1")


def test_tail_follows(server, logs):
    """"aws logs tail --follow" prints what is there and then each line as it is appended."""
    make(logs, "/compat/tail", "s")
    put(logs, "/compat/tail", "s", "before the tail")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(server.tmp), "AWS_PAGER": "", "PYTHONUNBUFFERED": "1",
           **{k: v for k, v in server.env.items() if k.startswith("AWS_") and k != "AWS_ENDPOINT_URL"}}
    out = open(server.tmp / "tail.out", "w+b")
    tail = subprocess.Popen([DEBIAN_AWS, "--endpoint-url", server.url, "logs", "tail", "/compat/tail", "--follow", "--format", "short"],
                            env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        def seen(text):
            assert tail.poll() is None, (server.tmp / "tail.out").read_text()
            return text in (server.tmp / "tail.out").read_text()

        wait_for("the tail prints what was there", 60, lambda: seen("before the tail"))
        for i in range(3):
            put(logs, "/compat/tail", "s", f"line {i} while it follows")
            wait_for("the tail prints a new line", 30, lambda: seen(f"line {i} while it follows"))
    finally:
        tail.kill()
        tail.wait(30)
        out.close()
    text = (server.tmp / "tail.out").read_text()
    assert text.count("while it follows") == 3 and text.count("before the tail") == 1


def test_from_inside_a_session(server, logs, spark):
    """Code in a session uses the logs by its role, but for the managed logs of other workgroups."""
    out, _ = spark.run("""
import boto3, time
logs = boto3.client("logs")
logs.create_log_group(logGroupName="/compat/inside")
logs.create_log_stream(logGroupName="/compat/inside", logStreamName="s")
logs.put_log_events(logGroupName="/compat/inside", logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": "from inside"}])
for group in ("/glaux/managed/spark", "/glaux/managed/spark35"):
    try:
        logs.filter_log_events(logGroupName=group)
    except Exception as e:
        print(group, e.response["Error"]["Code"])
""")
    assert [e["message"] for e in logs.filter_log_events(logGroupName="/compat/inside")["events"]] == ["from inside"]
    lines = out.splitlines()
    assert lines[-1] == "/glaux/managed/spark35 AccessDeniedException"
    # The own group is there once something was delivered to it.
    assert lines[:-1] in ([], ["/glaux/managed/spark ResourceNotFoundException"])
