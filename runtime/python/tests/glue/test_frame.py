"""Frames: fields, records, errors."""

import pytest
from conftest import plain

from awsglue.dynamicframe import DynamicFrame
from awsglue.transforms import (
    ApplyMapping, DropFields, DropNullFields, ErrorsAsDynamicFrame, Filter, FlatMap, Join, Map, MapToCollection, RenameField,
    SelectFields, SelectFromCollection, SplitFields, SplitRows, mergeDynamicFrame,
)

PEOPLE = [
    {"id": 1, "name": {"first": "Ann", "last": "A"}, "age": 30, "tags": ["x", "y"], "none": None},
    {"id": 2, "name": {"first": "Bob", "last": "B"}, "age": 40, "tags": [], "none": None},
]


def test_schema_and_data(frame, capsys):
    people = frame(PEOPLE)
    people.printSchema()
    assert capsys.readouterr().out == (
        "root\n|-- id: int\n|-- name: struct\n|    |-- first: string\n|    |-- last: string\n|-- age: int\n"
        "|-- tags: array\n|    |-- element: string\n|-- none: null\n\n")
    assert people.count() == 2
    assert people.toDF().select("name.first").orderBy("id").collect()[0][0] == "Ann"
    people.show(1)
    assert capsys.readouterr().out == '{"id": 1, "name": {"first": "Ann", "last": "A"}, "age": 30, "tags": ["x", "y"]}\n'


def test_from_data_frames_and_rows(glue, spark):
    assert DynamicFrame.fromDF(spark.range(2), glue, "n").count() == 2
    made = glue.create_dynamic_frame.from_rdd(spark.sparkContext.parallelize([(1, "a")]), "n", ["id", "s"])
    assert plain(made) == [{"id": 1, "s": "a"}]


def test_mapping(frame):
    mapped = ApplyMapping.apply(frame=frame(PEOPLE), mappings=[
        ("id", "int", "key", "string"), ("name.first", "string", "person.given", "string"), ("AGE", "int", "age", "long"),
        ("missing", "string", "missing", "string"),
    ])
    assert plain(mapped)[0] == {"key": "1", "person": {"given": "Ann"}, "age": 30}
    assert mapped.toDF().schema["age"].dataType.simpleString() == "bigint"
    assert "age" not in frame(PEOPLE).apply_mapping([("AGE", "int", "age", "long"), ("id", "int", "id", "int")], case_sensitive=True).toDF().columns


def test_select_drop_rename_and_nulls(frame):
    people = frame(PEOPLE)
    assert plain(SelectFields.apply(people, ["id", "name.last"]))[0] == {"id": 1, "name": {"last": "A"}}
    assert plain(DropFields.apply(people, ["name.last", "tags", "none"]))[0] == {"id": 1, "name": {"first": "Ann"}, "age": 30}
    assert plain(RenameField.apply(people, "name.first", "name.given"))[0]["name"] == {"given": "Ann", "last": "A"}
    assert plain(RenameField.apply(people, "age", "info.years"))[0]["info"] == {"years": 30}
    assert "none" not in DropNullFields.apply(people).toDF().columns
    two = SplitFields.apply(people, ["id"], "ids", "rest")
    assert (two.keys(), two["ids"].toDF().columns, "id" in two["rest"].toDF().columns) == (["ids", "rest"], ["id"], False)
    assert SelectFromCollection.apply(two, "ids").count() == 2


def test_names_with_dots_and_fields_of_arrays(frame):
    odd = frame([{"a.b": 1, "list": [{"x": 1, "y": 2}]}])
    assert plain(odd.drop_fields(["list[].y"])) == [{"a.b": 1, "list": [{"x": 1}]}]
    assert plain(odd.rename_field("`a.b`", "c"))[0]["c"] == 1


def test_functions_get_dictionaries_and_their_failures_are_errors(frame):
    def older(record):
        record["age"] += 1
        if record["id"] == 2:
            raise ValueError("no second")
        return record

    mapped = Map.apply(frame(PEOPLE), older)
    assert [r["age"] for r in plain(mapped)] == [31]
    assert mapped.errorsCount() == 1
    (error,) = plain(ErrorsAsDynamicFrame.apply(mapped))
    assert error["error"] == "ValueError: no second" and error["record"]["id"] == 2
    with pytest.raises(Exception, match="more than 1 records had errors"):
        frame([{"id": 2, "age": 1}, {"id": 2, "age": 1}]).map(older, totalThreshold=1).toDF()
    kept = Filter.apply(frame(PEOPLE), lambda r: r["name"]["first"] == "Bob")
    assert [r["id"] for r in plain(kept)] == [2]
    assert kept.toDF().schema == frame(PEOPLE).toDF().schema


def test_rows_split_by_comparisons(frame):
    two = SplitRows.apply(frame(PEOPLE), {"age": {">": 30, "<": 50}}, "old", "young")
    assert [[r["id"] for r in plain(f)] for f in two.values()] == [[2], [1]]


def test_join(frame):
    joined = Join.apply(frame(PEOPLE).select_fields(["id", "age"]), frame([{"id": 1, "city": "X"}, {"id": 9, "city": "Y"}]), ["id"], ["id"])
    assert plain(joined) == [{"id": 1, "age": 30, ".id": 1, "city": "X"}]


def test_merge(frame):
    old, new = frame([{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]), frame([{"id": 2, "v": "c"}, {"id": 3, "v": "d"}])
    assert plain(mergeDynamicFrame.apply(old, new, ["id"])) == [{"id": 1, "v": "a"}, {"id": 2, "v": "c"}, {"id": 3, "v": "d"}]
    assert plain(old.union(new))[1:3] == [{"id": 2, "v": "b"}, {"id": 2, "v": "c"}]


def test_collections(frame):
    two = frame(PEOPLE).split_fields(["id"], "ids", "rest")
    again = MapToCollection.apply(two, DropNullFields, "frame")
    assert "none" not in again["rest"].toDF().columns
    assert FlatMap.apply(two, SplitFields, "frame", paths=["age"], name1="a", name2="b").keys() == ["ids_a", "ids_b", "rest_a", "rest_b"]


def test_description():
    args = {a["name"]: a for a in ApplyMapping.describeArgs()}
    assert ApplyMapping.name() == "ApplyMapping" and args["frame"]["optional"] is False and args["stageThreshold"]["defaultValue"] == 0
