"""Sources and sinks of files, bookmarks, streams."""

import gzip
import json
import os

import pytest
from conftest import plain

from awsglue import files
from awsglue.job import Job


def read(glue, path, format, format_options=None, context="", **options):
    return glue.create_dynamic_frame.from_options("s3", {"paths": [str(path)], **options}, format, format_options, transformation_ctx=context)


@pytest.mark.parametrize("format", ["csv", "json", "parquet", "orc", "avro"])
def test_what_was_written_is_read(glue, frame, tmp_path, format):
    glue.write_dynamic_frame.from_options(frame([{"id": 1, "s": "a,b"}, {"id": 2, "s": 'q"r'}]), "s3", {"path": str(tmp_path / "out")}, format)
    found = plain(read(glue, tmp_path / "out", format, {"withHeader": True} if format == "csv" else None))
    assert [(int(r["id"]), r["s"]) for r in found] == [(1, "a,b"), (2, 'q"r')]


def test_csv_options(glue, frame, tmp_path):
    (tmp_path / "a.csv").write_text("id|s\n1|'x|y'\n2|z\n")
    found = read(glue, tmp_path, "csv", {"separator": "|", "quoteChar": "'", "withHeader": True})
    assert plain(found) == [{"id": "1", "s": "x|y"}, {"id": "2", "s": "z"}]
    assert read(glue, tmp_path, "csv", {"separator": "|"}).toDF().columns == ["col0", "col1"]
    assert read(glue, tmp_path, "csv", {"separator": "|", "skipFirst": True}).count() == 2
    with pytest.raises(NotImplementedError, match="'strictCheckForQuoting'"):
        read(glue, tmp_path, "csv", {"strictCheckForQuoting": True})
    glue.write_dynamic_frame.from_options(frame([{"a": 1}]), "s3", {"path": str(tmp_path / "o")}, "csv", {"writeHeader": False, "separator": ";"})
    assert "".join(f.read_text() for f in (tmp_path / "o").glob("part-*")) == "1\n"


def test_json_records_keep_their_types(glue, tmp_path):
    (tmp_path / "a.json").write_text('{"v": 1}\n{"v": "x"}\n')
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(b'{"v": 2, "w": null}\n'))
    found = read(glue, tmp_path, "json")
    assert sorted(map(repr, [r["v"] for r in plain(found)])) == ["'x'", "1", "2"]
    assert found.resolveChoice(choice="project:int").toDF().filter("v is not null").count() == 2
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "all.json").write_text(json.dumps({"data": [{"a": 1}, {"a": 2}]}, indent=1))
    assert plain(read(glue, tmp_path / "m", "json", {"jsonPath": "$.data[*]", "multiline": True})) == [{"a": 1}, {"a": 2}]


def test_what_is_no_json_is_an_error(glue, tmp_path):
    (tmp_path / "a.json").write_text('{"v": 1}\n{broken\n[{"v": 2}]\n')
    found = read(glue, tmp_path, "json")
    assert sorted(r["v"] for r in plain(found)) == [1, 2]
    (error,) = plain(found.errorsAsDynamicFrame())
    assert error["record"] == "{broken" and error["error"].startswith("ValueError: ")


def test_files_of_different_schemas(glue, frame, tmp_path):
    for n, rows in enumerate([[{"a": 1}], [{"a": 2, "b": "x"}]]):
        glue.write_dynamic_frame.from_options(frame(rows), "s3", {"path": str(tmp_path / "p")}, "parquet")
    assert plain(read(glue, tmp_path / "p", "parquet")) == [{"a": 1, "b": None}, {"a": 2, "b": "x"}]


def test_blanks_of_csv_stay(glue, frame, tmp_path):
    glue.write_dynamic_frame.from_options(frame([{"s": " x "}]), "s3", {"path": str(tmp_path / "o")}, "csv")
    assert plain(read(glue, tmp_path / "o", "csv", {"withHeader": True})) == [{"s": " x "}]


def test_partitions_of_json(glue, tmp_path):
    for day, value in (("a", "1"), ("b", '"x"')):
        (tmp_path / f"day={day}").mkdir()
        (tmp_path / f"day={day}" / "f.json").write_text('{"v": %s}\n' % value)
    assert plain(read(glue, tmp_path, "json", recurse=True)) == [{"v": "x", "day": "b"}, {"v": 1, "day": "a"}]
    (tmp_path / "day=b" / "f.json").write_text('{"v": 2}\n')
    assert plain(read(glue, tmp_path, "json", recurse=True)) == [{"v": 1, "day": "a"}, {"v": 2, "day": "b"}]


