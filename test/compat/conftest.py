"""Released clients against the built binary.

The fixtures start bin/glaux in a temporary directory, with the Spark runtime
that GLAUX_TEST_RUNTIME names (make test installs it once below build/).
"""

import hashlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import textwrap
import time

import boto3
import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

ROOT = pathlib.Path(__file__).resolve().parents[2]
GLAUX = ROOT / "bin" / "glaux"
RUNTIME = pathlib.Path(os.environ.get("GLAUX_TEST_RUNTIME", ROOT / "build" / "runtime"))
DONE = ("COMPLETED", "FAILED", "CANCELED")
GONE = ("TERMINATED", "FAILED", "DEGRADED")


def wait_for(what, timeout, probe, every=0.02):
    """Return the first true value of probe(), or fail naming what was awaited."""
    end = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(every)


def processes():
    """Every process as {pid: command line}."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if line and (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                    found[int(entry.name)] = line
            except OSError:
                continue
    return found


class AddressTaken(Exception):
    """The server cannot listen where it did before."""


class Server:
    """One server process and the data directory that outlives it."""

    def __init__(self, tmp, *args):
        self.tmp = pathlib.Path(tmp)
        self.data = self.tmp / "data"
        self.args = args
        self.process = None
        self.listen = "127.0.0.1:0"
        self.connect = None  # address of Spark Connect; None: what the server takes by itself
        self.log = open(self.tmp / "server.log", "ab")

    def start(self):
        for attempt in range(20):
            try:
                return self.start_once()
            except AddressTaken:  # another test's connection has the port for a moment
                time.sleep(0.5)
        raise AssertionError((self.tmp / "server.log").read_text()[-4000:])

    def start_once(self):
        said = (self.tmp / "server.log").stat().st_size
        ready = self.tmp / "ready"
        ready.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            self.command(GLAUX, "serve", "--listen", self.listen, "--metrics-listen", "127.0.0.1:0", "--data-dir", self.data, "--ready-file", ready,
                         "--runtime-dir", RUNTIME, *(["--connect-listen", self.connect] if self.connect else []),
                         *([] if "--pool-max" in self.args else ["--pool-max", "0"]), *self.args),  # drivers nobody asked for would take the processors
            stderr=self.log, start_new_session=True)

        def is_ready():
            if self.process.poll() is not None:
                text = (self.tmp / "server.log").read_bytes()[said:].decode(errors="replace")
                if "address already in use" in text:
                    raise AddressTaken
                raise AssertionError(text[-4000:])
            return ready.exists()

        wait_for("server is ready", 30, is_ready)
        lines = ready.read_text().splitlines()
        self.url = lines[0]
        self.names = dict(line.split("=", 1) for line in lines[1:])
        self.listen = self.url.split("://")[1]  # a restart keeps the addresses
        self.connect = self.names.get("connect", self.connect)
        text = subprocess.check_output([GLAUX, "env", "--data-dir", self.data], text=True)
        self.env = {}
        for line in text.splitlines():
            word = shlex.split(line)
            assert word[0] == "export", line
            name, value = word[1].split("=", 1)
            self.env[name] = value
        return self

    def command(self, *arguments):
        """The command that runs the program with these arguments."""
        return arguments

    def kill(self, sig=signal.SIGKILL):
        self.process.send_signal(sig)
        return self.process.wait(30)

    def stop(self):
        out = subprocess.run([GLAUX, "stop", "--data-dir", self.data], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        if self.process is not None:
            self.process.wait(30)
        return out

    def client(self, service, **more):
        e = self.env
        keys = dict(aws_access_key_id=e["AWS_ACCESS_KEY_ID"], aws_secret_access_key=e["AWS_SECRET_ACCESS_KEY"])
        keys.update(more)
        return boto3.client(service, endpoint_url=self.url, region_name=e["AWS_REGION"],
                            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"},
                                          read_timeout=60), **keys)

    def run(self, *command, timeout=120, check=True, **more):
        """Run a client program with nothing but what "glaux env" says."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update(self.env)
        env["AWS_PAGER"] = ""
        out = subprocess.run([str(c) for c in command], env=env, text=True, timeout=timeout, cwd=self.tmp,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
        if check:
            assert out.returncode == 0, f"{command}: {out.stdout}\n{out.stderr}"
        return out

    def aws(self, *args, **more):
        """Run the AWS CLI and return what it prints, as JSON where it is."""
        out = self.run(pathlib.Path(sys.executable).parent / "aws", *args, **more)
        if more.get("check") is False:
            return out
        return json.loads(out.stdout) if out.stdout.strip().startswith(("{", "[")) else out.stdout


class ApartServer(Server):
    """A server with a network of its own, and clients that join it there."""

    kept = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    join = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]

    def command(self, *arguments):
        return ["unshare", *self.kept, "--net", "sh", "-c",
                "ip link set lo up && echo 443 >/proc/sys/net/ipv4/ip_unprivileged_port_start && exec \"$@\"", "sh", *arguments]

    def inside(self, *command):
        return ["nsenter", f"--target={self.process.pid}", *self.join, "--net", *map(str, command)]

    def python(self, code, timeout=180, **env):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GRPC_", "SPARK_"))}
        out = subprocess.run(self.inside(spark_python(), "-c", code), env={**clean, **self.env, **env}, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd=self.tmp)
        assert out.returncode == 0, f"{out.stdout}\n{out.stderr[-4000:]}"
        return out.stdout


