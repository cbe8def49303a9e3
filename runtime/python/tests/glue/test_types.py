"""Types that survive, and frames of which nothing is known."""

import datetime
import decimal

import pytest
from conftest import plain

from awsglue.dynamicframe import DynamicFrame
from awsglue.transforms import Join, Map, ResolveChoice, SplitRows

SQL = """
    select bigint(1) as b, float(1.5) as f, smallint(2) as s, decimal(12.345) as d, cast(1e30 as decimal(38,0)) as big, cast(null as string) as n,
           map('k', 1) as m, map(1, 'v') as keyed, date'2024-02-29' as day, timestamp'2024-02-29 12:00:00' as at, array(bigint(1)) as list,
           named_struct('x', bigint(3)) as inner
"""


def test_a_function_that_changes_nothing_changes_no_type(glue, spark):
    before = spark.sql(SQL)
    after = Map.apply(DynamicFrame.fromDF(before, glue, "f"), lambda r: r).toDF()
    assert after.dtypes == before.dtypes
    assert after.collect() == before.collect()


def test_fields_that_a_function_adds_have_types_of_their_own(glue, spark):
    def add(record):
        record["b"] = 1 << 40
        record["new"] = 1
        record["huge"] = 1 << 70
        record["exact"] = decimal.Decimal("1.25")
        record["s"] = "text now"
        return record

    found = DynamicFrame.fromDF(spark.sql("select bigint(1) as b, smallint(2) as s"), glue, "f").map(add).map(lambda r: r)
    assert found.toDF().dtypes == [("b", "bigint"), ("s", "string"), ("new", "int"), ("huge", "decimal(38,0)"), ("exact", "decimal(3,2)")]
    assert plain(found)[0]["huge"] == decimal.Decimal(1 << 70)


def test_what_is_no_record_is_an_error(frame):
    found = frame([{"a": 1}, {"a": 2}]).map(lambda r: r if r["a"] == 1 else "two")
    assert (plain(found), found.errorsCount()) == ([{"a": 1}], 1)


def test_a_threshold_holds_over_later_steps(frame):
    def failing(r):
        raise ValueError("no")

    bad = frame([{"a": 1}, {"a": 2}]).map(failing, stageThreshold=1)
    with pytest.raises(Exception, match="more than 1 records had errors"):
        bad.drop_fields(["b"]).toDF()
    fine = frame([{"a": 1}, {"a": 2}]).map(failing).map(lambda r: r, stageThreshold=1)
    assert (fine.toDF().count(), fine.stageErrorsCount(), fine.errorsCount()) == (0, 0, 2)


def test_frames_together_keep_their_types(frame):
    both = frame([{"a": 1, "n": {"x": 1}}]).union(frame([{"a": "x", "n": {"x": "y"}, "more": True}]))
    assert plain(both) == [{"a": "x", "n": {"x": "y"}, "more": True}, {"a": 1, "n": {"x": 1}, "more": None}]
    assert ResolveChoice.apply(both, choice="cast:string").toDF().dtypes == [("a", "string"), ("n", "struct<x:string>"), ("more", "boolean")]


def test_frames_of_nothing(glue, frame, tmp_path):
    nothing = DynamicFrame(glue._nothing, glue, "nothing")
    assert nothing.resolveChoice(specs=[("a", "cast:int")]).count() == 0
    assert nothing.apply_mapping([("a", "int", "b", "int")]).count() == 0
    assert SplitRows.apply(nothing, {"a": {">": 1}}, "x", "y")["x"].count() == 0
    assert Join.apply(nothing, frame([{"a": 1}]), ["a"], ["a"]).count() == 0
    assert nothing.unbox("a", "json").count() == 0
    glue.write_dynamic_frame.from_options(nothing, "s3", {"path": str(tmp_path / "out")}, "parquet")
    assert not (tmp_path / "out").exists()


def test_paths_that_cannot_be(frame):
    nested = frame([{"a": {"b": 1, "c": 2}, "l": [{"x": 1}], "d": 4}])
    assert plain(nested.select_fields(["a", "a.b"])) == [{"a": {"b": 1, "c": 2}}]
    assert plain(nested.rename_field("d", "a.d")) == [{"a": {"b": 1, "c": 2, "d": 4}, "l": [{"x": 1}]}]
    with pytest.raises(ValueError, match="inside of an array"):
        nested.apply_mapping([("l[].x", "int", "x", "int")])
    with pytest.raises(NotImplementedError, match="DynamicFrame.unnest_ddb_json"):
        nested.unnest_ddb_json()


def test_days(frame):
    assert frame([{"d": datetime.date(2024, 1, 1)}]).toDF().dtypes == [("d", "date")]
