"""A job: its name, arguments and bookmark."""

import sys

from awsglue import bookmark, utils
from awsglue.missing import missing


class Job:
    """The job of a script: ``init`` begins a run, ``commit`` keeps what its bookmark has seen."""

    def __init__(self, glue_context):
        self._context = glue_context
        self.job_name = ""
        self._begun = False

    def init(self, job_name: str, args: "dict[str, str] | None" = None) -> None:
        """Begins a run. With job-bookmark-enable in ``args`` or the session's arguments sources skip what earlier runs have read."""
        args = {**_session(), **(args or {})}
        option = args.get("job_bookmark_option", "job-bookmark-disable")
        if args.get("job_bookmark_from") or args.get("job_bookmark_to"):
            raise missing("a bookmark from one run to another")
        if option not in ("job-bookmark-enable", "job-bookmark-disable", "job-bookmark-pause"):
            raise ValueError("%r is no bookmark option" % option)
        self.job_name, self._begun = job_name, True
        self._context._bookmark = None
        if option != "job-bookmark-disable":
            spark = self._context.spark_session
            base = args.get("TempDir") or spark.conf.get("spark.sql.warehouse.dir")
            self._context._bookmark = bookmark.Bookmark(spark, bookmark.path_of(job_name, base), option == "job-bookmark-enable")

    def isInitialized(self) -> bool:
        """Whether a run has begun."""
        return self._begun

    def commit(self) -> None:
        """Ends the run: its bookmark is kept."""
        if self._context._bookmark is not None:
            self._context._bookmark.commit()


def _session() -> "dict[str, str]":
    return utils.getResolvedOptions(sys.argv, [])
