"""Transforms that this library has not."""

from awsglue.missing import missing
from awsglue.transforms.transform import GlueTransform


class _Missing(GlueTransform):
    def __call__(self, *args, **kwargs):
        raise missing("the transform " + type(self).__name__)


class DetectPII(_Missing):
    """Not there."""


class EntityDetector(_Missing):
    """Not there."""


class EvaluateDataQuality(_Missing):
    """Not there."""


class FillMissingValues(_Missing):
    """Not there."""


class FindIncrementalMatches(_Missing):
    """Not there."""


class FindMatches(_Missing):
    """Not there."""
