"""Records that describe themselves: Python dictionaries, their common schema with its choices, and rows of it."""

import datetime
import decimal
import functools

from pyspark import StorageLevel
from pyspark.sql import Row
from pyspark.sql import types as T

from awsglue import types

_INT = range(-(1 << 31), 1 << 31)
_LONG = range(-(1 << 63), 1 << 63)


def type_of(value, hint: "T.DataType | None" = None) -> T.DataType:
    """The type of one value: that of ``hint``, which its field had before, as far as the value fits it."""
    if hint is not None and not types.is_choice(hint):
        if value is None:
            return hint
        if _fits(value, hint):
            return hint
    else:
        hint = None
    if value is None:
        return T.NullType()
    if isinstance(value, bool):
        return T.BooleanType()
    if isinstance(value, int):
        if value in _INT:
            return T.IntegerType()
        return T.LongType() if value in _LONG else T.DecimalType(38, 0)
    for kind, made in ((float, T.DoubleType), (str, T.StringType), (bytes, T.BinaryType), (bytearray, T.BinaryType),
                       (datetime.datetime, T.TimestampType), (datetime.date, T.DateType), (datetime.timedelta, T.DayTimeIntervalType)):
        if isinstance(value, kind):
            return made()
    if isinstance(value, decimal.Decimal):
        _, digits, exponent = value.as_tuple()
        scale = min(38, max(0, -exponent))
        return T.DecimalType(min(38, max(len(digits) + max(0, exponent), scale, 1)), scale)
    if isinstance(value, Row):
        value = value.asDict()
    if isinstance(value, dict):
        before = {f.name: f.dataType for f in hint.fields} if isinstance(hint, T.StructType) else {}
        if isinstance(hint, T.MapType):
            return T.MapType(hint.keyType, functools.reduce(merge, (type_of(v, hint.valueType) for v in value.values()), hint.valueType))
        return T.StructType([T.StructField(str(k), type_of(v, before.get(str(k)))) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        inner = hint.elementType if isinstance(hint, T.ArrayType) else None
        return T.ArrayType(functools.reduce(merge, (type_of(v, inner) for v in value), T.NullType() if inner is None else type_of(None, inner)))
    raise TypeError("a record cannot hold a %s" % type(value).__name__)


def _fits(value, of: T.DataType) -> bool:
    """Whether a plain value can be of a type that is neither struct, array nor map."""
    if isinstance(value, bool) or isinstance(of, T.BooleanType):
        return isinstance(value, bool) and isinstance(of, T.BooleanType)
    for kind, bits in ((T.ByteType, 7), (T.ShortType, 15), (T.IntegerType, 31), (T.LongType, 63)):
        if isinstance(of, kind):
            return isinstance(value, int) and -(1 << bits) <= value < 1 << bits
    if isinstance(of, T.DecimalType):
        if not isinstance(value, decimal.Decimal) or not value.is_finite():
            return False
        own = type_of(value)
        return own.scale <= of.scale and own.precision - own.scale <= of.precision - of.scale
    for kind, of_kind in ((float, (T.DoubleType, T.FloatType)), (str, (T.StringType,)), ((bytes, bytearray), (T.BinaryType,)),
                          (datetime.datetime, (T.TimestampType, T.TimestampNTZType)), (datetime.timedelta, (T.DayTimeIntervalType,))):
        if isinstance(value, kind):
            return isinstance(of, of_kind)
    return isinstance(value, datetime.date) and isinstance(of, T.DateType)


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
    if isinstance(a, T.MapType) and isinstance(b, T.MapType) and a.keyType == b.keyType:
        return T.MapType(a.keyType, merge(a.valueType, b.valueType))
    whole = [T.ByteType, T.ShortType, T.IntegerType, T.LongType]
    if type(a) in whole and type(b) in whole:
        return whole[max(whole.index(type(a)), whole.index(type(b)))]()
    if isinstance(a, T.DecimalType) and isinstance(b, T.DecimalType):
        scale = max(a.scale, b.scale)
        return T.DecimalType(min(38, max(a.precision - a.scale, b.precision - b.scale) + scale), scale)
    for one, other in ((a, b), (b, a)):
        if isinstance(one, T.DecimalType) and type(other) in whole:
            return merge(one, T.DecimalType(19, 0))
        if isinstance(one, T.FloatType) and isinstance(other, T.DoubleType):
            return other
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


def schema_of(records, hint: "T.StructType | None" = None) -> T.StructType:
    """The schema of an RDD of dictionaries: one pass over all of them. Fields that ``hint`` has keep their types where values fit them."""
    def local(part):
        seen = T.StructType([])
        for record in part:
            seen = merge(seen, type_of(record, hint))
        return [seen]

    found = records.mapPartitions(local).treeReduce(merge) if records.getNumPartitions() else T.StructType([])
    return found


def row(value, of: T.DataType):
    """A value in the form of a type that schema_of made."""
    if value is None:
        return None
    if types.is_choice(of):
        name = types.type_name(type_of(value))
        wider = {"int": ("int", "long", "decimal"), "long": ("long", "decimal"), "struct": ("struct", "map")}.get(name, (name,))
        for n in wider:
            for f in of.fields:
                if f.name == n:
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
    if isinstance(of, (T.DoubleType, T.FloatType)):
        return float(value)
    if isinstance(of, T.DecimalType) and isinstance(value, int):
        return decimal.Decimal(value)
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


def frame_of(records, spark, schema: "T.StructType | None" = None, hint: "T.StructType | None" = None):
    """A data frame of an RDD of dictionaries. ``hint`` is the schema that they had before they were worked on."""
    if schema is None:
        records = records.persist(StorageLevel.MEMORY_AND_DISK)  # it is gone through twice
        schema = schema_of(records, hint)
    return spark.createDataFrame(records.map(lambda r: row(r, schema)), schema, verifySchema=False)


def records_of(frame):
    """An RDD of dictionaries of a data frame."""
    schema = frame.schema
    return frame.rdd.map(lambda r: record(r, schema))
