"""Another S3 than the embedded one: here a second server's, with a key of its own."""

from conftest import Server, Spark, wait_for


def test_results_and_data_in_another_s3(server, tmp_path):
    keys = server.env
    mine = Server(tmp_path, "--s3-endpoint", server.url, "--s3-access-key", keys["AWS_ACCESS_KEY_ID"],
                  "--s3-secret-key", keys["AWS_SECRET_ACCESS_KEY"], "--bucket", "elsewhere").start()
    try:
        assert mine.env["AWS_ACCESS_KEY_ID"] != keys["AWS_ACCESS_KEY_ID"]
        mine.client("s3").put_object(Bucket="elsewhere", Key="in.csv", Body=b"k,v\na,1\nb,2\n")
        assert server.client("s3").get_object(Bucket="elsewhere", Key="in.csv")["Body"].read() == b"k,v\na,1\nb,2\n"
        s = Spark(mine)
        s.wait("IDLE")
        out, got = s.run("df = spark.read.option('header', True).csv('s3://elsewhere/in.csv')\n"
                         "df.write.parquet('s3://elsewhere/out')\nprint(spark.read.parquet('s3://elsewhere/out').count())")
        assert out == "2\n"
        bucket, key = got["Result"]["StdOutS3Uri"].removeprefix("s3://").split("/", 1)
        assert server.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read() == b"2\n"
        s.end()
    finally:
        mine.stop()
        wait_for("the server has ended", 30, lambda: mine.process.poll() is not None)
