"""Starting a driver: what only spark-submit does otherwise, and failures with a cause a person can act on."""

import os
import pathlib
import subprocess
import zipfile

import pytest

from glaux_training.objects import Store
from glaux_training.session import Failed, Session

JAVA = """
package trained;
public class Hello implements org.apache.spark.sql.api.java.UDF1<Long, String> {
    public static String greet() { return "hello from a jar"; }
    public String call(Long v) { return "v" + v; }
}
"""


@pytest.fixture(scope="module")
def jar(tmp_path_factory, runtime):
    """A jar with a class that a session may use."""
    work = tmp_path_factory.mktemp("jar")
    source = work / "trained" / "Hello.java"
    source.parent.mkdir()
    source.write_text(JAVA)
    javac = pathlib.Path(runtime["java"]).with_name("javac")
    subprocess.run([javac, "--release", "17", "-cp", os.pathsep.join(runtime["classPath"]), "-d", work / "out", source], check=True)
    with zipfile.ZipFile(work / "hello.jar", "w") as made:
        made.write(work / "out" / "trained" / "Hello.class", "trained/Hello.class")
    return work / "hello.jar"


def last(frames):
    assert frames[-1]["ok"], frames[-1]
    return frames[-2]["data"]["text/plain"]


def test_jars_python_files_files_and_archives(runtime, jar, tmp_path):
    (tmp_path / "one.py").write_text("WORD = 'one'")
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as made:
        made.writestr("two/__init__.py", "WORD = 'two'")
    (tmp_path / "data.txt").write_text("some data")
    with zipfile.ZipFile(tmp_path / "tree.zip", "w") as made:
        made.writestr("leaf.txt", "a leaf")
    store = Store()
    store.objects["bucket/three.py"] = b"WORD = 'three'"
    store.objects["bucket/far.jar"] = jar.read_bytes()
    store.objects["bucket/far.txt"] = b"far data"
    properties = {
        "spark.jars": "%s,s3://bucket/far.jar" % jar,
        "spark.submit.pyFiles": "%s,%s,s3a://bucket/three.py" % (tmp_path / "one.py", tmp_path / "two.zip"),
        "spark.files": "%s,s3://bucket/far.txt" % (tmp_path / "data.txt"),
        "spark.archives": "%s#tree" % (tmp_path / "tree.zip"),
    }
    with Session(runtime, properties=properties, env=store.environment()) as session:
        assert last(session.run("spark._jvm.trained.Hello.greet()")) == "'hello from a jar'"
        session.must("spark.udf.registerJavaFunction('hello', 'trained.Hello', 'string')")
        assert last(session.run("spark.sql('select hello(id) h from range(2)').collect()")) == "[Row(h='v0'), Row(h='v1')]"
        assert last(session.run("import one, two, three; one.WORD + two.WORD + three.WORD")) == "'onetwothree'"
        assert last(session.run("def f(v):\n    import one, two, three\n    return one.WORD + two.WORD + three.WORD\nsc.parallelize([1]).map(f).collect()")) == "['onetwothree']"
        assert last(session.run("from pyspark import SparkFiles; open(SparkFiles.get('data.txt')).read() + open(SparkFiles.get('far.txt')).read()")) == "'some datafar data'"
        assert last(session.run("sc.parallelize([1]).map(lambda v: open(SparkFiles.get('data.txt')).read()).collect()")) == "['some data']"
        assert last(session.run("open(SparkFiles.get('tree/leaf.txt')).read()")) == "'a leaf'"
    store.close()


def test_extra_class_path(runtime, jar):
    with Session(runtime, properties={"spark.driver.extraClassPath": str(jar.parent / "*")}) as session:
        assert last(session.run("spark._jvm.trained.Hello.greet()")) == "'hello from a jar'"


@pytest.mark.parametrize("first", ["false", "true"])
def test_the_whole_sdk(runtime, jar, first):
    """Of the AWS SDK the class path has a part; the rest is found when it is asked for, and goes together with it."""
    with Session(runtime, properties={"spark.jars": str(jar), "spark.driver.userClassPathFirst": first}, connect=False) as session:
        assert last(session.run("spark._jvm.com.amazonaws.services.sqs.model.SendMessageRequest('queue', 'text').getMessageBody()")) == "'text'"
        code = """
def type_of(name):
    return spark._jvm.java.lang.Class.forName(name, True, spark._jvm.java.lang.Thread.currentThread().getContextClassLoader())
type_of("com.amazonaws.AmazonWebServiceRequest").isAssignableFrom(type_of("com.amazonaws.services.sqs.model.SendMessageRequest"))"""
        assert last(session.run(code)) == "True"
        assert not session.run("type_of('com.amazonaws.services.nothing.Here')")[-1]["ok"]


def test_package_from_a_repository(runtime, jar, tmp_path):
    place = tmp_path / "repo" / "org" / "trained" / "hello" / "1.0"
    place.mkdir(parents=True)
    (place / "hello-1.0.jar").write_bytes(jar.read_bytes())
    (place / "hello-1.0.pom").write_text("<project><modelVersion>4.0.0</modelVersion><groupId>org.trained</groupId><artifactId>hello</artifactId><version>1.0</version></project>")
    settings = tmp_path / "ivysettings.xml"  # no other repository is asked
    settings.write_text('<ivysettings><settings defaultResolver="here"/><resolvers><ibiblio name="here" m2compatible="true" root="%s/"/></resolvers></ivysettings>' % (tmp_path / "repo").as_uri())
    properties = {
        "spark.jars.packages": "org.trained:hello:1.0",
        "spark.jars.ivySettings": str(settings),
        "spark.jars.ivy": str(tmp_path / "ivy"),
    }
    missing = Session(runtime, properties={**properties, "spark.jars.packages": "org.trained:nothing:1.0"}, wait=False)
    error = missing.driver.wait("failed")["error"]
    missing.close()
    assert error.startswith("spark.jars.packages cannot be resolved (org.trained:nothing:1.0): ") and "not found" in error
    with Session(runtime, properties=properties) as session:
        assert last(session.run("spark._jvm.trained.Hello.greet()")) == "'hello from a jar'"


