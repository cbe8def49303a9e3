"""GlueContext, as "GlueContext class" of the Glue developer guide has it."""

import logging
import sys
import time
import warnings

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession, SQLContext
from pyspark.sql import types as T

from awsglue import files, formats, records
from awsglue.dynamicframe import DynamicFrame, DynamicFrameCollection, _unmarked
from awsglue.missing import missing, only

# What Spark does by itself is accepted: grouping small files, listing them, telling their compression by their names.
_SOURCE = {
    "paths", "path", "exclusions", "recurse", "compressionType", "groupFiles", "groupSize", "useS3ListImplementation",
    "boundedFiles", "boundedSize",
}
_SINK = {"path", "partitionKeys", "compression", "compressionType"}
_TABLES = ("iceberg", "delta", "hudi")


class GlueContext(SQLContext):
    """The entrance to the library, over the session's SparkContext."""

    def __init__(self, sparkContext: "SparkContext | None" = None, **options):
        only("the argument", options, {"minPartitions", "targetPartitions"})
        self._sc = sparkContext or SparkContext.getOrCreate()
        self.spark_session = SparkSession.builder.getOrCreate()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that SQLContext is old
            super().__init__(self._sc, self.spark_session)
        self._bookmark = None
        self.create_dynamic_frame = DynamicFrameReader(self)
        self.create_data_frame = DataFrameReader(self)
        self.write_dynamic_frame = DynamicFrameWriter(self)
        self.write_data_frame = DataFrameWriter(self)

    def getLogger(self) -> logging.Logger:
        """A logger whose lines come to the session's standard error."""
        logger = logging.getLogger("GlueLogger")
        if not logger.handlers:
            handler = logging.StreamHandler(sys.__stderr__)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s GlueLogger: %(message)s"))
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False
        return logger

    get_logger = getLogger

    # Sources.

    def create_dynamic_frame_from_rdd(self, data, name, schema=None, sample_ratio=None, verify_schema=True, transformation_ctx=""):
        """A frame of an RDD of rows, tuples or dictionaries, or of a list."""
        if isinstance(data, DataFrame):
            return DynamicFrame(data, self, name)
        if schema is None and sample_ratio is None and _of_dictionaries(data):
            rdd = self._sc.parallelize(data) if isinstance(data, list) else data
            return DynamicFrame(lambda: records.frame_of(rdd, self.spark_session), self, name)
        return DynamicFrame(self.spark_session.createDataFrame(data, schema, sample_ratio, verify_schema), self, name)

    def create_dynamic_frame_from_options(self, connection_type, connection_options=None, format=None, format_options=None,
                                          transformation_ctx="", push_down_predicate=""):
        """A frame of what a connection gives: files ("s3", "file"), or tables of iceberg, delta and hudi where the session has their jars."""
        make, errors = self._read(connection_type, connection_options or {}, format, format_options or {}, transformation_ctx)
        if push_down_predicate:
            return DynamicFrame(lambda: make().filter(push_down_predicate), self, transformation_ctx, errors)
        return DynamicFrame(make, self, transformation_ctx, errors)

    def create_dynamic_frame_from_catalog(self, database=None, table_name=None, redshift_tmp_dir="", transformation_ctx="",
                                          push_down_predicate="", additional_options=None, catalog_id=None, **options):
        """A frame of a table of the session's catalog."""
        only("the argument", options, {"name_space"})
        if catalog_id is not None:
            raise missing("catalog_id")
        self._no_bookmark(transformation_ctx)
        return DynamicFrame(self._table(options.get("name_space") or database, table_name, push_down_predicate, additional_options), self, table_name)

    def create_data_frame_from_options(self, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx=""):
        """A DataFrame of what a connection gives; see create_dynamic_frame_from_options."""
        return _unmarked(self._read(connection_type, connection_options or {}, format, format_options or {}, transformation_ctx)[0]())

    def create_data_frame_from_catalog(self, database, table_name, transformation_ctx="", additional_options=None, push_down_predicate="", **options):
        """A DataFrame of a table of the session's catalog."""
        only("the argument", options, set())
        self._no_bookmark(transformation_ctx)
        return self._table(database, table_name, push_down_predicate, additional_options)

    def _no_bookmark(self, context: str) -> None:
        """Refuses a source that a bookmark does not know: it would be read whole by every run."""
        if self._bookmark is not None and context:
            raise missing("a bookmark of a table (transformation_ctx %r)" % context)

    def _table(self, database, table_name, predicate, additional_options) -> DataFrame:
        additional_options = dict(additional_options or {})
        only("the additional option", additional_options, {"catalogPartitionPredicate", "useCatalogSchema"})
        frame = self.spark_session.table("`%s`.`%s`" % (database, table_name))
        for condition in (predicate, additional_options.get("catalogPartitionPredicate")):
            if condition:
                frame = frame.filter(condition)
        return frame

    def _read(self, connection_type, options: dict, format, format_options: dict, context: str):
        """How the data frame of a source is made, and the RDD of records that had errors, or None."""
        kind = connection_type.lower()
        if kind in _TABLES or (format or "").lower() in _TABLES:
            self._no_bookmark(context)
            return lambda: self._tables(kind if kind in _TABLES else format.lower(), options), None
        if kind not in ("s3", "file"):
            raise missing("the connection type %r" % connection_type)
        only("the option of s3 sources", options, _SOURCE)
        paths = options.get("paths") or options.get("path")
        if not paths:
            raise ValueError("the option paths is needed")
        paths = [paths] if isinstance(paths, str) else list(paths)
        if not format:
            raise ValueError("a format is needed")
        found = files.list_files(self.spark_session, paths, str(options.get("recurse", "")).lower() == "true", files.exclusions(options.get("exclusions")))
        if self._bookmark is not None and context:
            found = self._bookmark.unread(context, found)
        for name in ("boundedFiles", "boundedSize"):
            if name in options:
                found = _bounded(found, name, int(options[name]))
        if self._bookmark is not None and context:
            self._bookmark.take(context, found)
        if not found:
            return self._nothing, None
        base = paths[0] if len(paths) == 1 and not any(c in paths[0] for c in "*?[{") and paths[0].rstrip("/") != found[0].path else None
        return formats.read(self.spark_session, format.lower(), [f.path for f in found], base, format_options)

    def _nothing(self) -> DataFrame:
        return self.spark_session.createDataFrame(self._sc.emptyRDD(), T.StructType([]))

    def _tables(self, kind: str, options: dict) -> DataFrame:
        options = dict(options)
        path = options.pop("path", None) or (options.pop("paths", None) or [None])[0]
        if path is None:
            raise ValueError("the option path is needed")
        return self.spark_session.read.format(kind).options(**options).load(path)

    def getSource(self, connection_type, transformation_ctx="", **options) -> "DataSource":
        """A source, whose format and frame are asked for one after the other."""
        return DataSource(self, connection_type, options, transformation_ctx)

    # Sinks.

    def write_dynamic_frame_from_options(self, frame, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx=""):
        """Writes a frame or a collection; returns it."""
        for one in frame.values() if isinstance(frame, DynamicFrameCollection) else [frame]:
            self._write(one.toDF(), connection_type, connection_options or {}, format, format_options or {})
        return frame

    def write_dynamic_frame_from_catalog(self, frame, database, table_name, redshift_tmp_dir="", transformation_ctx="", additional_options=None, catalog_id=None):
        """Adds a frame to a table of the session's catalog; returns it."""
        if catalog_id is not None:
            raise missing("catalog_id")
        self.write_data_frame_from_catalog(frame.toDF(), database, table_name, additional_options=additional_options)
        return frame

    def write_data_frame_from_options(self, frame, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx=""):
        """Writes a DataFrame; returns it."""
        self._write(frame, connection_type, connection_options or {}, format, format_options or {})
        return frame

    def write_data_frame_from_catalog(self, frame, database, table_name, redshift_tmp_dir="", transformation_ctx="", additional_options=None, catalog_id=None):
        """Adds a DataFrame to a table of the session's catalog; returns it."""
        only("the additional option", dict(additional_options or {}), {"partitionKeys"})
        if catalog_id is not None:
            raise missing("catalog_id")
        name = "`%s`.`%s`" % (database, table_name)
        columns = self.spark_session.table(name).columns
        here = {c.lower(): c for c in frame.columns}
        frame.select(*[here.get(c.lower(), c) for c in columns]).write.insertInto(name)
        return frame

    def write_from_options(self, frame_or_dfc, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx=""):
        """Writes a frame or a collection; see write_dynamic_frame_from_options."""
        return self.write_dynamic_frame_from_options(frame_or_dfc, connection_type, connection_options, format, format_options, transformation_ctx)

    def _write(self, frame: DataFrame, connection_type, options: dict, format, format_options: dict) -> None:
        kind = connection_type.lower()
        if kind in _TABLES or (format or "").lower() in _TABLES:
            options = dict(options)
            path = options.pop("path", None)
            if path is None:
                raise ValueError("the option path is needed")
            frame.write.format(kind if kind in _TABLES else format.lower()).mode("append").options(**{**options, **format_options}).save(path)
            return
        if kind not in ("s3", "file"):
            raise missing("the connection type %r" % connection_type)
        only("the option of s3 sinks", options, _SINK)
        if not options.get("path"):
            raise ValueError("the option path is needed")
        if not format:
            raise ValueError("a format is needed")
        if not frame.columns:
            return  # there was nothing to read
        formats.write(frame, format.lower(), options["path"], list(options.get("partitionKeys") or []),
                      options.get("compression") or options.get("compressionType"), format_options)

    def getSink(self, connection_type, format=None, transformation_ctx="", **options) -> "DataSink":
        """A sink, whose format and frame are given one after the other."""
        return DataSink(self, connection_type, format, options)

    # Streams and files.

    def forEachBatch(self, frame: DataFrame, batch_function, options=None) -> None:
        """Calls ``batch_function(frame, number)`` for every batch of a stream, until it ends. Options: windowSize, checkpointLocation."""
        options = dict(options or {})
        only("the option of forEachBatch", options, {"windowSize", "checkpointLocation", "batchMaxRetries"})
        writer = frame.writeStream.foreachBatch(_retried(batch_function, int(options.get("batchMaxRetries", 3)))).trigger(
            processingTime=options.get("windowSize", "100 seconds"))
        if not options.get("checkpointLocation"):
            raise ValueError("the option checkpointLocation is needed")
        writer.option("checkpointLocation", options["checkpointLocation"]).start().awaitTermination()

    def purge_s3_path(self, s3_path: str, options=None, transformation_ctx="") -> None:
        """Deletes the files below a path that are older than retentionPeriod hours (default 168), but for excluded ones."""
        options = dict(options or {})
        only("the option of purge_s3_path", options, {"retentionPeriod", "excludeStorageClasses"})
        if options.get("excludeStorageClasses"):
            raise missing("excludeStorageClasses")
        limit = (time.time() - 3600 * float(options.get("retentionPeriod", 168))) * 1000
        for f in files.list_files(self.spark_session, [s3_path], True, []):
            if f.modified < limit:
                files.delete(self.spark_session, f.path)

    def __getattr__(self, name):
        if name in _MISSING:
            raise missing("GlueContext." + name)
        raise AttributeError("%r object has no attribute %r" % (type(self).__name__, name))


