"""Job bookmarks for files: which a job has read before, as "Tracking processed data using job bookmarks" has it.

The state of a job is one JSON document. It lies below the argument --TempDir, else below the session's warehouse, as
glue-bookmarks/JOB.json, so it outlives the session wherever that is an object store. Only commit writes it.
"""

import json
import urllib.parse

from awsglue import files


# Milliseconds.
BAND = 900_000


class Bookmark:
    """The bookmark of one job: for each transformation_ctx the newest time of a file that was read, and the files of the time before it.

    Files may appear with a time that lies before that of others: an upload has the time at which it began. So files that are up to
    BAND older than the newest are known one by one; one that is older still, and comes later, is not seen.
    """

    def __init__(self, spark, path: str, writes: bool):
        self._spark, self.path, self._writes = spark, path, writes
        text = files.read_text(spark, path)
        self._state = json.loads(text) if text else {"run": 0, "contexts": {}}
        self._seen: dict = {}

    def unread(self, context: str, found: "list[files.File]") -> "list[files.File]":
        """The files that no committed run has read, the oldest first."""
        before = self._before(context)
        fresh = [f for f in found if f.modified > before["time"] - BAND and before["files"].get(f.path) != f.modified]
        return sorted(fresh, key=lambda f: (f.modified, f.path))

    def take(self, context: str, taken: "list[files.File]") -> None:
        """Notes that files are read in this run: the first of those that unread returned."""
        before = self._before(context)
        known = {**before["files"], **{f.path: f.modified for f in taken}}
        newest = max([before["time"], *[f.modified for f in taken]])
        self._seen[context] = {"time": newest, "files": {p: at for p, at in known.items() if at > newest - BAND}}

    def _before(self, context: str) -> dict:
        return self._seen.get(context) or self._state["contexts"].get(context, {"time": -1, "files": {}})

    def commit(self) -> None:
        """Keeps what was read since the last commit. A paused bookmark keeps nothing."""
        if not self._writes:
            return
        self._state["contexts"].update(self._seen)
        self._state["run"] += 1
        self._seen = {}
        files.write_text(self._spark, self.path, json.dumps(self._state))

    def reset(self) -> None:
        """Forgets what was read."""
        self._state, self._seen = {"run": 0, "contexts": {}}, {}
        files.delete(self._spark, self.path)


def path_of(job: str, base: str) -> str:
    """Where the bookmark of a job is."""
    return base.rstrip("/") + "/glue-bookmarks/" + urllib.parse.quote(job, safe="") + ".json"
