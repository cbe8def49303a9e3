"""How the library says what it does not have."""


def missing(what: str) -> NotImplementedError:
    """The error for something that AWS's library has and this one has not."""
    return NotImplementedError(what + " is not implemented by this library; docs/GLUE_LIBRARY.md lists what is")


def only(what: str, given: dict, known: "set[str] | frozenset[str]") -> None:
    """Refuses keys that nothing here heeds, so that none is silently without effect."""
    for key in given:
        if key not in known:
            raise missing("%s %r" % (what, key))