_MISSING = {
    "add_ingestion_time_columns", "begin_transaction", "start_transaction", "cancel_transaction", "commit_transaction", "create_sample_dynamic_frame_from_catalog",
    "create_sample_dynamic_frame_from_options", "extract_jdbc_conf", "getCatalogSource", "getCatalogSink", "getSampleStreamingDynamicFrame",
    "purge_table", "transition_s3_path", "transition_table", "write_dynamic_frame_from_jdbc_conf", "write_from_jdbc_conf", "get_catalog_schema_as_spark_schema",
}


class DynamicFrameReader:
    """create_dynamic_frame of a GlueContext."""

    def __init__(self, glue_context: GlueContext):
        self._glue_context = glue_context

    def from_rdd(self, data, name, schema=None, sampleRatio=None, transformation_ctx="") -> DynamicFrame:
        """A frame of an RDD or a list."""
        return self._glue_context.create_dynamic_frame_from_rdd(data, name, schema, sampleRatio, transformation_ctx=transformation_ctx)

    def from_options(self, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx="", push_down_predicate="") -> DynamicFrame:
        """A frame of what a connection gives."""
        return self._glue_context.create_dynamic_frame_from_options(
            connection_type, connection_options, format, format_options, transformation_ctx, push_down_predicate)

    def from_catalog(self, database=None, table_name=None, redshift_tmp_dir="", transformation_ctx="", push_down_predicate="",
                     additional_options=None, catalog_id=None, **options) -> DynamicFrame:
        """A frame of a table of the session's catalog."""
        return self._glue_context.create_dynamic_frame_from_catalog(
            database, table_name, redshift_tmp_dir, transformation_ctx, push_down_predicate, additional_options, catalog_id, **options)


