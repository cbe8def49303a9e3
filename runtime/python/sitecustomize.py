"""Runs first in every Python process of a session, workers of tasks and streams included.

A worker inherits the JVM's environment, and with it what the JVM asks of its clients. Nothing of that is left for user code to
print; a worker of a stream, which calls back through Spark Connect, is given what it needs.

The packages that a session has installed for itself come behind Python's own modules and before the runtime's packages: the user's
version of a package wins, and none of them can take the place of what Python and the runner consist of.
"""

import os
import site
import sys

_secret = os.environ.pop("GLAUX_CONNECT_SECRET", "")
os.environ.pop("GLAUX_UI_SECRET", None)
if _secret and "SPARK_CONNECT_LOCAL_URL" in os.environ:
    from glaux_runner import callback

    callback.install(os.environ["GLAUX_CONNECT_SOCKET"], _secret)

_modules = os.environ.get("GLAUX_MODULES", "")
if _modules and _modules not in sys.path:
    _at = min((sys.path.index(p) for p in site.getsitepackages() if p in sys.path), default=len(sys.path))
    _path = list(sys.path)
    site.addsitedir(_modules)  # for the .pth files in it
    _new = [p for p in sys.path if p not in _path]
    sys.path[:] = _path[:_at] + _new + _path[_at:]
