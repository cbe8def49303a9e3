# Heavy work, the same in a session and in plain pyspark. Each function checks its result, so that neither side can do less.


def work_prepare():
    global work_score
    from pyspark.sql.functions import udf

    @udf("long")
    def work_score(n):
        total = 0
        for k in range(12):
            total = (total * 31 + n * k) % 1000003
        return total


def work_aggregate():
    row = spark.sql("""
        select count(*) as n, sum(total) as total, max(length(word)) as longest from (
          select id % 50021 as k, sum(id * 3 % 1013) as total, max(concat('w', cast(id % 977 as string), '-', lower(hex(id)))) as word
          from range(3000000) group by id % 50021)""").collect()[0]
    assert row.n == 50021, row


def work_join():
    row = spark.sql("""
        with facts as (select id, id % 20011 as k, cast(id * 7919 % 100003 as double) as v from range(600000)),
             names as (select id as k, concat('name ', id % 211) as name from range(20011))
        select count(*) as n from (
          select name, v, row_number() over (partition by name order by v, id) as place from facts join names using (k))
        where place <= 100""").collect()[0]
    assert row.n == 211 * 100, row


def work_udf():
    from pyspark.sql.functions import sum as total
    row = spark.range(400000).select(total(work_score("id")).alias("s"), total("id").alias("n")).collect()[0]
    assert row.n == 400000 * 399999 // 2, row


def work_words():
    row = spark.sql("""
        select count(*) as n, sum(c) as c from (
          select word, count(*) as c from (
            select explode(split(concat_ws(' ', sha2(cast(id as string), 256), md5(cast(id as string)), cast(id % 100 as string), 'the', 'and'), ' ')) as word
            from range(200000)) group by word)""").collect()[0]
    assert row.n == 400102 and row.c == 1000000, row