class DataFrameReader:
    """create_data_frame of a GlueContext."""

    def __init__(self, glue_context: GlueContext):
        self._glue_context = glue_context

    def from_options(self, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx="") -> DataFrame:
        """A DataFrame of what a connection gives."""
        return self._glue_context.create_data_frame_from_options(connection_type, connection_options, format, format_options, transformation_ctx)

    def from_catalog(self, database, table_name, transformation_ctx="", additional_options=None, **options) -> DataFrame:
        """A DataFrame of a table of the session's catalog."""
        return self._glue_context.create_data_frame_from_catalog(database, table_name, transformation_ctx, additional_options, **options)


class DynamicFrameWriter:
    """write_dynamic_frame of a GlueContext."""

    def __init__(self, glue_context: GlueContext):
        self._glue_context = glue_context

    def from_options(self, frame, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx=""):
        """Writes a frame to a connection."""
        return self._glue_context.write_dynamic_frame_from_options(frame, connection_type, connection_options, format, format_options, transformation_ctx)

    def from_catalog(self, frame, database=None, table_name=None, redshift_tmp_dir="", transformation_ctx="", additional_options=None, catalog_id=None, **options):
        """Adds a frame to a table of the session's catalog."""
        only("the argument", options, {"name_space"})
        return self._glue_context.write_dynamic_frame_from_catalog(
            frame, options.get("name_space") or database, table_name, redshift_tmp_dir, transformation_ctx, additional_options, catalog_id)

    def from_jdbc_conf(self, *args, **options):
        """Not there."""
        raise missing("write_dynamic_frame.from_jdbc_conf")


