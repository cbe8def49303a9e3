"""Formats of data in S3, as "Data format options for inputs and outputs" of the Glue developer guide has them."""

import json
import re

from awsglue import records, types
from awsglue.missing import missing, only

_CSV_READ = {"separator", "escaper", "quoteChar", "multiLine", "multiline", "withHeader", "skipFirst", "optimizePerformance"}
_CSV_WRITE = {"separator", "escaper", "quoteChar", "writeHeader", "withHeader"}
_JSON_READ = {"jsonPath", "multiLine", "multiline", "optimizePerformance"}
_PARQUET_WRITE = {"useGlueParquetWriter", "compression", "blockSize", "pageSize"}

READ = ("csv", "json", "parquet", "orc", "avro")
WRITE = READ


def read(spark, format: str, paths: "list[str]", base: "str | None", options: dict):
    """A data frame of files in a format."""
    if format not in READ:
        raise missing("reading the format %r" % format)
    if format == "csv":
        return _csv(spark, paths, base, options)
    if format == "json":
        return _json(spark, paths, base, options)
    only("the option of format " + format, options, {"version"} if format == "avro" else set())
    return _based(spark.read.format(format), base).load(paths)


def _based(reader, base):
    return reader.option("basePath", base) if base else reader


def _csv(spark, paths, base, options):
    only("the option of format csv", options, _CSV_READ)
    reader = spark.read.option("sep", options.get("separator", ",")).option("header", _true(options.get("withHeader")))
    quote = options.get("quoteChar", '"')
    reader = reader.option("quote", "" if str(quote) == "-1" else quote)
    reader = reader.option("escape", options.get("escaper") or ('"' if str(quote) != "-1" else "\\"))
    if _true(options.get("multiLine", options.get("multiline"))):
        reader = reader.option("multiLine", True)
    if _true(options.get("skipFirst")):
        if _true(options.get("withHeader")):
            raise missing("skipFirst together with withHeader")
        found = _based(reader.option("header", True), base).csv(paths)  # the first line of each file names nothing here
        return found.toDF(*["col%d" % n for n in range(len(found.columns))])
    found = _based(reader, base).csv(paths)
    if _true(options.get("withHeader")):
        return found
    return found.toDF(*[re.sub(r"^_c(\d+)$", r"col\1", c) for c in found.columns])


def _json(spark, paths, base, options):
    """Each record keeps its own types: a field that has several becomes a choice."""
    only("the option of format json", options, _JSON_READ)
    multi = _true(options.get("multiLine", options.get("multiline")))
    steps = _json_path(options.get("jsonPath"))
    if not multi and not steps:
        lines = spark.read.text(paths).rdd.map(lambda r: r[0]).filter(lambda t: t.strip())
        schema = records.schema_of(lines.map(json.loads).flatMap(_objects))
        if not types.has_choice(schema) and not _has_null(schema):
            # Spark reads that by itself, several times as fast; the values are the same.
            return _based(spark.read.schema(schema), base).json(paths) if schema.fields else spark.createDataFrame([], schema)
        return records.frame_of(lines.map(json.loads).flatMap(_objects), spark, schema)
    texts = spark.sparkContext.wholeTextFiles(",".join(paths)).values()
    found = texts.flatMap(_documents).flatMap(lambda d: _at(d, steps)).flatMap(_objects)
    return records.frame_of(found, spark)


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
