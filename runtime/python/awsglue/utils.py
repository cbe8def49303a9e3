"""Arguments of a script, as "Accessing parameters using getResolvedOptions" of the Glue developer guide has them."""

import sys

# Arguments that are the service's: returned when they are there, whether asked for or not.
_RESERVED = {
    "JOB_ID": None,
    "JOB_RUN_ID": None,
    "SECURITY_CONFIGURATION": None,
    "job-bookmark-option": "job-bookmark-disable",
    "job-bookmark-from": None,
    "job-bookmark-to": None,
    "TempDir": None,
}


class GlueArgumentError(Exception):
    """An argument that a script needs was not given, or has a name that is the service's."""


def getResolvedOptions(args: "list[str]", options: "list[str]") -> "dict[str, str]":
    """Returns the named arguments of ``args`` (usually sys.argv) by their names.

    An argument is written ``--name value`` or ``--name=value``. Each of ``options`` must be given. Names of the result have
    underscores for hyphens. Arguments of the service, such as TempDir and the bookmark's, are in the result too.
    """
    given = _given(args[1:])
    for name in options:
        if name.startswith("--"):
            raise GlueArgumentError("argument names are given without hyphens: %s" % name)
        if name not in given:
            raise GlueArgumentError("the following arguments are required: --" + name)
    found = {_key(name): given[name] for name in options}
    for name, default in _RESERVED.items():
        value = given.get(name, default)
        if value is not None:
            found.setdefault(_key(name), value)
    return found


def _key(name: str) -> str:
    return name.replace("-", "_")


def _given(args: "list[str]") -> "dict[str, str]":
    """Pairs up names and values. A name without a value has the empty string."""
    given: "dict[str, str]" = {}
    at = 0
    while at < len(args):
        word = args[at]
        at += 1
        if not word.startswith("--") or word == "--":
            continue
        name, equals, value = word[2:].partition("=")
        if not equals and at < len(args) and not args[at].startswith("--"):
            value = args[at]
            at += 1
        given[name] = value
    return given


def isScalaJob() -> bool:
    """Whether the script is one in Scala."""
    return "--session-language" in sys.argv and "scala" in sys.argv
