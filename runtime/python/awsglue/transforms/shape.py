"""Transforms of nesting and types."""

from awsglue.transforms.transform import GlueTransform


class Relationalize(GlueTransform):
    """Flat tables: the root, and one for every array."""

    def __call__(self, frame, staging_path=None, name="roottable", options=None, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0):
        return frame.relationalize(name, staging_path, options, transformation_ctx, info, stageThreshold, totalThreshold)


class ResolveChoice(GlueTransform):
    """Resolves choices."""

    def __call__(self, frame, specs=None, choice="", transformation_ctx="", info="", stageThreshold=0, totalThreshold=0, database=None, table_name=None, catalog_id=None):
        return frame.resolveChoice(specs, choice, database, table_name, transformation_ctx, info, stageThreshold, totalThreshold, catalog_id)


class Unbox(GlueTransform):
    """Parses the text of a field."""

    def __call__(self, frame, path, format, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0, **options):
        return frame.unbox(path, format, transformation_ctx, info, stageThreshold, totalThreshold, **options)


class UnnestFrame(GlueTransform):
    """Takes the fields of structs to the top."""

    def __call__(self, frame, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0):
        return frame.unnest(transformation_ctx, info, stageThreshold, totalThreshold)
