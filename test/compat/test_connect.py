"""Spark Connect: the released pyspark, through the server's proxy, on a real driver."""

import json

from conftest import Remote, Spark


def test_endpoint_answers_while_the_session_is_made(server):
    s = Spark(server, workgroup="spark35")
    try:
        assert s.status()["State"] in ("CREATING", "CREATED")
        r = Remote(server, s.id)
        e = r.endpoint()
        assert e["EndpointUrl"] == "https://localhost:" + server.connect.rsplit(":", 1)[1]
        assert set(e["AuthToken"]) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        # The call waits for the session.
        out = r.run("print(spark.range(10).count())", url=r.url(e))
        assert out.split() == ["10"]
    finally:
        s.end()


def test_results_errors_and_settings_come_through(remote):
    out = remote.run("""
        import json
        got = {"version": spark.version}
        spark.conf.set("spark.sql.shuffle.partitions", "3")
        got["partitions"] = spark.conf.get("spark.sql.shuffle.partitions")
        got["rows"] = spark.range(5).selectExpr("id * 2 as d").collect()
        try:
            spark.sql("select nonsense").collect()
        except Exception as e:
            got["error"] = type(e).__name__ + ": " + str(e)
        print(json.dumps(got))
    """)
    got = json.loads(out)
    assert got["version"] == "3.5.6" and got["partitions"] == "3"
    assert got["rows"] == [[0], [2], [4], [6], [8]]
    assert got["error"].startswith("AnalysisException: [UNRESOLVED_COLUMN")
