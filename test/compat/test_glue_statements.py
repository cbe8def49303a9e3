"""Statements of Glue sessions: boto3, the AWS CLI, and a client with the members that only the kernels' model has."""

import base64
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import time

import boto3
import botocore
import botocore.session
import pytest
from botocore.exceptions import ClientError, ParamValidationError

from conftest import Server, processes, wait_for

FINAL = ("AVAILABLE", "CANCELLED", "ERROR")
LIMIT = 100_000  # bytes of a result in an answer


class Livy:
    """A Glue session and its statements."""

    def __init__(self, server, name, **more):
        self.server, self.id = server, name
        self.glue = server.client("glue")
        self.glue.create_session(Id=name, Role="arn:aws:iam::000000000000:role/GlueRole",
                                 Command={"Name": "glueetl", "PythonVersion": "3"}, WorkerType="G.1X", NumberOfWorkers=2, **more)
        self.wait("READY")

    def status(self):
        return self.glue.get_session(Id=self.id)["Session"]["Status"]

    def wait(self, status, timeout=60):
        wait_for(f"session {self.id} is {status}", timeout, lambda: self.status() == status, every=0.1)

    def start(self, code):
        return self.glue.run_statement(SessionId=self.id, Code=code)["Id"]

    def get(self, number):
        return self.glue.get_statement(SessionId=self.id, Id=number)["Statement"]

    def finish(self, number, timeout=60):
        def over():
            statement = self.get(number)
            return statement if statement["State"] in FINAL else None
        return wait_for(f"statement {number} is over", timeout, over)

    def run(self, code, timeout=60):
        """Run code to its end; its output."""
        statement = self.finish(self.start(code), timeout)
        assert statement["State"] == "AVAILABLE", statement
        return statement["Output"]

    def text(self, code, timeout=60):
        output = self.run(code, timeout)
        assert output["Status"] == "ok", output
        return output["Data"]["TextPlain"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A server of this file's own, which one of its tests kills."""
    s = Server(tmp_path_factory.mktemp("statements"), "--statement-max-result", str(LIMIT)).start()
    yield s
    out = s.stop()
    assert out.returncode == 0, out.stdout


@pytest.fixture(scope="module")
def livy(own):
    return Livy(own, "statements of a file/1")


def refused(code, call, *args, **kwargs):
    with pytest.raises(ClientError) as e:
        call(*args, **kwargs)
    assert e.value.response["Error"]["Code"] == code, e.value
    return e.value.response["Error"]["Message"]


def test_the_first_statement(livy):
    before = time.time()
    assert livy.start("1+1") == 0, "ids count from 0, and are told"
    s = livy.finish(0)
    assert s["Output"] == {"Data": {"TextPlain": "2"}, "ExecutionCount": 0, "Status": "ok"}
    assert s["Id"] == 0 and s["Code"] == "1+1" and s["Progress"] == 1.0
    assert isinstance(s["StartedOn"], int) and before - 5 < s["StartedOn"] / 1000 <= s["CompletedOn"] / 1000 < time.time() + 5
    assert livy.start("") == 1
    assert livy.finish(1)["Output"]["Data"] == {"TextPlain": ""}


def test_order_of_the_text(livy):
    assert livy.text("import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint('more')\n{'a': 1}") == "out\nmore\n{'a': 1}\nerr"
    assert livy.text("'text'") == "'text'"
    assert livy.text("x = 5") == ""
    assert livy.text("print('line')\nNone") == "line"
    assert livy.text("spark.range(3).count()") == "3"
    assert livy.text("spark.sql('select 1 as a').show()") == "+---+\n|  a|\n+---+\n|  1|\n+---+"


def test_code_that_raises(livy):
    o = livy.run("def f():\n    return 1/0\nprint('before')\nf()")
    assert (o["Status"], o["ErrorName"], o["ErrorValue"]) == ("error", "ZeroDivisionError", "division by zero")
    assert o["Traceback"][0] == "Traceback (most recent call last):\n" and o["Traceback"][-1] == "ZeroDivisionError: division by zero\n"
    assert any("in f" in line for line in o["Traceback"])
    assert o["Data"]["TextPlain"] == "before"
    o = livy.run("x = (")
    assert (o["Status"], o["ErrorName"]) == ("error", "SyntaxError") and o["Traceback"]
    o = livy.run("import sys; sys.exit(3)")
    assert (o["Status"], o["ErrorName"], o["ErrorValue"]) == ("error", "SystemExit", "3")
    assert livy.text("1") == "1"


def test_cancel(livy):
    loop = livy.start("print('begun', flush=True)\nwhile True: pass")
    waits = livy.start("print('never')")
    after = livy.start("print('after')")
    wait_for("the loop runs", 20, lambda: livy.get(loop)["State"] == "RUNNING")
    assert livy.get(waits)["State"] == "WAITING" and "Output" not in livy.get(waits)
    livy.glue.cancel_statement(SessionId=livy.id, Id=waits)
    assert livy.get(waits)["State"] == "CANCELLED" and livy.get(waits)["Output"] == {}
    for _ in range(2):  # as the kernels do
        livy.glue.cancel_statement(SessionId=livy.id, Id=loop)
    s = livy.finish(loop, 10)
    assert s["State"] == "CANCELLED" and s["Output"]["Data"]["TextPlain"].startswith("begun")
    assert livy.finish(after)["Output"]["Data"]["TextPlain"] == "after"
    livy.glue.cancel_statement(SessionId=livy.id, Id=after)
    assert livy.get(after)["State"] == "AVAILABLE"
    job = livy.start("spark.sparkContext.parallelize(range(4), 4).foreach(lambda _: __import__('time').sleep(60))")
    wait_for("the job runs", 20, lambda: livy.get(job)["State"] == "RUNNING")
    livy.glue.cancel_statement(SessionId=livy.id, Id=job)
    assert livy.finish(job, 20)["State"] == "CANCELLED"
    assert livy.text("spark.range(5).count()") == "5"


def test_progress_of_a_spark_job(livy):
    job = livy.start("spark.sparkContext.parallelize(range(8), 8).foreach(lambda _: __import__('time').sleep(0.3))")
    seen = set()
    while (s := livy.get(job))["State"] not in FINAL:
        seen.add(s["Progress"])
        time.sleep(0.05)
    assert s["State"] == "AVAILABLE" and s["Progress"] == 1.0
    assert any(0 < p < 1 for p in seen), seen


def test_queue_keeps_its_order(livy):
    livy.run("seen = []")
    first = livy.start("import time; time.sleep(1); seen.append(0)")
    ids = [first] + [livy.start(f"seen.append({n})\n{n}") for n in range(1, 30)]
    assert ids == list(range(first, first + 30))
    assert livy.status() == "READY"
    livy.finish(ids[-1])
    assert [livy.get(i)["Output"]["Data"]["TextPlain"] for i in ids[1:]] == [str(n) for n in range(1, 30)]
    assert livy.text("seen == list(range(30))") == "True"


def test_twenty_clients_of_one_session(livy):
    livy.run("taken = []")

    def client(n):
        glue = livy.server.client("glue")
        mine = {}
        for k in range(4):
            number = glue.run_statement(SessionId=livy.id, Code=f"taken.append(({n}, {k}))\n({n}, {k})")["Id"]
            mine[number] = f"({n}, {k})"
        return mine

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        all_of_them = {}
        for mine in pool.map(client, range(20)):
            assert list(mine) == sorted(mine) and not all_of_them.keys() & mine.keys()
            all_of_them.update(mine)
    assert len(all_of_them) == 80 and sorted(all_of_them) == list(range(min(all_of_them), min(all_of_them) + 80))
    livy.finish(max(all_of_them))
    for number, text in all_of_them.items():
        assert livy.get(number)["Output"]["Data"]["TextPlain"] == text
    assert livy.text("taken") == "[" + ", ".join(all_of_them[n] for n in sorted(all_of_them)) + "]", "they ran in the order of their ids"


def test_five_sessions_at_once(own, livy):
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        sessions = [livy, *pool.map(lambda n: Livy(own, f"one of five, {n}"), range(4))]

        def work(s):
            ids = [s.start(f"total = sum(range({n}))\nspark.range({n}).count()") for n in range(10)]
            s.finish(ids[-1])
            return [s.get(i)["Output"]["Data"]["TextPlain"] for i in ids], s.text("total")

        for texts, total in pool.map(work, sessions):
            assert texts == [str(n) for n in range(10)] and total == "36"
        for s in sessions[1:]:
            s.glue.delete_session(Id=s.id)


def test_list_statements_has_pages(livy):
    for n in range(3):  # more than a page in bytes
        livy.run(f"#{'x' * 60000}\nprint('{n}' * {LIMIT - 10})")
    long = [livy.start("#" + "y" * 67000) for _ in range(150)]
    livy.finish(long[-1])
    pages, token = [], None
    while True:
        page = livy.glue.list_statements(SessionId=livy.id, **({"NextToken": token} if token else {}))
        pages.append(page["Statements"])
        token = page.get("NextToken")
        if not token:
            break
    everything = [s for p in pages for s in p]
    assert len(pages) > 1 and [s["Id"] for s in everything] == list(range(long[-1] + 1))
    assert everything[0]["Code"] == "1+1" and everything[0]["Output"]["Data"]["TextPlain"] == "2"
    assert all("Output" in s for s in everything)
    assert "NextToken" in refused("InvalidInputException", livy.glue.list_statements, SessionId=livy.id, NextToken="nonsense")


def test_large_result_is_cut_and_the_whole_kept(livy):
    assert livy.text(f"print('x' * {LIMIT})") == "x" * LIMIT, "nothing smaller is cut"
    text = livy.text(f"print('é' * {LIMIT})\n'value'")
    head, mark = text.split("\n[glaux: ")
    assert head == "é" * (LIMIT // 2) and mark.endswith("]")
    bucket, key = mark[:-1].rsplit("s3://", 1)[1].split("/", 1)
    body = livy.server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode()
    assert body == "é" * LIMIT + "\n'value'\n"


def test_errors(livy):
    run, get, cancel = livy.glue.run_statement, livy.glue.get_statement, livy.glue.cancel_statement
    for call in (get, cancel):
        assert "99999" in refused("EntityNotFoundException", call, SessionId=livy.id, Id=99999)
        refused("EntityNotFoundException", call, SessionId="nobody", Id=0)
    refused("EntityNotFoundException", run, SessionId="nobody", Code="1")
    refused("EntityNotFoundException", livy.glue.list_statements, SessionId="nobody")
    assert "68000" in refused("ValidationException", run, SessionId=livy.id, Code="é" * 68001)
    assert livy.text("#" + "é" * 67990 + "\n7") == "7"


def test_command_line(own, livy):
    n = own.aws("glue", "run-statement", "--session-id", livy.id, "--code", "print('from the command line')")["Id"]
    livy.finish(n)
    got = own.aws("glue", "get-statement", "--session-id", livy.id, "--id", str(n))["Statement"]
    assert got["Output"]["Data"]["TextPlain"] == "from the command line"
    assert own.aws("glue", "list-statements", "--session-id", livy.id)["Statements"][0]["Id"] == 0
    own.aws("glue", "cancel-statement", "--session-id", livy.id, "--id", str(n))


def kernel_client(server, tmp_path):
    """A client whose model has the members of StatementOutputData that the kernels' own model has."""
    there = pathlib.Path(botocore.__file__).parent / "data" / "glue" / "2017-03-31"
    here = tmp_path / "glue" / "2017-03-31"
    here.mkdir(parents=True)
    for file in there.iterdir():
        if not file.name.startswith("service-2"):
            shutil.copy(file, here)
    model = botocore.session.get_session().get_component("data_loader").load_service_model("glue", "service-2")
    for name in ("MimeType", "Result", "StdOut", "StdErr"):
        model["shapes"]["StatementOutputData"]["members"][name] = {"shape": "GenericString"}
    (here / "service-2.json").write_text(json.dumps(model))
    session = botocore.session.get_session()
    session.get_component("data_loader").search_paths.insert(0, str(tmp_path))
    e = server.env
    return boto3.Session(botocore_session=session).client(
        "glue", endpoint_url=server.url, region_name=e["AWS_REGION"],
        aws_access_key_id=e["AWS_ACCESS_KEY_ID"], aws_secret_access_key=e["AWS_SECRET_ACCESS_KEY"])


def test_images_reach_clients_with_the_kernels_model(own, livy, tmp_path):
    n = livy.start("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nprint('drawn')\n%matplot plt")
    public = livy.finish(n)["Output"]
    assert public["Status"] == "ok" and set(public["Data"]) == {"TextPlain"} and public["Data"]["TextPlain"].startswith("drawn")
    kernel = kernel_client(own, tmp_path)
    data = kernel.get_statement(SessionId=livy.id, Id=n)["Statement"]["Output"]["Data"]
    assert data["MimeType"] == "image/png" and base64.b64decode(data["Result"]).startswith(b"\x89PNG")
    assert data["StdOut"].startswith("drawn") and "StdErr" in data

    def shown(code):
        n = livy.start(code)
        livy.finish(n)
        return kernel.get_statement(SessionId=livy.id, Id=n)["Statement"]["Output"]["Data"]

    data = shown("print('first')\nx = {'a': [1]}\n%json x")
    assert (data["MimeType"], json.loads(data["Result"]), data["StdOut"]) == ("application/json", {"a": [1]}, "first\n")
    assert data["TextPlain"] == 'first\n{"a": [1]}'
    data = shown("%table [{'n': 1, 's': '<x>'}]")
    assert data["MimeType"] == "text/html" and "<td>&lt;x&gt;</td>" in data["Result"] and not data["StdOut"]
    assert json.loads(data["TextPlain"])["data"] == [[1, "<x>"]]


def test_kill_9_of_the_server_under_a_queue(own, livy):
    livy.run("kept = 'kept'")
    long = livy.start("import time\nfor n in range(6):\n    print(n, flush=True)\n    time.sleep(0.5)\nkept")
    rest = [livy.start(f"print({n}, kept)") for n in range(5)]
    wait_for("the first runs", 20, lambda: livy.get(long)["State"] == "RUNNING")
    own.kill()
    own.start()
    livy.glue = own.client("glue")
    assert livy.get(long)["State"] in ("RUNNING", "AVAILABLE")
    assert livy.finish(long, 30)["Output"]["Data"]["TextPlain"] == "0\n1\n2\n3\n4\n5\n'kept'"
    livy.finish(rest[-1], 30)
    assert [livy.get(n)["Output"]["Data"]["TextPlain"] for n in rest] == [f"{n} kept" for n in range(5)]
    assert livy.start("1") == rest[-1] + 1
    assert livy.get(0)["Output"]["Data"]["TextPlain"] == "2", "what was there before is still there"


def test_driver_that_dies(own, livy):
    number = livy.start("import time; time.sleep(600)")
    wait_for("it runs", 20, lambda: livy.get(number)["State"] == "RUNNING")
    java = [p for p, line in processes().items() if "java" in line.split(" ")[0] and str(own.data) in line]
    assert java
    for p in java:
        os.kill(p, signal.SIGKILL)
    livy.wait("FAILED", 30)
    assert refused("InvalidInputException", livy.start, "1") == f"Session is not ready, session_id={livy.id}, status=FAILED"
    for call in (livy.glue.get_statement, livy.glue.cancel_statement):
        assert refused("IllegalSessionStateException", call, SessionId=livy.id, Id=0) == "Session unavailable, fail to call ReplServer."
    refused("IllegalSessionStateException", livy.glue.list_statements, SessionId=livy.id)


def test_statements_of_a_session_that_was_stopped(own):
    s = Livy(own, "stopped")
    assert s.text("'stays'") == "'stays'"
    loop = s.start("while True: pass")
    waits = s.start("1")
    wait_for("the loop runs", 20, lambda: s.get(loop)["State"] == "RUNNING")
    s.glue.stop_session(Id=s.id)
    s.wait("STOPPED", 30)
    assert s.get(0)["Output"]["Data"]["TextPlain"] == "'stays'"
    assert [s.get(n)["State"] for n in (loop, waits)] == ["CANCELLED", "CANCELLED"] and "Output" in s.get(loop)
    assert refused("InvalidInputException", s.start, "1") == "Session is not ready, session_id=stopped, status=STOPPED"
    with pytest.raises(ParamValidationError):
        s.glue.get_statement(SessionId=s.id)
