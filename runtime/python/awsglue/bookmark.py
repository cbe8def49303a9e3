"""Job bookmarks for files: which a job has read before, as "Tracking processed data using job bookmarks" has it.

The state of a job is one JSON document. It lies below the argument --TempDir, else below the session's warehouse, as
glue-bookmarks/JOB.json, so it outlives the session wherever that is an object store. Only commit writes it.
"""

import json
import urllib.parse

from awsglue import files


class Bookmark:
    """The bookmark of one job: for each transformation_ctx the newest time and the files of that time that were read."""

    def __init__(self, spark, path: str, writes: bool):
        self._spark, self.path, self._writes = spark, path, writes
        text = files.read_text(spark, path)
        self._state = json.loads(text) if text else {"run": 0, "contexts": {}}
        self._seen: dict = {}

    def unread(self, context: str, found: "list[files.File]") -> "list[files.File]":
        """The files that no committed run has read."""
        before = self._state["contexts"].get(context, {"time": -1, "files": []})
        known = set(before["files"])
        fresh = [f for f in found if f.modified > before["time"] or (f.modified == before["time"] and f.path not in known)]
        newest = max([f.modified for f in found], default=before["time"])
        if newest >= before["time"]:
            at = [f.path for f in found if f.modified == newest]
            self._seen[context] = {"time": newest, "files": sorted(set(at) | (known if newest == before["time"] else set()))}
        return fresh

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
