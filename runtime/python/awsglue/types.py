"""Types: Glue's names for Spark's, choices, and paths into nested records.

A choice, which is a value that has different types in different records, is a struct of which each field is named as a type,
carries a mark, and at most one is set. So data frames hold it, and it survives everything that Spark does.
"""

import re

from pyspark.sql import types as T

_MARK = "awsglue.choice"

_NAMES = {
    "string": T.StringType, "binary": T.BinaryType, "boolean": T.BooleanType, "byte": T.ByteType, "tinyint": T.ByteType,
    "short": T.ShortType, "smallint": T.ShortType, "int": T.IntegerType, "integer": T.IntegerType, "long": T.LongType,
    "bigint": T.LongType, "float": T.FloatType, "double": T.DoubleType, "date": T.DateType, "timestamp": T.TimestampType,
    "null": T.NullType,
}
_SHOWN = {
    T.StringType: "string", T.BinaryType: "binary", T.BooleanType: "boolean", T.ByteType: "byte", T.ShortType: "short",
    T.IntegerType: "int", T.LongType: "long", T.FloatType: "float", T.DoubleType: "double", T.DateType: "date",
    T.TimestampType: "timestamp", T.TimestampNTZType: "timestamp", T.NullType: "null",
}


def spark_type(name: str) -> T.DataType:
    """Spark's type of a name such as "long", "decimal(10,2)", "array<string>" or "struct<a:int>"."""
    text = name.strip()
    known = _NAMES.get(text.lower())
    if known is not None:
        return known()
    if text.lower() == "decimal":
        return T.DecimalType(10, 2)
    # Inside of others Spark knows its own names only.
    spark = re.sub(r"\b(long|short|byte|integer)\b", lambda m: {"long": "bigint", "short": "smallint", "byte": "tinyint", "integer": "int"}[m.group(1)], text)
    return T._parse_datatype_string(spark)


def type_name(of: T.DataType) -> str:
    """Glue's name of a type, as its schemas print it."""
    if is_choice(of):
        return "choice"
    if isinstance(of, T.StructType):
        return "struct"
    if isinstance(of, T.ArrayType):
        return "array"
    if isinstance(of, T.MapType):
        return "map"
    if isinstance(of, T.DecimalType):
        return "decimal"
    return _SHOWN.get(type(of), of.simpleString())


def choice(of: "list[T.DataType]") -> T.StructType:
    """The choice between types, in the order of their names."""
    named = {type_name(t): t for t in of}
    return T.StructType([T.StructField(n, named[n], True, {_MARK: True}) for n in sorted(named)])


def is_choice(of: T.DataType) -> bool:
    """Whether a type is a choice."""
    return isinstance(of, T.StructType) and len(of.fields) > 0 and all((f.metadata or {}).get(_MARK) for f in of.fields)


def plain(of: T.DataType) -> T.DataType:
    """A type without the marks of its choices: these are structs then."""
    if isinstance(of, T.StructType):
        return T.StructType([T.StructField(f.name, plain(f.dataType), True) for f in of.fields])
    if isinstance(of, T.ArrayType):
        return T.ArrayType(plain(of.elementType), True)
    if isinstance(of, T.MapType):
        return T.MapType(plain(of.keyType), plain(of.valueType), True)
    return of


def has_choice(of: T.DataType) -> bool:
    """Whether there is a choice anywhere in a type."""
    if is_choice(of):
        return True
    if isinstance(of, T.StructType):
        return any(has_choice(f.dataType) for f in of.fields)
    if isinstance(of, T.ArrayType):
        return has_choice(of.elementType)
    return isinstance(of, T.MapType) and has_choice(of.valueType)


def path(text: str) -> "tuple[str, ...]":
    """The names of a path such as "a.b", "`with.dot`.c" or "list[].x"; a step into the elements of an array is "[]"."""
    steps: "list[str]" = []
    for quoted, name in re.findall(r"`([^`]*)`|([^.`]+)", text):
        if quoted:
            steps.append(quoted)
            continue
        elements = 0
        while name.endswith("[]"):
            name, elements = name[:-2], elements + 1
        if name:
            steps.append(name)
        steps += ["[]"] * elements
    return tuple(steps)


def schema_text(of: T.StructType) -> str:
    """A schema as DynamicFrame.printSchema prints it."""
    lines = ["root"]
    _lines(of, "", lines)
    return "\n".join(lines) + "\n"


def _lines(of: T.DataType, indent: str, lines: "list[str]") -> None:
    if is_choice(of):
        for f in of.fields:
            lines.append("%s|-- %s" % (indent, type_name(f.dataType)))
            _lines(f.dataType, indent + "|    ", lines)
    elif isinstance(of, T.StructType):
        for f in of.fields:
            lines.append("%s|-- %s: %s" % (indent, f.name, type_name(f.dataType)))
            _lines(f.dataType, indent + "|    ", lines)
    elif isinstance(of, T.ArrayType):
        lines.append("%s|-- element: %s" % (indent, type_name(of.elementType)))
        _lines(of.elementType, indent + "|    ", lines)
    elif isinstance(of, T.MapType):
        lines.append("%s|-- keyType: %s" % (indent, type_name(of.keyType)))
        lines.append("%s|-- valueType: %s" % (indent, type_name(of.valueType)))
        _lines(of.valueType, indent + "|    ", lines)
