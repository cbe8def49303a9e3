"""Data frames with parts of their nested columns replaced."""

from pyspark.sql import functions as F
from pyspark.sql import types as T

from awsglue import types


def rewrite(frame, replace):
    """Projects a data frame. ``replace(path, column, type)`` says for every field, outermost first, what stands in its place.

    None: the field stays, and the fields inside of it are asked for. Otherwise a list of (name, column) pairs; an empty one
    drops the field. The steps of a path are names, and "[]" for the elements of an array.
    """
    fields = []
    for f in frame.schema.fields:
        fields += _field((f.name,), F.col(quoted(f.name)), f, replace)[0]
    return frame.select(*[c.alias(n, metadata=_metadata(frame.schema, n)) if _metadata(frame.schema, n) else c.alias(n) for n, c in fields])


def _metadata(schema, name):
    for f in schema.fields:
        if f.name == name:
            return f.metadata
    return None


def quoted(name: str) -> str:
    """A column's name as Spark reads it, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def _field(path, column, field, replace):
    """The replacement of a field, and whether it is one."""
    new = replace(path, column, field.dataType)
    if new is not None:
        return new, True
    inside, changed = _inside(path, column, field.dataType, replace)
    return [(path[-1], inside)], changed


def _inside(path, column, of, replace):
    """A column with the fields inside of it replaced, and whether any was."""
    if types.is_choice(of):
        return column, False
    if isinstance(of, T.StructType):
        fields, changed = [], False
        for f in of.fields:
            new, other = _field(path + (f.name,), column.getField(f.name), f, replace)
            fields += new
            changed = changed or other
        if not changed:
            return column, False
        if not fields:
            return F.lit(None).cast("void"), True
        return F.when(column.isNotNull(), F.struct(*[c.alias(n) for n, c in fields])), True
    if isinstance(of, T.ArrayType):
        return _elements(path + ("[]",), column, of, replace)
    return column, False


def _elements(path, column, of, replace):
    # What is to be done with one element is tried on a column first, because a
    # function of a higher order is built whether or not it changes anything.
    new = replace(path, F.lit(None), of.elementType)
    if new is not None:
        return F.transform(column, lambda e: replace(path, e, of.elementType)[0][1]), True
    if not _inside(path, F.lit(None).cast(types.plain(of.elementType)), of.elementType, replace)[1]:
        return column, False
    return F.transform(column, lambda e: _inside(path, e, of.elementType, replace)[0]), True


def conform(frame, schema: T.StructType):
    """A data frame whose columns have the types of a schema that records.merge made of its own and others."""
    here = {f.name: f.dataType for f in frame.schema.fields}
    return frame.select(*[
        (_conformed(F.col(quoted(f.name)), here[f.name], f.dataType) if f.name in here else _null(f.dataType)).alias(f.name) for f in schema.fields])


def _null(of):
    # A cast would lose the marks of choices inside.
    return _marked(F.lit(None), of) if types.is_choice(of) else F.lit(None).cast(types.plain(of))


def _marked(value, of):
    """A choice of which the field of a type is a value; of a null all fields are null."""
    return F.when(F.lit(False), F.struct(*[F.lit(None).cast(types.plain(f.dataType)).alias(f.name, metadata=f.metadata) for f in of.fields]))


def _conformed(column, of, to):
    if of == to:
        return column
    if types.is_choice(to):
        parts = {f.name: (column.getField(f.name), f.dataType) for f in of.fields} if types.is_choice(of) else {types.type_name(of): (column, of)}
        if "int" in parts and "int" not in to.fieldNames():
            parts["long"] = parts.pop("int")
        made = F.struct(*[
            (_conformed(*parts[f.name], f.dataType) if f.name in parts else F.lit(None).cast(types.plain(f.dataType))).alias(f.name, metadata=f.metadata)
            for f in to.fields])
        return F.when(column.isNotNull(), made)
    if isinstance(to, T.StructType) and isinstance(of, T.StructType):
        here = {f.name: f.dataType for f in of.fields}
        made = F.struct(*[
            (_conformed(column.getField(f.name), here[f.name], f.dataType) if f.name in here else _null(f.dataType)).alias(f.name) for f in to.fields])
        return F.when(column.isNotNull(), made)
    if isinstance(to, T.ArrayType) and isinstance(of, T.ArrayType):
        return F.transform(column, lambda e: _conformed(e, of.elementType, to.elementType))
    return column.cast(types.plain(to))


def find(schema: T.StructType, path: "tuple[str, ...]") -> "T.DataType | None":
    """The type of what is at a path; None: nothing is there."""
    at: T.DataType = schema
    for step in path:
        if step == "[]":
            if not isinstance(at, T.ArrayType):
                return None
            at = at.elementType
            continue
        if not isinstance(at, T.StructType) or types.is_choice(at):
            return None
        for f in at.fields:
            if f.name == step:
                at = f.dataType
                break
        else:
            return None
    return at


def column(path: "tuple[str, ...]"):
    """The column at a path of names."""
    if "[]" in path:
        raise ValueError("a field inside of an array cannot be taken out of it: %s" % ".".join(path))
    at = F.col(quoted(path[0]))
    for step in path[1:]:
        at = at.getField(step)
    return at