class DataFrameWriter:
    """write_data_frame of a GlueContext."""

    def __init__(self, glue_context: GlueContext):
        self._glue_context = glue_context

    def from_options(self, frame, connection_type, connection_options=None, format=None, format_options=None, transformation_ctx=""):
        """Writes a DataFrame to a connection."""
        return self._glue_context.write_data_frame_from_options(frame, connection_type, connection_options, format, format_options, transformation_ctx)

    def from_catalog(self, frame, database, table_name, redshift_tmp_dir="", transformation_ctx="", additional_options=None, catalog_id=None):
        """Adds a DataFrame to a table of the session's catalog."""
        return self._glue_context.write_data_frame_from_catalog(frame, database, table_name, redshift_tmp_dir, transformation_ctx, additional_options, catalog_id)


class DataSource:
    """What getSource returns."""

    def __init__(self, glue_context, connection_type, options, context):
        self._glue_context, self._type, self._options, self._context = glue_context, connection_type, options, context
        self._format, self._format_options = None, {}

    def setFormat(self, format, **options) -> "DataSource":
        """The format of the data."""
        self._format, self._format_options = format, options
        return self

    def getFrame(self, **options) -> DynamicFrame:
        """The frame."""
        return self._glue_context.create_dynamic_frame_from_options(
            self._type, {**self._options, **options}, self._format, self._format_options, self._context)


class DataSink:
    """What getSink returns."""

    def __init__(self, glue_context, connection_type, format, options):
        self._glue_context, self._type, self._format, self._options = glue_context, connection_type, format, options
        self._format_options: dict = {}

    def setFormat(self, format, **options) -> "DataSink":
        """The format of the data."""
        self._format, self._format_options = format, options
        return self

    def setCatalogInfo(self, catalogDatabase, catalogTableName, catalogId=""):
        """Not there."""
        raise missing("DataSink.setCatalogInfo")

    def writeFrame(self, dynamic_frame, info=""):
        """Writes a frame; returns it."""
        return self._glue_context.write_dynamic_frame_from_options(dynamic_frame, self._type, self._options, self._format, self._format_options)

    write = writeFrame


def _bounded(found, by: str, limit: int):
    taken, size = [], 0
    for n, f in enumerate(found):
        size += f.size
        if (by == "boundedFiles" and n >= limit) or (by == "boundedSize" and size > limit and taken):
            break
        taken.append(f)
    return taken


def _of_dictionaries(data) -> bool:
    if isinstance(data, list):
        return bool(data) and all(isinstance(r, dict) for r in data)
    first = data.take(1)
    return bool(first) and isinstance(first[0], dict)


def _retried(function, times: int):
    def batch(frame, number):
        for attempt in range(times + 1):
            try:
                return function(frame, number)
            except Exception:
                if attempt == times:
                    raise

    return batch
