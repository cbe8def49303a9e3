"""What all transforms have, as "GlueTransform base class" of the Glue developer guide has it."""

import inspect


class GlueTransform:
    """A transform: an instance is called with its arguments, or the class applied to them."""

    def __call__(self, *args, **kwargs):
        raise NotImplementedError(type(self).__name__)

    @classmethod
    def apply(cls, *args, **kwargs):
        """Makes an instance and calls it."""
        return cls()(*args, **kwargs)

    @classmethod
    def name(cls) -> str:
        """The name of the transform."""
        return cls.__name__

    @classmethod
    def describeArgs(cls) -> "list[dict]":
        """The arguments, each with its name, whether it is optional, and its default."""
        described = []
        for p in list(inspect.signature(cls.__call__).parameters.values())[1:]:
            optional = p.default is not inspect.Parameter.empty
            described.append({"name": p.name, "type": "", "description": "", "optional": optional, "defaultValue": p.default if optional else None})
        return described

    @classmethod
    def describeReturn(cls) -> dict:
        """What is returned."""
        return {"type": "DynamicFrame", "description": "the frame that the transform makes"}

    @classmethod
    def describeTransform(cls) -> str:
        """What the transform does."""
        return inspect.getdoc(cls) or ""

    @classmethod
    def describeErrors(cls) -> "list[dict]":
        """The errors that the transform raises."""
        return []

    @classmethod
    def describe(cls) -> dict:
        """All of it."""
        return {"transform": {"name": cls.name(), "args": cls.describeArgs(), "returns": cls.describeReturn(), "raises": cls.describeErrors()}}
