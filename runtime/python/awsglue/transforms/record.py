"""Transforms of records."""

from awsglue.transforms.transform import GlueTransform


class ErrorsAsDynamicFrame(GlueTransform):
    """The records that had errors."""

    def __call__(self, frame):
        return frame.errorsAsDynamicFrame()


class Filter(GlueTransform):
    """The records for which a function is true."""

    def __call__(self, frame, f, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0):
        return frame.filter(f, transformation_ctx, info, stageThreshold, totalThreshold)


class Join(GlueTransform):
    """The pairs of records whose keys are equal."""

    def __call__(self, frame1, frame2, keys1, keys2, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0):
        return frame1.join(keys1, keys2, frame2, transformation_ctx, info, stageThreshold, totalThreshold)


class Map(GlueTransform):
    """The records that a function makes of the records."""

    def __call__(self, frame, f, transformation_ctx="", info="", stageThreshold=0, totalThreshold=0):
        return frame.map(f, False, transformation_ctx, info, stageThreshold, totalThreshold)


class MergeDynamicFrame(GlueTransform):
    """The records of a staging frame, and those of the source that have none of the same keys there."""

    def __call__(self, source, stage, primary_keys, transformation_ctx="", options=None, info="", stageThreshold=0, totalThreshold=0):
        return source.mergeDynamicFrame(stage, primary_keys, transformation_ctx, options, info, stageThreshold, totalThreshold)


class Spigot(GlueTransform):
    """Writes some of the records on their way."""

    def __call__(self, frame, path, options=None, transformation_ctx=""):
        return frame.spigot(path, options, transformation_ctx)


class SplitRows(GlueTransform):
    """Two frames: the records for which comparisons hold, and the others."""

    def __call__(self, frame, comparison_dict, name1="frame1", name2="frame2", transformation_ctx="", info=None, stageThreshold=0, totalThreshold=0):
        return frame.split_rows(comparison_dict, name1, name2, transformation_ctx, info, stageThreshold, totalThreshold)