@pytest.mark.parametrize("pattern, kept", [
    ("**.txt", ["a.json", "b.json"]), ("**/{a,b}.*", ["c.txt"]), ("**/?.json", ["c.txt"]),
    ("*.json", ["a.json", "b.json", "c.txt"]), ("**/[!ab].*", ["a.json", "b.json"]),
])
def test_exclusions(glue, spark, tmp_path, pattern, kept):
    for name in ("a.json", "b.json", "c.txt"):
        (tmp_path / name).write_text('{"v": 1}\n')
    found = files.list_files(spark, [str(tmp_path)], False, [pattern])
    assert sorted(f.path.rsplit("/", 1)[1] for f in found) == sorted(kept)
    assert read(glue, tmp_path, "json", exclusions=[pattern]).count() == len(kept)


def test_partitions_exclusions_and_subdirectories(glue, frame, tmp_path):
    glue.write_dynamic_frame.from_options(
        frame([{"day": "a", "n": 1}, {"day": "b", "n": 2}]), "s3", {"path": str(tmp_path / "p"), "partitionKeys": ["day"]}, "parquet", {"compression": "gzip"})
    assert read(glue, tmp_path / "p", "parquet").count() == 0  # subdirectories are asked for
    found = read(glue, tmp_path / "p", "parquet", recurse=True)
    assert sorted((r["day"], r["n"]) for r in plain(found)) == [("a", 1), ("b", 2)]
    assert read(glue, tmp_path / "p", "parquet", recurse=True, exclusions='["**/day=a/*"]').count() == 1
    with pytest.raises(FileNotFoundError):
        read(glue, tmp_path / "nope", "parquet")
    with pytest.raises(NotImplementedError, match="'maxBand'"):
        read(glue, tmp_path / "p", "parquet", maxBand=1)


def test_sources_sinks_and_spigots(glue, frame, tmp_path):
    sink = glue.getSink("s3", path=str(tmp_path / "s"))
    sink.setFormat("json")
    sink.writeFrame(frame([{"a": 1}, {"a": 2}]))
    source = glue.getSource("s3", paths=[str(tmp_path / "s")])
    source.setFormat("json")
    assert source.getFrame().count() == 2
    assert frame([{"a": 1}, {"a": 2}]).spigot(str(tmp_path / "few"), {"topk": 1}).count() == 2
    assert read(glue, tmp_path / "few", "json").count() == 1


def test_catalog(glue, frame, spark):
    spark.sql("create table known (n int, day string) using parquet partitioned by (day)")
    glue.write_dynamic_frame.from_catalog(frame([{"n": 1, "day": "a"}, {"n": 2, "day": "b"}]), "default", "known")
    assert plain(glue.create_dynamic_frame.from_catalog("default", "known", push_down_predicate="day = 'b'")) == [{"n": 2, "day": "b"}]
    assert glue.create_data_frame.from_catalog("default", "known").count() == 2
    spark.sql("drop table known")


def test_bookmarks(glue, frame, tmp_path):
    data, temp = tmp_path / "in", tmp_path / "temp"
    data.mkdir()
    args = {"job_bookmark_option": "job-bookmark-enable", "TempDir": str(temp)}

    def run(commit=True, **more):
        job = Job(glue)
        job.init("a job", {**args, **more})
        n = read(glue, data, "json", context="source").count()
        if commit:
            job.commit()
        return n

    def add(name, at):
        (data / name).write_text('{"a": 1}\n')
        os.utime(data / name, (at, at))

    try:
        add("1.json", 1000)
        assert run(commit=False) == 1  # nothing is kept without commit
        assert run() == 1
        assert run() == 0
        add("2.json", 1000)  # of the same second
        add("3.json", 2000)
        assert run(job_bookmark_option="job-bookmark-pause") == 2
        assert run() == 2
        assert run() == 0
        assert run(job_bookmark_option="job-bookmark-disable") == 3
        assert (temp / "glue-bookmarks" / "a%20job.json").exists()
        # One that appears late, and runs that take a part.
        add("0.json", 1900)
        assert run() == 1
        for n in range(4, 8):
            add("%d.json" % (20 - n), 3000 + n)
        job = Job(glue)
        job.init("a job", args)
        assert [r["a"] for r in plain(read(glue, data, "json", context="source", boundedFiles=3))] == [1, 1, 1]
        job.commit()
        assert run() == 1
        assert run() == 0
        with pytest.raises(NotImplementedError, match="a bookmark of a table"):
            job.init("a job", args)
            glue.create_dynamic_frame.from_catalog("default", "t", transformation_ctx="c")
    finally:
        glue._bookmark = None


def test_batches_of_a_stream(glue, spark, tmp_path):
    counted = []

    def batch(frame, number):
        counted.append(frame.count())
        if len(counted) == 2:
            for query in spark.streams.active:
                query.stop()

    stream = spark.readStream.format("rate").option("rowsPerSecond", 20).load()
    glue.forEachBatch(frame=stream, batch_function=batch, options={"windowSize": "200 milliseconds", "checkpointLocation": str(tmp_path / "c")})
    assert len(counted) >= 2
