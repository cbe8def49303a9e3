"""Glue's own classes of types. Schemas are Spark's here: see awsglue.types."""

from awsglue.missing import missing


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    raise missing("awsglue.gluetypes." + name)
