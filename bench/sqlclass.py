import json
import re
import sys
import time


class Wrapper(object):
    """Runs SQL and describes its rows as one line of JSON.

    Clients that speak SQL through statements send a class of about this size
    in front of every query, because a session may have been made anew since
    the last one.
    """

    KEYWORDS = ("select", "with", "show", "describe", "explain", "values", "table")
    LIMIT = 100000
    started = time.time()
    executed = 0

    @classmethod
    def clean(cls, sql):
        """Removes comments and the semicolon at the end."""
        without = re.sub(r"/\*.*?\*/", " ", sql, flags=re.S)
        lines = [line for line in without.splitlines() if not line.strip().startswith("--")]
        return "\n".join(lines).strip().rstrip(";").strip()

    @classmethod
    def reads(cls, sql):
        """Tells whether a statement has rows worth returning."""
        first = re.match(r"\s*(\w+)", cls.clean(sql))
        return bool(first) and first.group(1).lower() in cls.KEYWORDS

    @classmethod
    def kind(cls, value):
        """The name of a column's type, without its parameters."""
        name = type(value).__name__
        if name.startswith("Decimal"):
            return "DecimalType"
        if name.startswith("Array"):
            return "ArrayType"
        if name.startswith("Map"):
            return "MapType"
        if name.startswith("Struct"):
            return "StructType"
        return name

    @classmethod
    def plain(cls, value):
        """A value that JSON can hold."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, (list, tuple)):
            return [cls.plain(item) for item in value]
        if isinstance(value, dict):
            return {str(key): cls.plain(item) for key, item in value.items()}
        if isinstance(value, (bytes, bytearray)):
            return value.hex()
        return str(value)

    @classmethod
    def describe(cls, frame):
        """The columns of a frame, in order."""
        return [{"name": field.name, "type": cls.kind(field.dataType)} for field in frame.schema.fields]

    @classmethod
    def rows(cls, frame, limit):
        """The rows of a frame as records."""
        found = []
        for row in frame.limit(limit).collect():
            record = {}
            for name, value in row.asDict().items():
                record[name] = cls.plain(value)
            found.append({"type": "record", "data": record})
        return found

    @classmethod
    def statements(cls, sql):
        """Splits a text at semicolons that stand outside of quotes."""
        found, current, quote = [], [], None
        for character in sql:
            if quote:
                if character == quote:
                    quote = None
            elif character in "'\"`":
                quote = character
            elif character == ";":
                found.append("".join(current))
                current = []
                continue
            current.append(character)
        found.append("".join(current))
        return [text.strip() for text in found if text.strip()]

    @classmethod
    def failed(cls, error):
        """What is printed for a query that failed."""
        text = str(error)
        first = text.splitlines()[0] if text else type(error).__name__
        return {"type": "error", "name": type(error).__name__, "value": first, "text": text[:4096]}

    @classmethod
    def execute(cls, sql, output=True, limit=None):
        """Runs every statement of the text, and prints the rows of the last."""
        limit = limit or cls.LIMIT
        answer = {"type": "results", "rowcount": 0, "results": [], "description": []}
        for text in cls.statements(cls.clean(sql)):
            cls.executed += 1
            frame = spark.sql(text)
            if not cls.reads(text):
                continue
            answer["results"] = cls.rows(frame, limit)
            answer["rowcount"] = len(answer["results"])
            answer["description"] = cls.describe(frame)
        if output:
            print(json.dumps(answer))
            sys.stdout.flush()

    @classmethod
    def schemas(cls):
        """The names of all databases."""
        return [row[0] for row in spark.sql("show databases").collect()]

    @classmethod
    def tables(cls, database):
        """The names of all tables of a database, views among them."""
        return [row["tableName"] for row in spark.sql("show tables in `%s`" % database).collect()]

    @classmethod
    def columns(cls, database, table):
        """The columns of a table, without what describes its partitions."""
        found = []
        for row in spark.sql("describe table `%s`.`%s`" % (database, table)).collect():
            if not row["col_name"] or row["col_name"].startswith("#"):
                break
            found.append({"name": row["col_name"], "type": row["data_type"]})
        return found

    @classmethod
    def age(cls):
        """For how long the class has been there, seconds."""
        return round(time.time() - cls.started, 3)
