"""The transforms, as "PySpark transforms" of the Glue developer guide has them: classes whose apply does the work."""

from awsglue.transforms.collection import FlatMap, MapToCollection, SelectFromCollection
from awsglue.transforms.field import (
    ApplyMapping, DropFields, DropNullFields, RenameField, SelectFields, SplitFields,
)
from awsglue.transforms.missing import DetectPII, EntityDetector, EvaluateDataQuality, FillMissingValues, FindIncrementalMatches, FindMatches
from awsglue.transforms.record import ErrorsAsDynamicFrame, Filter, Join, Map, MergeDynamicFrame, Spigot, SplitRows
from awsglue.transforms.shape import Relationalize, ResolveChoice, Unbox, UnnestFrame
from awsglue.transforms.transform import GlueTransform

mergeDynamicFrame = MergeDynamicFrame

__all__ = [
    "ApplyMapping", "DetectPII", "DropFields", "DropNullFields", "EntityDetector", "ErrorsAsDynamicFrame", "EvaluateDataQuality",
    "FillMissingValues", "Filter", "FindIncrementalMatches", "FindMatches", "FlatMap", "GlueTransform", "Join", "Map",
    "MapToCollection", "MergeDynamicFrame", "Relationalize", "RenameField", "ResolveChoice", "SelectFields", "SelectFromCollection",
    "Spigot", "SplitFields", "SplitRows", "Unbox", "UnnestFrame", "mergeDynamicFrame",
]
