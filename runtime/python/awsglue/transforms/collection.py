"""Transforms of collections."""

from awsglue.dynamicframe import DynamicFrameCollection
from awsglue.transforms.transform import GlueTransform


class SelectFromCollection(GlueTransform):
    """The frame of a name."""

    def __call__(self, dfc, key, transformation_ctx=""):
        return dfc.select(key, transformation_ctx)


class MapToCollection(GlueTransform):
    """A transform applied to each frame."""

    def __call__(self, dfc, BaseTransform, frame_name, transformation_ctx="", **base_kwargs):
        return DynamicFrameCollection({n: BaseTransform.apply(**{frame_name: f}, **base_kwargs) for n, f in dfc.items()}, dfc.glue_ctx)


class FlatMap(GlueTransform):
    """All the frames of the collections that a transform makes of each frame."""

    def __call__(self, dfc, BaseTransform, frame_name, transformation_ctx="", **base_kwargs):
        made = {}
        for n, f in dfc.items():
            result = BaseTransform.apply(**{frame_name: f}, **base_kwargs)
            if isinstance(result, DynamicFrameCollection):
                made.update({"%s_%s" % (n, k): v for k, v in result.items()})
            else:
                made[n] = result
        return DynamicFrameCollection(made, dfc.glue_ctx)
