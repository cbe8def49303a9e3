"""Formats of data in S3, as "Data format options for inputs and outputs" of the Glue developer guide has them."""

import json
import re

from pyspark import StorageLevel
from pyspark.sql import types as T

from awsglue import records, types
from awsglue.missing import missing, only

_CSV_READ = {"separator", "escaper", "quoteChar", "multiLine", "multiline", "withHeader", "skipFirst", "optimizePerformance"}
_CSV_WRITE = {"separator", "escaper", "quoteChar", "writeHeader", "withHeader"}
_JSON_READ = {"jsonPath", "multiLine", "multiline", "optimizePerformance"}
_PARQUET_WRITE = {"useGlueParquetWriter", "compression", "blockSize", "pageSize"}

READ = ("csv", "json", "parquet", "orc", "avro")
WRITE = READ


def read(spark, format: str, paths: "list[str]", base: "str | None", options: dict):
    """How a data frame of files in a format is made, and the RDD of records that had errors, or None."""
    if format not in READ:
        raise missing("reading the format %r" % format)
    if format == "csv":
        only("the option of format csv", options, _CSV_READ)
        if _true(options.get("skipFirst")) and _true(options.get("withHeader")):
            raise missing("skipFirst together with withHeader")
        return lambda: _csv(spark, paths, base, options), None
    if format == "json":
        return _json(spark, paths, base, options)
    only("the option of format " + format, options, {"version"} if format == "avro" else set())
    # Files may have different fields.
    return lambda: _based(spark.read, base).option("mergeSchema", format != "avro").format(format).load(paths), None


def _based(reader, base):
    reader = reader.option("__globPaths__", False)  # the paths are names
    return reader.option("basePath", base) if base else reader


def _csv(spark, paths, base, options):
    reader = _based(spark.read, base).option("sep", options.get("separator", ",")).option("header", _true(options.get("withHeader")))
    reader = reader.option("enforceSchema", False)  # files whose headers differ are no table
    quote = options.get("quoteChar", '"')
    reader = reader.option("quote", "" if str(quote) == "-1" else quote)
    reader = reader.option("escape", options.get("escaper") or ('"' if str(quote) != "-1" else "\\"))
    if _true(options.get("multiLine", options.get("multiline"))):
        reader = reader.option("multiLine", True)
    if _true(options.get("skipFirst")):
        found = reader.option("header", True).option("enforceSchema", True).csv(paths)  # the first line of each file names nothing here
        return found.toDF(*["col%d" % n for n in range(len(found.columns))])
    found = reader.csv(paths)
    if _true(options.get("withHeader")):
        return found
    return found.toDF(*[re.sub(r"^_c(\d+)$", r"col\1", c) for c in found.columns])


def _json(spark, paths, base, options):
    """Each record keeps its own types: a field that has several becomes a choice. What is no JSON is an error."""
    only("the option of format json", options, _JSON_READ)
    steps = _json_path(options.get("jsonPath"))
    whole = _true(options.get("multiLine", options.get("multiline"))) or bool(steps)
    texts = _based(spark.read, base).text(paths, wholetext=whole)
    parts = texts.columns[1:]  # what the directories say
    tried = texts.rdd.flatMap(lambda r: _tried(r[0], steps, dict(zip(parts, r[1:])))).persist(StorageLevel.MEMORY_AND_DISK)
    good, bad = tried.filter(lambda t: t[1] is None).keys(), tried.filter(lambda t: t[1] is not None).map(lambda t: {"error": t[1], "record": t[0]})

    def make():
        schema = records.schema_of(good)
        if not whole and not types.has_choice(schema) and not _has_null(schema) and schema.fields and bad.isEmpty():
            # Spark reads that by itself, several times as fast; the values are the same.
            inside = T.StructType([f for f in schema.fields if f.name not in parts])
            return _based(spark.read, base).schema(inside).json(paths) if not parts else _based(spark.read, base).schema(schema).json(paths)
        return records.frame_of(good, spark, schema)

    return make, bad


def _tried(text: str, steps: "list[str]", parts: dict) -> list:
    """The records of a text, each with None, or the text and what is wrong with it."""
    if not text.strip():
        return []
    try:
        return [({**r, **parts}, None) for d in _documents(text) for v in _at(d, steps) for r in _objects(v)]
    except ValueError as failed:
        return [(text, "ValueError: %s" % failed)]


def _has_null(of) -> bool:
    return "void" in of.simpleString()


def _documents(text: str) -> list:
    """The JSON values that follow each other in a text."""
    decoder, at, found = json.JSONDecoder(), 0, []
    while True:
        while at < len(text) and text[at].isspace():
            at += 1
        if at >= len(text):
            return found
        value, at = decoder.raw_decode(text, at)
        found.append(value)


def _objects(value) -> list:
    """The records of a value: itself, or those of the list that it is."""
    if isinstance(value, list):
        return [r for v in value for r in _objects(v)]
    return [value if isinstance(value, dict) else {"value": value}]


def _json_path(text: "str | None") -> "list[str]":
    if not text or text == "$":
        return []
    if not re.fullmatch(r"\$(\.[\w-]+|\[\*\]|\['[^']+'\])*", text):
        raise missing("the jsonPath %r" % text)
    return [a or b or "*" for a, b, _ in re.findall(r"\.([\w-]+)|\['([^']+)'\]|(\[\*\])", text)]


def _at(value, steps: "list[str]") -> list:
    if not steps:
        return [value]
    if steps[0] == "*":
        return [r for v in (value if isinstance(value, list) else []) for r in _at(v, steps[1:])]
    return _at(value[steps[0]], steps[1:]) if isinstance(value, dict) and steps[0] in value else []


def write(frame, format: str, path: str, partitions: "list[str]", compression: "str | None", options: dict) -> None:
    """Adds a data frame to what is at a path."""
    if format in ("glueparquet",):
        format = "parquet"
    if format not in WRITE:
        raise missing("writing the format %r" % format)
    writer = frame.write.mode("append")
    if partitions:
        writer = writer.partitionBy(*partitions)
    if format == "csv":
        only("the option of format csv", options, _CSV_WRITE)
        writer = writer.option("header", _true(options.get("writeHeader", options.get("withHeader", True)))).option("sep", options.get("separator", ","))
        quote = str(options.get("quoteChar", '"'))
        writer = writer.option("quote", "\u0000" if quote == "-1" else quote)
        writer = writer.option("escape", options.get("escaper") or '"').option("emptyValue", "")
        writer = writer.option("ignoreLeadingWhiteSpace", False).option("ignoreTrailingWhiteSpace", False)
    elif format == "parquet":
        only("the option of format parquet", options, _PARQUET_WRITE)
        compression = options.get("compression", compression)
        for name, at in (("blockSize", "parquet.block.size"), ("pageSize", "parquet.page.size")):
            if name in options:
                writer = writer.option(at, str(options[name]))
    elif format == "avro":
        only("the option of format avro", options, {"version"})
    else:
        only("the option of format " + format, options, set())
    if compression:
        writer = writer.option("compression", {"uncompressed": "none"}.get(compression, compression))
    writer.format(format).save(path)


def _true(value) -> bool:
    return str(value).lower() == "true"
