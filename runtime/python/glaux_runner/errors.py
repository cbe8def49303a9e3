"""How an exception of a cell is shown."""

import traceback

# Bounds on what travels beside standard error, characters and lines.
_VALUE = 16 << 10
_LINES = 400
_LINE = 16 << 10

_HEADER = "Traceback (most recent call last):\n"


def describe(error: BaseException, own: "frozenset[str]", inner: frozenset = frozenset(), header: bool = False) -> "tuple[str, dict]":
    """Returns the text for standard error and the error of the done frame.

    The text is Python's own, without the header line unless ``header`` is set, without the outermost
    frames of the files in ``own``, without an innermost one of the code in
    ``inner``, and with the cell called ``<stdin>``, as Athena shows it.
    """
    seen: "set[int]" = set()
    pending = [error]
    while pending:
        at = pending.pop()
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        try:
            at.__traceback__ = _strip(at.__traceback__, own, inner)
        except BaseException:  # a class that refuses attributes
            continue
        pending += [at.__cause__, at.__context__]
        if isinstance(at, BaseExceptionGroup):
            pending += at.exceptions
    try:
        lines = [line for line in traceback.TracebackException.from_exception(error, compact=True).format() if header or line != _HEADER]
    except BaseException as broken:
        lines = ["%s: <cannot be shown: %s>\n" % (type(error).__name__, type(broken).__name__)]
    text = "".join(lines)
    return text, {"name": _name(error), "value": _value(error), "traceback": _bounded(text)}


def _strip(tb, own, inner):
    """Drops the runner's own frames: around the cell, and that of an interrupt inside it."""
    while tb is not None and tb.tb_frame.f_code.co_filename in own:
        tb = tb.tb_next
    at = tb
    while at is not None and at.tb_next is not None:
        if at.tb_next.tb_next is None and at.tb_next.tb_frame.f_code in inner:
            at.tb_next = None
            break
        at = at.tb_next
    return tb


def _name(error: BaseException) -> str:
    return type(error).__name__


def _value(error: BaseException) -> str:
    try:
        value = str(error)
    except BaseException:
        return "<exception str() failed>"
    return value if len(value) <= _VALUE else value[:_VALUE] + "… (%d more characters)" % (len(value) - _VALUE)


def _bounded(text: str) -> "list[str]":
    lines = [line if len(line) <= _LINE else line[:_LINE] + "…" for line in text.splitlines()]
    if len(lines) > _LINES:
        half = _LINES // 2
        lines = lines[:half] + ["… (%d lines left out)" % (len(lines) - 2 * half)] + lines[-half:]
    return lines
