"""Choices resolved, as resolveChoice of "DynamicFrame class" has it."""

from pyspark.sql import functions as F
from pyspark.sql import types as T

from awsglue import types
from awsglue.rewrite import find, rewrite


def resolve(frame, specs, choice: str, database=None, table_name=None, thresholds=(0, 0)):
    """The frame with choices resolved by specs, or all of them by one action."""
    if choice == "match_catalog":
        if not database or not table_name:
            raise ValueError("match_catalog needs database and table_name")
        return _match(frame, frame.glue_ctx.spark_session.table("`%s`.`%s`" % (database, table_name)).schema)
    if not specs and not choice:
        raise ValueError("specs or choice is needed")
    if frame._nothing():
        return frame._next(frame._df, thresholds=thresholds)
    by_path = {types.path(p): action for p, action in specs or []}
    for path in by_path:
        if find(frame._df.schema, path) is None:
            raise ValueError("there is no field %r" % ".".join(path))

    def replace(path, col, of):
        action = by_path.get(path, choice)
        if action == "" or not (types.is_choice(of) or path in by_path):
            return None
        return _resolved(path, col, of, action)

    return frame._next(rewrite(frame._df, replace), thresholds=thresholds)


def _resolved(path, col, of, action: str):
    name = path[-1]
    what, _, target = action.partition(":")
    if what == "cast":
        return [(name, cast(col, of, types.spark_type(target)))]
    if not types.is_choice(of):
        return None
    if what == "project":
        wanted = types.type_name(types.spark_type(target))
        for f in of.fields:
            if f.name == wanted:
                return [(name, _out(col, f))]
        return [(name, F.lit(None).cast(types.spark_type(target)))]
    if what == "make_struct":
        return [(name, col.cast(types.plain(of)))]
    if what == "make_cols":
        if name == "[]":
            raise ValueError("the elements of an array cannot become columns: use make_struct, cast or project")
        return [("%s_%s" % (name, f.name), _out(col, f)) for f in of.fields]
    raise ValueError("%r is no action; there are cast:TYPE, make_cols, make_struct, project:TYPE and match_catalog" % action)


def _out(col, field):
    """A field of a choice without its mark, which a column would inherit."""
    return col.getField(field.name).cast(types.plain(field.dataType))


def cast(col, of: T.DataType, to: T.DataType):
    """A column as another type; what cannot be is null. Of a choice whatever is set is cast."""
    if types.is_choice(of):
        return F.coalesce(*[cast(col.getField(f.name), f.dataType, to) for f in of.fields])
    if isinstance(of, (T.StructType, T.ArrayType, T.MapType)) and not isinstance(to, type(of)):
        return F.to_json(col) if isinstance(to, T.StringType) else F.lit(None).cast(to)
    if isinstance(of, T.StringType) and isinstance(to, (T.StructType, T.ArrayType, T.MapType)):
        return F.lit(None).cast(to)
    return col.cast(to)


def _match(frame, schema: T.StructType):
    """Casts each choice to the type that a table has for the field; fields that the table has not are dropped."""
    wanted = {f.name.lower(): f.dataType for f in schema.fields}

    def replace(path, col, of):
        to = wanted.get(path[0].lower())
        if len(path) > 1:
            return None
        if to is None:
            return []
        return [(path[0], cast(col, of, to))] if of != to else None

    return frame._next(rewrite(frame._df, replace))
