"""Choices, and nested records made flat."""

import json

import pytest
from conftest import plain

from awsglue.dynamicframe import ResolveOption
from awsglue.transforms import Relationalize, ResolveChoice, Unbox, UnnestFrame

MIXED = [{"k": 1, "v": 5}, {"k": 2, "v": "six"}, {"k": 3, "v": None}, {"k": 4, "n": {"deep": 1.5}}, {"k": 5, "n": {"deep": "text"}}]


def test_a_field_of_several_types_is_a_choice(frame, capsys):
    mixed = frame(MIXED)
    mixed.printSchema()
    assert capsys.readouterr().out == (
        "root\n|-- k: int\n|-- v: choice\n|    |-- int\n|    |-- string\n|-- n: struct\n|    |-- deep: choice\n|    |    |-- double\n|    |    |-- string\n\n")
    assert [r["v"] for r in plain(mixed)] == [5, "six", None, None, None]
    assert mixed.toDF().schema["v"].dataType.simpleString() == "struct<int:int,string:string>"


@pytest.mark.parametrize("action, want", [
    ("cast:string", {"v": ["5", "six", None]}),
    ("cast:int", {"v": [5, None, None]}),
    ("project:int", {"v": [5, None, None]}),
    ("project:double", {"v": [None, None, None]}),
    ("make_cols", {"v_int": [5, None, None], "v_string": [None, "six", None]}),
    ("make_struct", {"v": [{"int": 5, "string": None}, {"int": None, "string": "six"}, None]}),
])
def test_resolving(frame, action, want):
    found = ResolveChoice.apply(frame(MIXED[:3]), specs=[("v", action)])
    rows = plain(found)
    assert {c: [r.get(c) for r in rows] for c in want} == want
    assert found.schema() is not None and set(found.toDF().columns) == {"k", *want}


def test_resolving_all_and_inside(frame):
    found = frame(MIXED).resolveChoice(choice="cast:string")
    assert [r["n"] for r in plain(found)][3:] == [{"deep": "1.5"}, {"deep": "text"}]
    found = frame(MIXED).resolveChoice(specs=[("n.deep", "make_cols")])
    assert plain(found)[3]["n"] == {"deep_double": 1.5, "deep_string": None}
    many = frame([{"a": [1, "x"]}, {"a": [2]}]).resolveChoice(specs=[("a[]", "cast:string")])
    assert plain(many) == [{"a": ["1", "x"]}, {"a": ["2"]}]
    with pytest.raises(ValueError, match="both"):
        frame(MIXED).resolveChoice(specs=[("v", "cast:int")], choice="cast:int")
    with pytest.raises(ValueError, match="no field 'w'"):
        frame(MIXED).resolveChoice(specs=[("w", "cast:int")])


def test_resolving_as_a_table_has_it(frame, spark):
    spark.sql("create table wanted (k bigint, v string) using parquet")
    found = frame(MIXED).resolveChoice(choice="match_catalog", database="default", table_name="wanted")
    assert found.toDF().dtypes == [("k", "bigint"), ("v", "string")]
    spark.sql("drop table wanted")


def test_to_data_frame_with_options(frame):
    assert frame(MIXED[:2]).toDF([ResolveOption("v", "Cast", "string")]).dtypes == [("k", "int"), ("v", "string")]


def test_choices_in_mappings(frame):
    assert [r["v"] for r in plain(frame(MIXED[:3]).apply_mapping([("k", "int", "k", "int"), ("v", "choice", "v", "string")]))] == ["5", "six", None]


def test_unnest_and_relationalize(frame, tmp_path):
    nested = frame([
        {"id": 1, "n": {"a": 1, "b": {"c": "x"}}, "list": [{"t": "p", "m": [1, 2]}, {"t": "q", "m": []}], "plain": [7]},
        {"id": 2, "n": {"a": 2, "b": {"c": "y"}}, "list": [], "plain": None},
    ])
    assert UnnestFrame.apply(nested).toDF().columns == ["id", "n.a", "n.b.c", "list", "plain"]
    for staging in (None, str(tmp_path / "staging")):
        tables = Relationalize.apply(nested, staging, "root")
        assert sorted(tables.keys()) == ["root", "root_list", "root_list.val.m", "root_plain"] or sorted(tables.keys()) == ["root", "root_list", "root_list_list.val.m", "root_plain"]
        root = {r["id"]: r for r in plain(tables["root"])}
        assert (root[1]["n.b.c"], root[2]["plain"]) == ("x", None)
        items = plain(tables["root_list"])
        assert {(r["index"], r["list.val.t"]) for r in items} == {(0, "p"), (1, "q")}
        assert {r["id"] for r in items} == {root[1]["list"]}
        inner = [t for n, t in tables.items() if n.endswith("val.m")][0]
        assert sorted(r["list.val.m.val"] for r in plain(inner)) == [1, 2]
        assert [r["plain.val"] for r in plain(tables["root_plain"])] == [7]


def test_unbox(frame):
    boxed = frame([{"id": 1, "t": json.dumps({"a": 1, "b": ["x"]})}, {"id": 2, "t": "{broken"}])
    found = Unbox.apply(boxed, "t", "json")
    assert plain(found) == [{"id": 1, "t": {"a": 1, "b": ["x"]}}, {"id": 2, "t": {"a": None, "b": None}}] or plain(found)[0]["t"] == {"a": 1, "b": ["x"]}
    assert found.errorsCount() == 1
    csv = frame([{"t": "1;a"}, {"t": "2;b"}]).unbox("t", "csv", separator=";")
    assert [r["t"] for r in plain(csv)] == [{"col0": "1", "col1": "a"}, {"col0": "2", "col1": "b"}]
    with pytest.raises(NotImplementedError, match="'avro'"):
        boxed.unbox("t", "avro")
