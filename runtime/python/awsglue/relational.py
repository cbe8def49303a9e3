"""Nested records made flat: relationalize, unnest and unbox of "DynamicFrame class"."""

import json

from pyspark.sql import functions as F
from pyspark.sql import types as T

from awsglue import records, types
from awsglue.missing import missing, only
from awsglue.rewrite import column, find, quoted, rewrite


def unnested(frame):
    """The fields of structs as columns at the top, called by their paths. Choices and arrays stay."""
    return frame.select(*_flat(frame.schema, (), None))


def _flat(of: T.StructType, path, at):
    made = []
    for f in of.fields:
        col = F.col(quoted(f.name)) if at is None else at.getField(f.name)
        here = path + (f.name,)
        if isinstance(f.dataType, T.StructType) and not types.is_choice(f.dataType):
            made += _flat(f.dataType, here, col)
        else:
            made.append(col.alias(".".join(here)))
    return made


def relationalize(frame, root: str, staging: "str | None") -> dict:
    """Tables by their names: the root, and ROOT_PATH for each array. Tables that ids join are kept, in staging or in memory."""
    tables: dict = {}
    _relate(frame, root, staging, tables)
    return tables


def _relate(frame, name: str, staging, tables: dict) -> None:
    flat = unnested(frame)
    arrays = [f for f in flat.schema.fields if isinstance(f.dataType, T.ArrayType)]
    for f in flat.schema.fields:
        if isinstance(f.dataType, T.MapType):
            raise missing("relationalize of the map %r" % f.name)
    if not arrays:
        tables[name] = flat
        return
    with_ids = flat.select("*", *[F.when(F.size(F.col(quoted(f.name))) >= 0, F.monotonically_increasing_id()).alias("__id " + f.name) for f in arrays])
    # The ids must be the same wherever the frame is used.
    if staging:
        place = staging.rstrip("/") + "/" + name.replace("/", "_")
        _stored_names(with_ids).write.mode("overwrite").parquet(place)
        with_ids = _named_again(frame.sparkSession.read.parquet(place), with_ids)
    else:
        with_ids = with_ids.persist()
    ids = {f.name for f in arrays}
    tables[name] = with_ids.select(*[
        (F.col(quoted("__id " + f.name)) if f.name in ids else F.col(quoted(f.name))).alias(f.name) for f in flat.schema.fields])
    for f in arrays:
        value = f.name + ".val"
        pivoted = with_ids.select(F.col(quoted("__id " + f.name)).alias("id"), F.posexplode(F.col(quoted(f.name))).alias("index", value))
        _relate(pivoted, name + "_" + f.name, staging, tables)


def _stored_names(frame):
    """Columns numbered: files take fewer characters in names than frames."""
    return frame.toDF(*["c%d" % n for n in range(len(frame.columns))])


def _named_again(stored, like):
    return stored.toDF(*like.columns)


def unbox(frame, path: str, format: str, options: dict, thresholds):
    """Parses the text of a field. The schema is that of all texts; a text that cannot be parsed is an error record."""
    if frame._nothing():
        return frame._next(frame._df, thresholds=thresholds)
    at = types.path(path)
    of = find(frame._df.schema, at)
    if of is None:
        raise ValueError("there is no field %r" % path)
    if not isinstance(of, (T.StringType, T.BinaryType)):
        raise ValueError("the field %r is no text" % path)
    spark = frame.glue_ctx.spark_session
    text = column(at).cast("string")
    if format == "json":
        only("the option of unbox", options, set())
        tried = frame._df.select(text.alias("t")).filter("t is not null").rdd.map(lambda r: _parsed(r["t"])).cache()
        bad = tried.filter(lambda t: t[1] is not None).map(lambda t: {"error": t[1], "record": t[0]})
        schema = records.schema_of(tried.filter(lambda t: t[1] is None).map(lambda t: {"v": t[0]}))
        inner = schema.fields[0].dataType if schema.fields else T.StringType()
        if types.has_choice(inner):
            parse = F.udf(lambda t: None if t is None else records.row(_parsed(t)[0] if _parsed(t)[1] is None else None, inner), types.plain(inner))
            parsed = lambda col: parse(col.cast("string")).cast(inner)  # noqa: E731
        else:
            parsed = lambda col: F.from_json(col.cast("string"), inner) if isinstance(inner, (T.StructType, T.ArrayType)) else col.cast("string").cast(inner)  # noqa: E731
        errors = bad
    elif format == "csv":
        only("the option of unbox", options, {"separator", "quoteChar", "escaper"})
        separator = options.get("separator", ",")
        width = frame._df.select(F.max(F.size(F.split(text, "\\Q" + separator + "\\E"))).alias("n")).first()["n"] or 1
        inner = T.StructType([T.StructField("col%d" % n, T.StringType()) for n in range(width)])
        settings = {"sep": separator}
        if "quoteChar" in options:
            settings["quote"] = options["quoteChar"]
        if "escaper" in options:
            settings["escape"] = options["escaper"]
        parsed = lambda col: F.from_csv(col.cast("string"), inner.simpleString()[7:-1].replace(":", " "), settings)  # noqa: E731
        errors = None
    else:
        raise missing("unbox of the format %r" % format)
    return frame._next(rewrite(frame._df, lambda p, col, t: [(p[-1], parsed(col))] if p == at else None), errors=errors, thresholds=thresholds)


def _parsed(text: str):
    """The value of a text, or the text and what is wrong with it."""
    try:
        return json.loads(text), None
    except ValueError as failed:
        return text, "ValueError: %s" % failed
