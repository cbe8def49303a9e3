"""A Spark Connect client on a session's Unix socket, given by GLAUX_CLIENT_SOCKET and GLAUX_CLIENT_SECRET."""

import os
import sys

import grpc
from pyspark.sql.connect.client import ChannelBuilder
from pyspark.sql.connect.session import SparkSession


class Socket(ChannelBuilder):
    """Reaches the session by its socket, with its secret."""

    def __init__(self, path: str, secret: str):
        super().__init__("sc://localhost")
        self._path = path
        self._secret = secret

    def toChannel(self):
        return grpc.insecure_channel("unix:" + self._path, options=[("grpc.default_authority", "localhost")])

    def metadata(self):
        return [("x-glaux-session-secret", self._secret)] if self._secret else []


def main(path: str, secret: str) -> None:
    from pyspark.sql.connect import functions as F

    spark = SparkSession(connection=Socket(path, secret))
    print(spark.range(10).count())
    spark.sql("select id, id % 3 k from range(100)").groupBy("k").agg(F.sum("id")).orderBy("k").collect()
    spark.createDataFrame([(1, "a"), (2, "b")], "n int, s string").filter("n > 1").toPandas()
    spark.range(1000).createOrReplaceTempView("numbers")
    spark.sql("select count(*) from numbers n join numbers m using (id)").show()
    spark.stop()


if __name__ == "__main__":
    main(os.environ["GLAUX_CLIENT_SOCKET"], os.environ["GLAUX_CLIENT_SECRET"])
    sys.stdout.flush()
    os._exit(0)  # a gRPC channel may hang at interpreter exit
