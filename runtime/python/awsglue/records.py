"""Records that describe themselves: Python dictionaries, their common schema with its choices, and rows of it."""

import datetime
import decimal
import functools

from pyspark.sql import Row
from pyspark.sql import types as T

from awsglue import types

_INT = range(-(1 << 31), 1 << 31)


def type_of(value) -> T.DataType:
    """The type of one value."""
    if value is None:
        return T.NullType()
    if isinstance(value, bool):
        return T.BooleanType()
    if isinstance(value, int):
        return T.IntegerType() if value in _INT else T.LongType()
    for kind, made in ((float, T.DoubleType), (str, T.StringType), (bytes, T.BinaryType), (bytearray, T.BinaryType),
                       (datetime.datetime, T.TimestampType), (datetime.date, T.DateType)):
        if isinstance(value, kind):
            return made()
    if isinstance(value, decimal.Decimal):
        return T.DecimalType(38, 18)
    if isinstance(value, Row):
        value = value.asDict()
    if isinstance(value, dict):
        return T.StructType([T.StructField(str(k), type_of(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return T.ArrayType(functools.reduce(merge, map(type_of, value), T.NullType()))
    raise TypeError("a record cannot hold a %s" % type(value).__name__)


def merge(a: T.DataType, b: T.DataType) -> T.DataType:
    """The type of values of either type: a choice where they differ in kind."""
    if isinstance(a, T.NullType) or a == b:
        return b
    if isinstance(b, T.NullType):
        return a
    if types.is_choice(a) or types.is_choice(b):
        return _choices(a, b)
    if isinstance(a, T.StructType) and isinstance(b, T.StructType):
        others = {f.name: f.dataType for f in b.fields}
        fields = [T.StructField(f.name, merge(f.dataType, others.pop(f.name, T.NullType()))) for f in a.fields]
        return T.StructType(fields + [T.StructField(n, t) for n, t in others.items()])
    if isinstance(a, T.ArrayType) and isinstance(b, T.ArrayType):
        return T.ArrayType(merge(a.elementType, b.elementType))
    if {type(a), type(b)} == {T.IntegerType, T.LongType}:
        return T.LongType()
    return _choices(a, b)


def _choices(a: T.DataType, b: T.DataType) -> T.DataType:
    named: "dict[str, T.DataType]" = {}
    for side in (a, b):
        for t in [f.dataType for f in side.fields] if types.is_choice(side) else [side]:
            name = types.type_name(t)
            if name == "int" and "long" in named:
                continue
            if name == "long":
                named.pop("int", None)
            named[name] = merge(named[name], t) if name in named else t
    return types.choice(list(named.values())) if len(named) > 1 else next(iter(named.values()))


def schema_of(records) -> T.StructType:
    """The schema of an RDD of dictionaries: one pass over all of them."""
    def local(part):
        seen = T.StructType([])
        for record in part:
            seen = merge(seen, type_of(record))
        return [seen]

    found = records.mapPartitions(local).treeReduce(merge) if records.getNumPartitions() else T.StructType([])
    return found


def row(value, of: T.DataType):
    """A value in the form of a type that schema_of made."""
    if value is None:
        return None
    if types.is_choice(of):
        name = types.type_name(type_of(value))
        for f in of.fields:
            if f.name == name or (name == "int" and f.name == "long"):
                return tuple(row(value, g.dataType) if g is f else None for g in of.fields)
        return None
    if isinstance(of, T.StructType):
        if isinstance(value, Row):
            value = value.asDict()
        return tuple(row(value.get(f.name), f.dataType) for f in of.fields)
    if isinstance(of, T.ArrayType):
        return [row(v, of.elementType) for v in value]
    if isinstance(of, T.MapType):
        return {k: row(v, of.valueType) for k, v in value.items()}
    if isinstance(of, T.DoubleType):
        return float(value)
    return value


def record(value, of: T.DataType):
    """The value of a row as plain Python: dictionaries for structs, and of a choice what is set."""
    if value is None:
        return None
    if types.is_choice(of):
        for f in of.fields:
            if value[f.name] is not None:
                return record(value[f.name], f.dataType)
        return None
    if isinstance(of, T.StructType):
        return {f.name: record(value[n], f.dataType) for n, f in enumerate(of.fields)}
    if isinstance(of, T.ArrayType):
        return [record(v, of.elementType) for v in value]
    if isinstance(of, T.MapType):
        return {k: record(v, of.valueType) for k, v in value.items()}
    return value


def frame_of(records, spark, schema: "T.StructType | None" = None):
    """A data frame of an RDD of dictionaries."""
    if schema is None:
        records = records.cache()  # it is gone through twice
        schema = schema_of(records)
    return spark.createDataFrame(records.map(lambda r: row(r, schema)), schema, verifySchema=False)


def records_of(frame):
    """An RDD of dictionaries of a data frame."""
    schema = frame.schema
    return frame.rdd.map(lambda r: record(r, schema))
