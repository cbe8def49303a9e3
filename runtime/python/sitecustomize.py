"""Runs first in every Python process of a session, workers of tasks and streams included.

A worker inherits the JVM's environment, and with it what the JVM asks of its clients. Nothing of that is left for user code to
print; a worker of a stream, which calls back through Spark Connect, is given what it needs.
"""

import os

_secret = os.environ.pop("GLAUX_CONNECT_SECRET", "")
os.environ.pop("GLAUX_UI_SECRET", None)
if _secret and "SPARK_CONNECT_LOCAL_URL" in os.environ:
    from glaux_runner import callback

    callback.install(os.environ["GLAUX_CONNECT_SOCKET"], _secret)
