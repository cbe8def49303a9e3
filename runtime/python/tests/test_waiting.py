"""Drivers that wait, and sessions that claim them."""

import pytest

from glaux_training.session import Failed, Session


@pytest.fixture
def waiting(runtime):
    with Session(runtime, waits="context") as made:
        yield made


def text(session, code):
    session.must(code)
    return session.runner.read("stdout", until=lambda t: t.endswith("\n")).strip()


def test_a_claim_brings_what_a_session_is_started_with(waiting):
    waiting.claim({"spark.sql.shuffle.partitions": "3", "spark.app.name": "mine", "spark.hadoop.fs.s3a.threads.max": "7",
                   "spark.sql.warehouse.dir": waiting.work.name + "/moved", "spark.sql.catalog.other": "org.apache.spark.sql.connector.catalog.InMemoryTableCatalog"}, argv=("--a", "b"))
    assert text(waiting, "import sys; print(sys.argv, sc.appName, spark.conf.get('spark.app.name'))") == "['', '--a', 'b'] mine mine"
    # In this session, in those it makes, in what the context says, and in a context that code starts later.
    assert text(waiting, "k = 'spark.sql.shuffle.partitions'; print(spark.conf.get(k), spark.newSession().conf.get(k), sc.getConf().get(k), sc._jvm.java.lang.System.getProperty(k))") == "3 3 3 3"
    assert text(waiting, "print(sc._jsc.hadoopConfiguration().get('fs.s3a.threads.max'), spark.newSession()._jsparkSession.sessionState().newHadoopConf().get('fs.s3a.threads.max'), sc._jvm.org.apache.spark.deploy.SparkHadoopUtil.get().conf().get('fs.s3a.threads.max'))") == "7 7 7"
    assert text(waiting, "spark.range(2).write.saveAsTable('t'); import os; print(sorted(os.listdir('moved')), spark.newSession().conf.get('spark.sql.warehouse.dir').split('/')[-1])") == "['t'] moved"
    assert text(waiting, "print(spark.catalog.currentDatabase(), [t.name for t in spark.catalog.listTables()], repr(sc.getLocalProperty('spark.job.description')))") == "default ['t'] ''"
    assert not [e for e in waiting.driver.seen if e["ev"] == "operations"]  # its own are nobody's work


def test_what_a_running_context_cannot_take_is_refused(waiting):
    with pytest.raises(Failed, match="spark.sql.extensions cannot be set"):
        waiting.claim({"spark.sql.extensions": "x"})


def test_a_bad_value_is_refused(waiting):
    with pytest.raises(Failed, match="shuffle.partitions"):
        waiting.claim({"spark.sql.shuffle.partitions": "many"})


def test_the_first_jobs_say_what_they_are(waiting):
    waiting.claim()
    assert text(waiting, """
store = sc._jsc.sc().statusStore()
jobs = store.jobsList(None)
print(all('before the session began' in str(jobs.apply(i).description()) or 'glaux-warm-up' in str(jobs.apply(i).description()) for i in range(jobs.size())), jobs.size() > 0)""") == "True True"


def test_properties_come_with_the_claim(runtime):
    with Session(runtime, waits="properties", properties={"spark.serializer": "org.apache.spark.serializer.KryoSerializer", "spark.app.name": "primed", "spark.sql.ui.retainedExecutions": "5", "spark.hadoop.fs.s3a.threads.max": "9"}) as made:
        assert text(made, "print(sc.getConf().get('spark.serializer').split('.')[-1], sc.appName, spark.conf.get('spark.sql.ui.retainedExecutions'), spark.range(5).count())") == "KryoSerializer primed 5 5"
        # Hadoop's own configuration was made before the claim.
        assert text(made, "print(sc._jvm.org.apache.spark.deploy.SparkHadoopUtil.get().conf().get('fs.s3a.threads.max'))") == "9"
        # Of the context before it nothing is left.
        assert text(made, "print(sc._jsc.sc().statusStore().jobsList(None).size(), sc._jvm.org.apache.spark.sql.SparkSession.getDefaultSession().get().sparkContext().appName())").split()[1] == "primed"
        assert text(made, "spark.sql('select 1').collect(); print(spark._jsparkSession.sharedState().statusStore().executionsList().apply(0).executionId())") == "0"
