"""DynamicFrame, as "DynamicFrame class" of the Glue developer guide has it."""

import json

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql import types as T

from awsglue import choices, records, relational, types
from awsglue.missing import missing, only
from awsglue.rewrite import column, conform, find, quoted, rewrite


class DynamicFrame:
    """Records with types of their own, over a data frame whose choices are structs (see awsglue.types).

    ``frame`` is a DataFrame, or a function that makes it when it is first needed. Frames never change; each method returns another.
    """

    def __init__(self, frame, glue_ctx, name: str = "", errors=None):
        self._frame = frame if isinstance(frame, DataFrame) else None
        self._make = None if isinstance(frame, DataFrame) else frame
        self.glue_ctx = glue_ctx
        self.name = name
        self._errors = errors  # an RDD of dictionaries, of this stage and all before; None: there are none
        self._stage_errors = errors  # of this stage alone
        self._checks: tuple = ()  # (errors, how many there may be), of this stage and all before
        self._records = None  # an RDD of dictionaries that the frame will be made of; None: it is there already
        self._hint = None  # the schema that they had before

    @classmethod
    def fromDF(cls, dataframe: DataFrame, glue_ctx, name: str) -> "DynamicFrame":
        """A DynamicFrame of a DataFrame."""
        return cls(dataframe, glue_ctx, name)

    @property
    def _df(self) -> DataFrame:
        if self._frame is None:
            self._frame = self._make()
        return self._frame

    def _next(self, frame, name: str = "", errors=None, thresholds: "tuple[int, int]" = (0, 0)) -> "DynamicFrame":
        """A frame made of this one, which has its errors too. ``thresholds`` are of the errors of this stage, and of all."""
        both = errors if self._errors is None else self._errors if errors is None else self._errors.union(errors)
        made = DynamicFrame(frame, self.glue_ctx, name or self.name, both)
        made._stage_errors = errors
        made._checks = self._checks
        for what, most in ((errors, thresholds[0]), (both, thresholds[1])):
            if what is not None and most > 0:
                made._checks += ((what, most),)
        return made

    def _nothing(self) -> bool:
        """Whether nothing is known of the records: there was nothing to read."""
        return not self._df.columns

    # What a frame is.

    def toDF(self, options=None) -> DataFrame:
        """The records as a DataFrame. A choice becomes a struct unless ``options``, a list of ResolveOption, resolves it."""
        frame = self
        if options:
            frame = choices.resolve(self, [(o.path, o.action + (":" + o.target if o.target else "")) for o in options], "")
        frame.assertErrorThreshold()
        return _unmarked(frame._df)

    def schema(self) -> T.StructType:
        """The schema, in Spark's types; choices are marked."""
        return self._df.schema

    def printSchema(self) -> None:
        """Prints the schema."""
        print(types.schema_text(self._df.schema))

    def count(self) -> int:
        """The number of records."""
        self.assertErrorThreshold()
        return self._df.count()

    def show(self, num_rows: int = 20) -> None:
        """Prints records, each as a line of JSON."""
        self.assertErrorThreshold()
        schema = self._df.schema
        for r in self._df.take(num_rows):
            print(json.dumps(_without_nulls(records.record(r, schema)), default=str))

    def getNumPartitions(self) -> int:
        """The number of partitions."""
        return self._df.rdd.getNumPartitions()

    def repartition(self, num_partitions: int, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records in so many partitions."""
        return self._next(self._df.repartition(num_partitions), thresholds=(stageThreshold, totalThreshold))

    def coalesce(self, num_partitions: int, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records in at most so many partitions."""
        return self._next(self._df.coalesce(num_partitions), thresholds=(stageThreshold, totalThreshold))

    # Errors.

    def errorsCount(self) -> int:
        """How many records had errors, here and before."""
        return 0 if self._errors is None else self._errors.count()

    def stageErrorsCount(self) -> int:
        """How many records had errors here."""
        return 0 if self._stage_errors is None else self._stage_errors.count()

    def errorsAsDynamicFrame(self) -> "DynamicFrame":
        """The records that had errors, each with what was wrong."""
        spark = self.glue_ctx.spark_session
        if self._errors is None:
            return DynamicFrame(spark.createDataFrame([], "error string"), self.glue_ctx, self.name)
        errors = self._errors
        return DynamicFrame(lambda: records.frame_of(errors, spark), self.glue_ctx, self.name)

    def assertErrorThreshold(self) -> None:
        """Raises when more records had errors than the thresholds allow; zero allows any number."""
        for errors, most in self._checks:
            if errors.count() > most:
                raise Exception("error threshold reached: more than %d records had errors, the first of them: %s" % (most, errors.first()["error"]))

    # Fields.

    def apply_mapping(self, mappings, case_sensitive=False, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """Takes the fields of ``mappings``, each (source path, source type, target path, target type); other fields are dropped."""
        schema = self._df.schema
        tree: dict = {}
        for m in mappings:
            if len(m) == 2:
                m = (m[0], None, m[1], None)
            source, _, target, to = m
            at = _spelled(schema, types.path(source), case_sensitive)
            if at is None:
                continue  # a record without the field
            of = find(schema, at)
            value = column(at)
            if to is not None and to != types.type_name(of):
                value = choices.cast(value, of, types.spark_type(to))
            into = tree
            steps = types.path(target)
            for step in steps[:-1]:
                into = into.setdefault(step, {})
                if not isinstance(into, dict):
                    raise ValueError("the target %r lies within another target" % target)
            into[steps[-1]] = value
        return self._next(self._df.select(*_columns(tree)), thresholds=(stageThreshold, totalThreshold))

    def select_fields(self, paths, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """Takes the fields at the paths."""
        tree: dict = {}
        for text in [paths] if isinstance(paths, str) else paths:
            steps = types.path(text)
            if find(self._df.schema, steps) is None:
                continue
            into = tree
            for step in steps[:-1]:
                into = into.setdefault(step, {})
                if not isinstance(into, dict):
                    break  # the whole of it was asked for already
            else:
                into[steps[-1]] = column(steps)
        return self._next(self._df.select(*_columns(tree)), thresholds=(stageThreshold, totalThreshold))

    def drop_fields(self, paths, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """Leaves out the fields at the paths."""
        gone = {types.path(p) for p in ([paths] if isinstance(paths, str) else paths)}
        frame = rewrite(self._df, lambda path, col, of: [] if path in gone else None)
        return self._next(frame, thresholds=(stageThreshold, totalThreshold))

    def rename_field(self, oldName, newName, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0, **options) -> "DynamicFrame":
        """Gives a field another name. The new name may be a path, which moves the field."""
        only("the argument", options, set())
        old, new = types.path(oldName), types.path(newName)
        if old[:-1] == new[:-1]:
            frame = rewrite(self._df, lambda path, col, of: [(new[-1], col)] if path == old else None)
            return self._next(frame, thresholds=(stageThreshold, totalThreshold))
        moved = self._df
        if find(moved.schema, old) is not None:
            into = find(moved.schema, new[:1])
            if isinstance(into, T.StructType) and len(new) > 1 and find(moved.schema, new[:-1]) is not None:
                inner = ".".join(quoted(n) for n in new[1:])
                moved = moved.withColumn(new[0], F.col(quoted(new[0])).withField(inner, column(old)))
            else:
                moved = moved.select("*", *_columns(_nested(new, column(old))))
        frame = rewrite(moved, lambda path, col, of: [] if path == old else None)
        return self._next(frame, thresholds=(stageThreshold, totalThreshold))

    def dropNulls(self, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """Leaves out the fields of type null."""
        frame = rewrite(self._df, lambda path, col, of: [] if isinstance(of, T.NullType) and path[-1] != "[]" else None)
        return self._next(frame, thresholds=(stageThreshold, totalThreshold))

    drop_nulls = dropNulls

    def split_fields(self, paths, name1, name2, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrameCollection":
        """Two frames: with the fields at the paths, and with the others."""
        options = {"stageThreshold": stageThreshold, "totalThreshold": totalThreshold}
        return DynamicFrameCollection({name1: self.select_fields(paths, **options), name2: self.drop_fields(paths, **options)}, self.glue_ctx)

    def split_rows(self, comparison_dict, name1, name2, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrameCollection":
        """Two frames: the records for which all comparisons hold, and the others. A comparison is {path: {">": value, …}}."""
        compare = {">": "__gt__", "<": "__lt__", ">=": "__ge__", "<=": "__le__", "=": "__eq__", "==": "__eq__", "!=": "__ne__"}
        holds = F.lit(True)
        for text, tests in comparison_dict.items():
            at = types.path(text)
            if self._nothing():
                break
            if find(self._df.schema, at) is None:
                raise ValueError("there is no field %r" % text)
            for sign, value in tests.items():
                if sign not in compare:
                    raise ValueError("%r is no comparison; there are %s" % (sign, ", ".join(compare)))
                holds = holds & getattr(column(at), compare[sign])(F.lit(value))
        holds = F.coalesce(holds, F.lit(False))
        limits = (stageThreshold, totalThreshold)
        return DynamicFrameCollection({
            name1: self._next(self._df.filter(holds), name1, thresholds=limits),
            name2: self._next(self._df.filter(~holds), name2, thresholds=limits),
        }, self.glue_ctx)

    # Choices and nesting.

    def resolveChoice(self, specs=None, choice="", database=None, table_name=None, transformation_ctx="", info="",
                      stageThreshold=0, totalThreshold=0, catalog_id=None) -> "DynamicFrame":
        """Resolves choices: ``specs`` are pairs of path and action, ``choice`` is an action for all.

        Actions: cast:TYPE, make_cols, make_struct, project:TYPE, and for all match_catalog, with database and table_name.
        """
        if specs and choice:
            raise ValueError("specs and choice cannot both be given")
        if catalog_id is not None:
            raise missing("resolveChoice with catalog_id")
        return choices.resolve(self, specs, choice, database, table_name, (stageThreshold, totalThreshold))

    def unbox(self, path, format, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0, **options) -> "DynamicFrame":
        """Parses the text of a field, in the format "json" or "csv", into fields."""
        return relational.unbox(self, path, format, options, (stageThreshold, totalThreshold))

    def unnest(self, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """Takes the fields of structs out of them, to the top; their names become paths."""
        return self._next(relational.unnested(self._df), thresholds=(stageThreshold, totalThreshold))

    def relationalize(self, root_table_name, staging_path=None, options=None, transformation_ctx="", info="",
                      stageThreshold=0, totalThreshold=0) -> "DynamicFrameCollection":
        """Flat tables: the root, and one for every array, joined by the id that stands in the array's place."""
        only("the option of relationalize", options or {}, set())
        tables = relational.relationalize(self._df, root_table_name, staging_path)
        limits = (stageThreshold, totalThreshold)
        return DynamicFrameCollection({n: self._next(t, n, thresholds=limits) for n, t in tables.items()}, self.glue_ctx)

    # Records.

    def map(self, f, preservesPartitioning=False, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records that ``f`` makes of the records, which it gets as dictionaries. Those for which it raises are errors."""
        return self._each(lambda r: [f(r)], (stageThreshold, totalThreshold), preservesPartitioning)

    def filter(self, f, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records for which ``f`` is true; it gets them as dictionaries. Those for which it raises are errors."""
        kept = self._each(lambda r: [r] if f(r) else [], (stageThreshold, totalThreshold), True)
        good = kept._records
        kept._make = lambda: records.frame_of(good, self.glue_ctx.spark_session, self._df.schema)
        return kept

    def flatMap(self, f, preservesPartitioning=False, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """All the records of the lists that ``f`` makes of the records."""
        return self._each(f, (stageThreshold, totalThreshold), preservesPartitioning)

    def mapPartitions(self, f, preservesPartitioning=True, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records that ``f`` makes of the records of each partition."""
        source, hint = self._source()
        made = source.mapPartitions(f, preservesPartitioning)
        return self._next(lambda: records.frame_of(made, self.glue_ctx.spark_session, hint=hint), thresholds=(stageThreshold, totalThreshold))

    def _source(self):
        """The records as an RDD of dictionaries, and the schema that they have or had."""
        if self._frame is None and self._records is not None:
            return self._records, self._hint
        return records.records_of(self._df), self._df.schema

    def _each(self, f, thresholds, preserves) -> "DynamicFrame":
        source, hint = self._source()
        tried = source.flatMap(_trying(f), preserves).persist(StorageLevel.MEMORY_AND_DISK)
        good = tried.filter(lambda t: t[0]).values()
        bad = tried.filter(lambda t: not t[0]).values()
        made = self._next(lambda: records.frame_of(good, self.glue_ctx.spark_session, hint=hint), errors=bad, thresholds=thresholds)
        made._records, made._hint = good, hint
        return made

    # Several frames.

    def join(self, paths1, paths2, frame2: "DynamicFrame", transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The pairs of records whose fields at the paths are equal. Fields of frame2 whose names this frame has too get a dot before them."""
        paths1, paths2 = [[p] if isinstance(p, str) else list(p) for p in (paths1, paths2)]
        if len(paths1) != len(paths2):
            raise ValueError("as many paths are needed on both sides of a join")
        if self._nothing() or frame2._nothing():
            return self._next(self._df.limit(0), errors=frame2._errors, thresholds=(stageThreshold, totalThreshold))
        left, right = self._df, frame2._df
        keys = ["__left_%d" % n for n in range(len(paths1))]
        left = left.select("*", *[column(types.path(p)).alias(k) for p, k in zip(paths1, keys)])
        others = ["__right_%d" % n for n in range(len(paths2))]
        here = set(self._df.columns)
        right = right.select(*[F.col(quoted(c)).alias("." + c if c in here else c) for c in right.columns],
                             *[column(types.path(p)).alias(k) for p, k in zip(paths2, others)])
        equal = F.lit(True)
        for k, o in zip(keys, others):
            equal = equal & (F.col(k) == F.col(o))
        return self._next(left.join(right, equal, "inner").drop(*keys, *others), errors=frame2._errors, thresholds=(stageThreshold, totalThreshold))

    def union(self, frame2: "DynamicFrame", transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records of both frames."""
        return self._next(_together(self._df, frame2._df), errors=frame2._errors, thresholds=(stageThreshold, totalThreshold))

    def mergeDynamicFrame(self, stage_dynamic_frame, primary_keys, transformation_ctx="", options=None, info="",
                          stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """The records of the staging frame, and those of this one that have no record of the same keys there."""
        only("the option of mergeDynamicFrame", options or {}, set())
        staged = stage_dynamic_frame._df
        if not primary_keys:
            raise ValueError("primary_keys are needed")
        if self._nothing() or stage_dynamic_frame._nothing():
            return self.union(stage_dynamic_frame)
        there = staged.select(*[column(types.path(k)).alias("__key_%d" % n) for n, k in enumerate(primary_keys)]).distinct()
        same = F.lit(True)
        for n, k in enumerate(primary_keys):
            same = same & column(types.path(k)).eqNullSafe(F.col("__key_%d" % n))
        kept = self._df.join(there, same, "left_anti")
        return self._next(_together(staged, kept), errors=stage_dynamic_frame._errors, thresholds=(stageThreshold, totalThreshold))

    def spigot(self, path, options=None, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0) -> "DynamicFrame":
        """Writes some of the records to ``path`` as JSON and returns all of them. Options: topk, prob."""
        options = dict(options or {})
        only("the option of spigot", options, {"topk", "prob"})
        some = self._df
        if "prob" in options:
            some = some.sample(float(options["prob"]))
        if "topk" in options:
            some = some.limit(int(options["topk"]))
        _unmarked(some).write.mode("append").json(path)
        return self

    def write(self, connection_type, connection_options=None, format=None, format_options=None, accumulator_size=0) -> "DynamicFrame":
        """Writes the records; see GlueContext.write_dynamic_frame."""
        self.glue_ctx.write_dynamic_frame_from_options(self, connection_type, connection_options or {}, format, format_options or {})
        return self


    def __getattr__(self, name):
        if name in ("unnest_ddb_json", "simplify_ddb_json"):
            raise missing("DynamicFrame." + name)
        raise AttributeError("%r object has no attribute %r" % (type(self).__name__, name))


class DynamicFrameCollection:
    """Named frames."""

    def __init__(self, dynamic_frames: "dict[str, DynamicFrame]", glue_ctx):
        self._frames = dict(dynamic_frames)
        self.glue_ctx = glue_ctx

    def __getitem__(self, key: str) -> DynamicFrame:
        return self._frames[key]

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self):
        return iter(self._frames)

    def keys(self) -> "list[str]":
        """The names of the frames."""
        return list(self._frames)

    def values(self) -> "list[DynamicFrame]":
        """The frames."""
        return list(self._frames.values())

    def items(self):
        """Names and frames."""
        return list(self._frames.items())

    def select(self, key: str, transformation_ctx="") -> DynamicFrame:
        """The frame of a name."""
        return self._frames[key]

    def map(self, callable, transformation_ctx="") -> "DynamicFrameCollection":
        """What ``callable`` makes of each frame; it gets the frame and a context."""
        return DynamicFrameCollection({n: callable(f, transformation_ctx) for n, f in self._frames.items()}, self.glue_ctx)

    def flatmap(self, f, transformation_ctx="") -> "DynamicFrameCollection":
        """The frames of the collections that ``f`` makes of each frame."""
        made: "dict[str, DynamicFrame]" = {}
        for n, frame in self._frames.items():
            made.update(dict(f(frame, transformation_ctx).items()))
        return DynamicFrameCollection(made, self.glue_ctx)


class ResolveOption:
    """How toDF resolves the choice at a path: "Project" to a type, "KeepAsStruct", or "Cast" to a type."""

    def __init__(self, path: str, action: str, target: "str | None" = None):
        actions = {"project": "project", "keepasstruct": "make_struct", "cast": "cast"}
        if action.lower() not in actions:
            raise ValueError("%r is no action; there are Project, KeepAsStruct and Cast" % action)
        self.path, self.action, self.target = path, actions[action.lower()], target or ""


def _trying(f):
    def tried(record):
        try:
            made = list(f(record))
            for r in made:
                if not isinstance(r, (dict, Row)):
                    raise TypeError("the function returned a %s, not a record" % type(r).__name__)
            return [(True, r) for r in made]
        except Exception as failed:
            return [(False, {"error": "%s: %s" % (type(failed).__name__, failed), "record": record})]

    return tried


def _together(a: DataFrame, b: DataFrame) -> DataFrame:
    """The records of both, each with its own types."""
    schema = records.merge(a.schema, b.schema)
    if not types.has_choice(schema):
        return a.unionByName(b, allowMissingColumns=True)
    return conform(a, schema).unionByName(conform(b, schema))


def _unmarked(frame: DataFrame) -> DataFrame:
    """Choices become plain structs."""
    if not types.has_choice(frame.schema):
        return frame
    return frame.select(*[F.col(quoted(f.name)).cast(types.plain(f.dataType)).alias(f.name) if types.has_choice(f.dataType) else F.col(quoted(f.name))
                          for f in frame.schema.fields])


def _columns(tree: dict) -> list:
    """The columns of a tree of names, in which leaves are columns."""
    made = []
    for name, what in tree.items():
        if isinstance(what, dict):
            what = F.struct(*_columns(what))
        made.append(what.alias(name))
    return made


def _nested(path: "tuple[str, ...]", value) -> dict:
    for step in reversed(path):
        value = {step: value}
    return value


def _spelled(schema: T.StructType, path: "tuple[str, ...]", case_sensitive: bool) -> "tuple[str, ...] | None":
    """A path as the schema spells it; None: nothing is there."""
    if find(schema, path) is not None:
        return path
    if find(schema, (".".join(path),)) is not None:
        return (".".join(path),)  # a name with dots in it, as unnest makes them
    if case_sensitive:
        return None
    at, spelled = schema, []
    for step in path:
        if not isinstance(at, T.StructType):
            return None
        same = [f for f in at.fields if f.name.lower() == step.lower()]
        if not same:
            return None
        spelled.append(same[0].name)
        at = same[0].dataType
    return tuple(spelled)


def _without_nulls(value):
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_nulls(v) for v in value]
    return value
