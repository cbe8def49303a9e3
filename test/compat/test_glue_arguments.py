"""The DefaultArguments of a Glue session, each seen from the code that runs in it."""

import base64
import hashlib
import io
import json
import tarfile
import time
import zipfile

import pytest
from botocore.exceptions import ClientError

from conftest import RUNTIME, wait_for

ROLE = "arn:aws:iam::000000000000:role/glue"


def zipped(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
    return data.getvalue()


def wheel(name, version, code):
    info = f"{name}-{version}.dist-info/"
    files = {
        f"{name}.py": code,
        info + "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        info + "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).decode().rstrip('=')},{len(t)}\n" for n, t in files.items())
    return zipped({**files, info + "RECORD": record + info + "RECORD,,\n"})


def source(setup):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as out:
        entry = tarfile.TarInfo("glauxslow-1/setup.py")
        entry.size = len(setup)
        out.addfile(entry, io.BytesIO(setup.encode()))
    return data.getvalue()


def jar():
    """A class that the runtime has too, and a resource that it lacks."""
    path = next(p for p in json.loads((RUNTIME / "runtime.json").read_text())["classPath"] if "/commons-lang3-" in p)
    name = "org/apache/commons/lang3/BooleanUtils.class"
    return zipped({name: zipfile.ZipFile(path).read(name), "mine.txt": "my resource"})


@pytest.fixture(scope="module")
def glue(server):
    return server.client("glue")


def create(glue, name, **arguments):
    """Start a session; underscores of an argument's name are hyphens, and every name gets its two."""
    given = {"--" + k.replace("_", "-"): v for k, v in arguments.items()}
    glue.create_session(Id=name, Role=ROLE, Command={"Name": "glueetl", "PythonVersion": "3"}, DefaultArguments=given)


def ended(glue, name, timeout=60):
    def look():
        s = glue.get_session(Id=name)["Session"]
        return s if s["Status"] in ("FAILED", "STOPPED", "TIMEOUT") else None

    return wait_for(f"session {name} has ended", timeout, look)


def delete(glue, name):
    glue.delete_session(Id=name)


class Session:
    def __init__(self, glue, name):
        self.glue, self.name = glue, name

    def ready(self):
        def look():
            s = self.glue.get_session(Id=self.name)["Session"]
            assert s["Status"] in ("PROVISIONING", "READY"), s
            return s["Status"] == "READY"

        wait_for("session is ready", 120, look)

    def run(self, code):
        """Run a statement that must succeed; what it shows."""
        n = self.glue.run_statement(SessionId=self.name, Code=code)["Id"]

        def look():
            s = self.glue.get_statement(SessionId=self.name, Id=n)["Statement"]
            return s if s["State"] in ("AVAILABLE", "ERROR", "CANCELLED") else None

        s = wait_for("statement is available", 120, look)
        assert s["State"] == "AVAILABLE" and s["Output"]["Status"] == "ok", s
        return s["Output"].get("Data", {}).get("TextPlain", "").strip()


@pytest.fixture(scope="module")
def session(server, glue, s3, bucket):
    at = f"s3://{bucket}/glue"
    for key, body in {
        "tinymod-1.5-py3-none-any.whl": wheel("tinymod", "1.5", "VALUE = 42\n"),
        "single.py": b"NAME = 'single'\n",
        "packed.zip": zipped({"packed/__init__.py": "NAME = 'packed'\n"}),
        "mine.jar": jar(),
        "words.txt": b"some words\n",
    }.items():
        s3.put_object(Bucket=bucket, Key="glue/" + key, Body=body)
    conf = {
        "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions,io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.ice": "org.apache.iceberg.spark.SparkCatalog",
        "spark.sql.catalog.ice.type": "hadoop",
        "spark.sql.catalog.ice.warehouse": at + "/ice",
        "spark.sql.catalog.ice.io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.my.words": "a = b c",
    }
    create(glue, "arguments", conf=" --conf ".join(f"{k}={v}" for k, v in conf.items()), datalake_formats="iceberg,delta,hudi",
           extra_py_files=f"{at}/single.py,{at}/packed.zip", extra_jars=at + "/mine.jar", user_jars_first="true", extra_files=at + "/words.txt",
           additional_python_modules=at + "/tinymod-1.5-py3-none-any.whl", python_modules_installer_option="--no-index",
           customer_driver_env_vars='CUSTOMER_A=1,CUSTOMER_B="2,3 4"', customer_executor_env_vars="CUSTOMER_C=5",
           TempDir=at + "/temp", enable_spark_ui="true", spark_event_logs_path=at + "/events/", enable_metrics="", my_own="x y")
    made = Session(glue, "arguments")
    made.ready()
    yield made
    delete(glue, "arguments")


