"""Lets the workers behind foreachBatch and streaming listeners reach their session.

Spark starts them with the address sc://localhost:PORT of its own service. Here that is no port but a Unix socket, which asks for
a secret.
"""

import os
import urllib.parse

import grpc


def install(socket: str, secret: str) -> None:
    """Makes this process's Spark Connect clients use the session's socket."""
    from pyspark.sql.connect.client import core

    builder = core.ChannelBuilder
    metadata = builder.metadata

    def to_channel(self):
        # Without an authority gRPC would send the path as one, which servers refuse.
        return grpc.insecure_channel("unix:" + socket, options=[*self._channel_options, ("grpc.default_authority", "localhost")])

    builder.toChannel = to_channel
    builder.metadata = lambda self: [*metadata(self), ("x-glaux-session-secret", secret)]

    # The user's name stands there as it is, and may hold what separates an address's parts.
    address, parameter, user = os.environ["SPARK_CONNECT_LOCAL_URL"].partition(";user_id=")
    os.environ["SPARK_CONNECT_LOCAL_URL"] = address + parameter + urllib.parse.quote(user, safe="")
