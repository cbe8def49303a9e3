"""Attaches this process to the session's JVM."""

import json
import os
import warnings

# The import is most of this process's start-up; it happens while the JVM starts.
import pyspark.sql
from py4j.clientserver import ClientServerConnection
from pyspark import SparkConf, SparkContext
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

# A thread inside this is in a call to the JVM.
JVM_CALL = ClientServerConnection.send_command.__code__


class Attached:
    """The JVM this process is attached to."""

    def __init__(self, port: int, secret: str):
        """Connects and blocks until the driver has its session. Raises what the driver refused to start with."""
        os.environ["PYSPARK_GATEWAY_PORT"] = str(port)
        os.environ["PYSPARK_GATEWAY_SECRET"] = secret
        gateway = self._gateway = launch_gateway()
        self._driver = gateway.jvm.glaux.Driver
        jsession = self._driver.session()
        jcontext = self._driver.context()
        self.context = SparkContext(gateway=gateway, jsc=jcontext, conf=SparkConf(_jconf=jcontext.getConf()))
        self.session = SparkSession(self.context, jsession)

    def rehearse(self) -> None:
        """Prepares for a claim: runs the first queries, through the gateway as cells do."""
        self.context._conf = SparkConf(_jconf=self.context._jsc.sc().conf())  # not a copy: a claim changes it
        self.context.setJobGroup("glaux-warm-up", "Warm-up of the driver, before the session began")
        for _ in range(2):
            self.session.range(10).count()
            self.session.sql("SELECT 1").collect()
            self.session.createDataFrame([(1, "a")], "n int, s string").collect()
            str(self.session.range(1))
        for name in ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel"):
            self.context.setLocalProperty(name, None)

    def claim(self, name: str) -> None:
        """Takes over the name that the session gave its application, if any."""
        if name:
            self.context.appName = name

    def begin(self, cell: str) -> None:
        """Says which cell runs on this thread: its jobs can be followed and cancelled."""
        self._driver.begin(cell)

    def start_scala(self) -> None:
        """Waits until cells in Scala can run. Raises why they cannot."""
        self._scala = self._gateway.jvm.glaux.ScalaCells
        self._scala.ready()

    def run_scala(self, cell: str, code: str) -> dict:
        """Runs a cell in Scala to its end and returns what the done frame says of it."""
        return json.loads(self._scala.run(cell, code))


def sql_context(attached: Attached):
    """What older code calls sqlContext."""
    from pyspark.sql.context import SQLContext

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is old
        return SQLContext(attached.context, attached.session)


def abandon(frame) -> None:
    """Closes the JVM connection that an interrupted call waits on.

    The reply will still come; left open, the next call would read it as its own.
    """
    connection = frame.f_locals.get("self")
    if isinstance(connection, ClientServerConnection):
        connection.close()


__all__ = ["Attached", "JVM_CALL", "abandon", "pyspark", "sql_context"]