def test_arguments_reach_the_program(session):
    given = json.loads(session.run("import sys, json; print(json.dumps(sys.argv[1:]))"))
    pairs = dict(zip(given[::2], given[1::2]))
    assert given[::2] == sorted(given[::2]) and pairs["--my-own"] == "x y" and pairs["--enable-metrics"] == "" and pairs["--TempDir"].endswith("/temp")


def test_conf_is_a_chain(session):
    assert session.run("print(spark.conf.get('spark.my.words'), spark.conf.get('spark.sql.catalog.ice.type'))") == "a = b c hadoop"


def test_python_files_and_modules(session):
    assert session.run("import single, packed, tinymod; print(single.NAME, packed.NAME, tinymod.VALUE)") == "single packed 42"
    assert session.run("""
def f(n):
    import single, packed, tinymod
    return single.NAME + packed.NAME + str(tinymod.VALUE * n)
print(sc.parallelize([1]).map(f).collect())
""") == "['singlepacked42']"


def test_jars_are_there_and_first(session):
    loader = "sc._jvm.Thread.currentThread().getContextClassLoader()"
    assert session.run(f"print({loader}.getResource('mine.txt') is not None)") == "True"
    assert "mine.jar" in session.run(
        f"print({loader}.loadClass('org.apache.commons.lang3.BooleanUtils').getProtectionDomain().getCodeSource().getLocation())")


def test_files_are_in_the_work_directory(session):
    assert session.run("print(open('words.txt').read())") == "some words"


def test_customer_variables(session):
    assert session.run("import os; print(os.environ['CUSTOMER_A'], os.environ['CUSTOMER_B'], sc._jvm.System.getenv('CUSTOMER_A'))") == "1 2,3 4 1"
    assert session.run("""
import os
print(sc.parallelize([1]).map(lambda n: os.environ["CUSTOMER_C"]).collect())
""") == "['5']"


MERGE = """
spark.sql("insert into {t} values (1, 'a'), (2, 'b')")
spark.sql("merge into {t} t using (select 2 id, 'x' v union all select 3, 'c') s on t.id = s.id when matched then update set v = s.v when not matched then insert *")
print([tuple(r) for r in spark.table("{t}").orderBy("id").collect()])
"""
MERGED = "[(1, 'a'), (2, 'x'), (3, 'c')]"


def test_iceberg(session):
    session.run("spark.sql('create table ice.db.t (id bigint, v string) using iceberg partitioned by (bucket(2, id))')")
    assert session.run(MERGE.format(t="ice.db.t")) == MERGED
    assert session.run("print(spark.sql('select * from ice.db.t.snapshots').count())") == "2"


def test_delta(session, bucket):
    session.run(f"spark.sql(\"create table d (id bigint, v string) using delta location 's3://{bucket}/glue/delta'\")")
    assert session.run(MERGE.format(t="d")) == MERGED
    assert session.run(f"print(spark.read.format('delta').option('versionAsOf', 1).load('s3://{bucket}/glue/delta').count())") == "2"


def test_hudi(session, bucket):
    assert session.run(f"""
at = "s3://{bucket}/glue/hudi"
options = {{"hoodie.table.name": "h", "hoodie.datasource.write.recordkey.field": "id", "hoodie.datasource.write.precombine.field": "id",
            "hoodie.metadata.enable": "false"}}
def write(rows, mode):
    spark.createDataFrame(rows, "id long, v string").write.format("hudi").options(**options).mode(mode).save(at)
write([(1, "a"), (2, "b")], "overwrite")
write([(2, "x"), (3, "c")], "append")
print([tuple(r) for r in spark.read.format("hudi").load(at).select("id", "v").orderBy("id").collect()])
""") == MERGED