def test_a_further_repository(runtime, jar, tmp_path):
    place = tmp_path / "repo" / "org" / "trained" / "hello" / "1.0"
    place.mkdir(parents=True)
    (place / "hello-1.0.jar").write_bytes(jar.read_bytes())
    (place / "hello-1.0.pom").write_text("<project><modelVersion>4.0.0</modelVersion><groupId>org.trained</groupId><artifactId>hello</artifactId><version>1.0</version></project>")
    settings = tmp_path / "ivysettings.xml"  # knows an empty repository only
    (tmp_path / "empty").mkdir()
    settings.write_text('<ivysettings><settings defaultResolver="none"/><resolvers><ibiblio name="none" m2compatible="true" root="%s/"/></resolvers></ivysettings>' % (tmp_path / "empty").as_uri())
    properties = {
        "spark.jars.packages": "org.trained:hello:1.0",
        "spark.jars.repositories": (tmp_path / "repo").as_uri() + "/",
        "spark.jars.ivySettings": str(settings),
        "spark.jars.ivy": str(tmp_path / "ivy"),
    }
    with Session(runtime, properties=properties) as session:
        assert last(session.run("spark._jvm.trained.Hello.greet()")) == "'hello from a jar'"


@pytest.mark.parametrize("properties, sentence", [
    ({"spark.jars": "/nowhere/x.jar"}, "spark.jars names /nowhere/x.jar, which does not exist"),
    ({"spark.submit.pyFiles": "/nowhere/x.py"}, "spark.submit.pyFiles names /nowhere/x.py, which does not exist"),
    ({"spark.files": "/nowhere/x.txt"}, "spark.files names /nowhere/x.txt, which does not exist"),
    ({"spark.archives": "file:/nowhere/x.zip#x"}, "spark.archives names file:/nowhere/x.zip, which does not exist"),
    ({"spark.jars": "nosuch://bucket/x.jar"}, "spark.jars names nosuch://bucket/x.jar, which cannot be fetched"),
    ({"spark.jars.packages": "nonsense"}, "spark.jars.packages cannot be resolved (nonsense)"),
    ({"spark.executor.memory": "lots"}, "spark.executor.memory"),
    ({"spark.task.cpus": "none"}, "spark.task.cpus"),
    ({"spark.sql.shuffle.partitions": "many"}, "spark.sql.shuffle.partitions"),
    ({"spark.master": "local[x]"}, "local[x]"),
    ({"spark.serializer": "no.such.Serializer"}, "no.such.Serializer"),
    ({"spark.sql.extensions": "no.such.Extension"}, "no.such.Extension"),
    ({"spark.plugins": "no.such.Plugin"}, "no.such.Plugin"),
])
def test_failures_name_their_cause(runtime, properties, sentence):
    session = Session(runtime, properties=properties, wait=False)
    try:
        failed = session.driver.wait("failed")
        assert sentence in failed["error"] and "\n" not in failed["error"], failed["error"]
        assert session.driver.process.wait(20) == 1
    finally:
        session.close()


def test_attach_learns_that_the_driver_cannot_start(runtime):
    session = Session(runtime, properties={"spark.executor.memory": "lots"}, wait=False)
    with pytest.raises(Failed):
        session.attach()
    session.close()


def test_end_of_input_ends_the_driver(runtime):
    session = Session(runtime)
    session.driver.process.stdin.close()
    assert session.driver.process.wait(30) == 0
    session.close()


def test_stop_command_ends_the_driver(runtime):
    session = Session(runtime, connect=False)
    session.driver.send({"op": "stop"})
    assert session.driver.process.wait(30) == 0
    session.close()


def test_stop_while_starting(runtime):
    session = Session(runtime, wait=False)
    session.driver.wait("gateway")
    session.driver.send({"op": "stop"})
    assert session.driver.process.wait(60) in (0, 1)
    session.close()


def test_out_of_memory_has_its_own_status(runtime):
    session = Session(runtime, heap="512m", flags=["-XX:+ExitOnOutOfMemoryError"])
    session.runner.send({"op": "run", "id": "big", "code": "keep = [sc._jvm.java.nio.ByteBuffer.allocate(1 << 28) for _ in range(20)]"})
    assert session.driver.process.wait(60) == 3
    session.close()


def test_arguments(runtime):
    session = Session(runtime, wait=False)
    session.attach(argv=("--name", "value"))
    assert last(session.run("import sys; sys.argv")) == "['', '--name', 'value']"
    session.close()


@pytest.mark.parametrize("broken", ["absent", "garbage", "stale"])
def test_without_a_good_archive_the_driver_starts_and_says_so(runtime, tmp_path, broken):
    archive, path = tmp_path / "archive.jsa", list(runtime["classPath"])
    if broken == "garbage":
        archive.write_bytes(b"no archive" * 100_000)
    elif broken == "stale":  # made for another order of the class path
        archive, path[1], path[2] = pathlib.Path(runtime["archive"]), path[2], path[1]
    session = Session({**runtime, "archive": str(archive), "classPath": path}, connect=False, wait=False)
    try:
        session.driver.wait("ready")
        told = next(e for e in session.driver.seen if e["ev"] == "archive")
        assert told["used"] is False and "refused it" in told["why"], told
    finally:
        session.close()