class Spark:
    """One session, and calculations in it."""

    def __init__(self, server, workgroup="spark", **request):
        self.server = server
        self.athena = server.client("athena")
        self.s3 = server.client("s3")
        request.setdefault("EngineConfiguration", {"MaxConcurrentDpus": 2})
        self.id = self.athena.start_session(WorkGroup=workgroup, **request)["SessionId"]

    def status(self):
        return self.athena.get_session_status(SessionId=self.id)["Status"]

    def wait(self, *states, timeout=120):
        states = states or ("IDLE",)

        def reached():
            s = self.status()
            if s["State"] in states:
                return s
            assert s["State"] not in ("FAILED", "TERMINATED"), s
            return None

        return wait_for(f"session is {states}", timeout, reached)

    def start(self, code, **more):
        return self.athena.start_calculation_execution(SessionId=self.id, CodeBlock=code, **more)["CalculationExecutionId"]

    def state(self, calc):
        return self.athena.get_calculation_execution_status(CalculationExecutionId=calc)["Status"]["State"]

    def begin(self, code):
        """Start code and return once it has run as far as it prints "begun": as its first line, where it has none."""
        calc = self.start(code if "'begun'" in code else "print('begun', flush=True)\n" + code)
        url = f"{self.server.url}/_glaux/calculations/{calc}/stdout"
        request = AWSRequest("GET", url)
        SigV4Auth(Credentials(self.server.env["AWS_ACCESS_KEY_ID"], self.server.env["AWS_SECRET_ACCESS_KEY"]),
                  "athena", "us-east-1").add_auth(request)
        reply = urllib3.request("GET", url, headers=dict(request.headers), preload_content=False, timeout=60)
        try:
            assert reply.status == 200 and reply.read(6) == b"begun\n"
        finally:
            reply.close()
        return calc

    def finish(self, calc, timeout=120):
        wait_for(f"calculation {calc} ends", timeout, lambda: self.state(calc) in DONE)
        return self.athena.get_calculation_execution(CalculationExecutionId=calc)

    def object(self, uri):
        bucket, key = uri.removeprefix("s3://").split("/", 1)
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def run(self, code, timeout=120, state="COMPLETED"):
        """Run code to its end; return its stdout and the whole reply."""
        got = self.finish(self.start(code), timeout)
        assert got["Status"]["State"] == state, (
            got["Status"], self.object(got["Result"]["StdErrorS3Uri"]).decode()[-4000:] if got.get("Result") else "")
        out = self.object(got["Result"]["StdOutS3Uri"]).decode() if got.get("Result") else ""
        # The session is IDLE again by the time its calculation is over.
        return out, got

    def end(self):
        self.athena.terminate_session(SessionId=self.id)
        wait_for("session has ended", 60, lambda: self.status()["State"] in ("TERMINATED", "FAILED"))


def environment(name):
    """The directory of the Python environment that make keeps for a locked list of packages."""
    return ROOT / "build" / "venv" / hashlib.sha256((ROOT / "test/compat" / name).read_bytes()).hexdigest()[:12]


def spark_python():
    """The Python of the Spark runtime, which has the released pyspark with Spark Connect."""
    return json.loads((RUNTIME / "runtime.json").read_text())["python"]


class Remote:
    """Spark Connect of one session, as the released pyspark of the runtime's own Python sees it.

    Code runs in a process of its own, with nothing of the server's but what
    "glaux env" says. It finds spark, which is connected.
    """

    def __init__(self, server, session, **client):
        self.server = server
        self.session = session
        self.athena = server.client("athena", **client)

    def endpoint(self):
        return self.athena.get_session_endpoint(SessionId=self.session)

    def url(self, endpoint=None):
        """The address as pyspark takes it; EndpointUrl has a port where it is not 443."""
        e = endpoint or self.endpoint()
        address = e["EndpointUrl"].replace("https", "sc")
        return f"{address}{'' if address.count(':') == 2 else ':443'}/;use_ssl=true;x-aws-proxy-auth={e['AuthToken']}"

    def start(self, code, url=None, env=None):
        """Start code; its output is there to be read while it runs."""
        script = "from pyspark.sql import SparkSession\n"
        script += f"spark = SparkSession.builder.remote({url or self.url()!r}).getOrCreate()\n" + textwrap.dedent(code)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GRPC_", "SPARK_"))}
        return subprocess.Popen([spark_python(), "-u", "-c", script], env={**clean, **self.server.env, **(env or {})},
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.server.tmp)

    def finish(self, process, timeout=120, check=True):
        """Wait for what start returned; its output that was not read yet, and its errors."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"the client did not end within {timeout} s: {out}\n{err[-4000:]}") from None
        if check:
            assert process.returncode == 0, f"{out}\n{err[-4000:]}"
        return out, err

    def run(self, code, timeout=120, check=True, **more):
        """Run code to its end; what it prints. With check=False: that and its errors."""
        out, err = self.finish(self.start(code, **more), timeout, check)
        return out if check else (out, err)


@pytest.fixture(scope="module")
def remote(server):
    """Spark Connect of a session for the tests of one file. It may still be coming up: calls wait for it."""
    s = Spark(server, workgroup="spark35")
    yield Remote(server, s.id)
    s.end()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server that every test may use and none may end."""
    s = Server(tmp_path_factory.mktemp("glaux")).start()
    yield s
    out = s.stop()
    assert out.returncode == 0, out.stdout


@pytest.fixture
def own_server(tmp_path):
    """A server of the test's own, which it may kill."""
    s = Server(tmp_path)
    yield s.start()
    s.stop()
    if s.process.poll() is None:
        s.kill()


@pytest.fixture(scope="session")
def athena(server):
    return server.client("athena")


@pytest.fixture(scope="session")
def s3(server):
    return server.client("s3")


@pytest.fixture(scope="session")
def bucket(s3):
    s3.create_bucket(Bucket="compat-data")
    return "compat-data"


@pytest.fixture(scope="module")
def spark(server):
    """An idle session for the tests of one file."""
    s = Spark(server)
    s.wait("IDLE")
    yield s
    s.end()