def test_the_event_log_is_delivered(session, glue, s3, bucket):
    """The last of the session: its end is when all of the log is there."""
    glue.stop_session(Id=session.name)
    ended(glue, session.name)
    found = s3.list_objects_v2(Bucket=bucket, Prefix="glue/events/").get("Contents", [])
    logs = [o["Key"] for o in found if "/events_" in o["Key"]]
    assert logs, found
    assert b"SparkListenerApplicationStart" in s3.get_object(Bucket=bucket, Key=logs[0])["Body"].read()


@pytest.mark.parametrize("arguments, text", [
    ({"conf": "spark.a=1 --conf nothing"}, 'The value of argument --conf is not valid: "nothing" is not of the form key=value.'),
    ({"datalake_formats": "parquet"}, 'The value of argument --datalake-formats is not valid: "parquet" is not one of hudi, delta, iceberg.'),
    ({"session_language": "r"}, 'The value of argument --session-language is not valid: "r" is neither python nor scala.'),
    ({"customer_driver_env_vars": "PATH=/x"}, "The value of argument --customer-driver-env-vars is not valid: "
     'the key "PATH" does not start with CUSTOMER_, or holds more than letters, digits and underscores.'),
    ({"python_modules_installer_option": "--target=/x"}, "The value of argument --python-modules-installer-option is not valid: --target cannot be set for a session."),
])
def test_what_cannot_be_honoured_is_refused(glue, arguments, text):
    with pytest.raises(ClientError) as e:
        create(glue, "refused", **arguments)
    assert e.value.response["Error"] == {"Code": "InvalidInputException", "Message": text}
    with pytest.raises(ClientError) as e:
        glue.get_session(Id="refused")
    assert e.value.response["Error"]["Code"] == "EntityNotFoundException"


def test_too_many_arguments(glue):
    with pytest.raises(ClientError) as e:
        create(glue, "many", **{f"a{n}": "" for n in range(76)})
    assert e.value.response["Error"]["Code"] in ("ValidationException", "InvalidInputException")


def test_starts_that_fail_say_why(glue, s3, bucket):
    create(glue, "no-module", additional_python_modules="glaux-has-no-such-package==1", python_modules_installer_option="--no-index")
    create(glue, "no-object", additional_python_modules=f"s3://{bucket}/glue/none-1-py3-none-any.whl")
    s3.put_object(Bucket=bucket, Key="glue/requirements.txt", Body=b"# ours\nglaux-has-no-such-package==2\n")
    create(glue, "no-line", additional_python_modules=f"s3://{bucket}/glue/requirements.txt", python_modules_installer_option="--no-index -r")
    create(glue, "not-mine", conf="spark.master=yarn")
    for name, text in {
        "no-module": "ERROR: No matching distribution found for glaux-has-no-such-package==1",
        "no-line": "ERROR: No matching distribution found for glaux-has-no-such-package==2",
        "no-object": f"s3://{bucket}/glue/none-1-py3-none-any.whl cannot be read",
        "not-mine": "the Spark property spark.master cannot be set for a session",
    }.items():
        s = ended(glue, name)
        assert s["Status"] == "FAILED" and text in s["ErrorMessage"], s
        delete(glue, name)


def test_stop_does_not_wait_for_pip(glue, s3, bucket):
    s3.put_object(Bucket=bucket, Key="glue/glauxslow-1.tar.gz", Body=source("import time\ntime.sleep(600)\n"))
    create(glue, "slow", additional_python_modules=f"s3://{bucket}/glue/glauxslow-1.tar.gz", python_modules_installer_option="--no-index --no-build-isolation")
    began = time.monotonic()
    glue.stop_session(Id="slow")
    assert ended(glue, "slow", timeout=15)["Status"] == "STOPPED" and time.monotonic() - began < 10
    delete(glue, "slow")
