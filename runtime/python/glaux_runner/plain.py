"""Cells as AWS Glue shows them: what Python's own prompt prints, and magics.

A line that starts with % is a magic, where the cell is no Python with it: the lines before and behind it run around it.
"""

import ast
import html
import io
import json
import re
import tokenize

from glaux_runner import display

_MAGIC = re.compile(r"^%(\w*)[ \t]*(.*?)[ \t]*$")

# Rows that %table takes of a Spark DataFrame.
ROWS = 1000


class UnknownMagic(Exception):
    """A cell has a line that starts with % and is no magic that the service has."""


def parts(code: str, name: str) -> "list[tuple[str, object]]":
    """Splits a cell into ("code", syntax tree) and ("magic", (name, argument)), in order. Raises what is wrong with its code."""
    try:
        return [("code", ast.parse(code, name))]
    except SyntaxError:
        lines = code.split("\n")
        magics = _magic_lines(lines)
        if not magics:
            raise
    split: "list[tuple[str, object]]" = []
    start = 0
    for n in magics + [len(lines)]:
        chunk = "\n".join(lines[start:n])
        if chunk.strip():
            tree = ast.parse("\n" * start + chunk, name)  # errors name the cell's lines
            split.append(("code", tree))
        if n < len(lines):
            split.append(("magic", _MAGIC.match(lines[n]).groups()))
        start = n + 1
    return split


def _magic_lines(lines: "list[str]") -> "list[int]":
    """The lines that start with % and do not lie within a text of several lines."""
    found = [n for n, line in enumerate(lines) if line.startswith("%")]
    code = "\n".join("#" if n in found else line for n, line in enumerate(lines))
    inside: "set[int]" = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.STRING:
                inside.update(range(token.start[0], token.end[0]))  # from the second line on, counted from 0
    except (tokenize.TokenError, SyntaxError):
        pass  # what is wrong with the code is said when it is parsed
    return [n for n in found if n not in inside]


def magic(name: str, argument: str, namespace: dict) -> "dict[str, str]":
    """Runs a magic and returns what is to be shown, from MIME type to data."""
    run = _MAGICS.get(name)
    if run is None:
        raise UnknownMagic("unknown magic command '%s'" % name)
    if not argument:
        raise ValueError("%%%s needs an argument" % name)
    return run(eval(compile(argument, "<stdin>", "eval"), namespace))


def _matplot(value) -> "dict[str, str]":
    """A figure, or the current one of pyplot."""
    figure = value.gcf() if hasattr(value, "gcf") else value
    if not hasattr(figure, "savefig"):
        raise TypeError("%%matplot shows pyplot or a figure, not %s" % type(value).__name__)
    return {"text/plain": "", "image/png": display.png(figure)}


def _plotly(value) -> "dict[str, str]":
    """A figure of plotly, with all that a notebook needs to show it."""
    if not hasattr(value, "to_html"):
        raise TypeError("%%plotly shows a figure of plotly, not %s" % type(value).__name__)
    return {"text/plain": "", "text/html": value.to_html(include_plotlyjs=True, full_html=False)}


def _json(value) -> "dict[str, str]":
    text = _dumped(value)
    return {"text/plain": text, "application/json": text}


def _table(value) -> "dict[str, str]":
    headers, data = _columns(value)
    text = _dumped({"headers": headers, "data": data})
    return {"text/plain": text, "text/html": _html(headers, data), "application/vnd.livy.table.v1+json": text}


def _html(headers: "list[dict[str, str]]", data: "list[list]") -> str:
    """The table for notebooks, which know no type of Livy's."""
    def row(tag: str, cells: list) -> str:
        return "<tr>%s</tr>" % "".join("<%s>%s</%s>" % (tag, html.escape("" if cell is None else str(cell)), tag) for cell in cells)

    return "<table><thead>%s</thead><tbody>%s</tbody></table>" % (row("th", [h["name"] for h in headers]), "".join(row("td", cells) for cells in data))


def _dumped(value) -> str:
    """JSON, in which numbers that it has not are null."""
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except ValueError:
        return json.dumps(json.loads(json.dumps(value, default=_plain), parse_constant=lambda name: None))


def _plain(value):
    """What JSON can hold of a value that it does not know: numbers of numpy are numbers."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else str(value)


def _columns(value) -> "tuple[list[dict[str, str]], list[list]]":
    """Headers and rows of a data frame of Spark or pandas, or of a list of dictionaries, rows or lists."""
    if hasattr(value, "schema") and hasattr(value, "limit"):
        # By position: names may be there twice.
        rows = value.limit(ROWS).collect()
        kinds = [next((_kind(row[n]) for row in rows if row[n] is not None), "NULL_TYPE") for n in range(len(value.columns))]
        return [{"name": c, "type": t} for c, t in zip(value.columns, kinds)], [list(row) for row in rows]
    elif hasattr(value, "to_dict") and hasattr(value, "columns"):
        rows = value.to_dict(orient="records")
    elif isinstance(value, (list, tuple)):
        rows = list(value)
    else:
        rows = [value]
    headers: "dict[str, str]" = {}
    named = []
    for row in rows:
        if hasattr(row, "asDict"):
            row = row.asDict()
        if not isinstance(row, dict):
            row = {str(n): cell for n, cell in enumerate(row if isinstance(row, (list, tuple)) else [row])}
        named.append({str(k): v for k, v in row.items()})
        for key, cell in named[-1].items():
            kind = _kind(cell)
            if headers.setdefault(key, kind) == "NULL_TYPE":
                headers[key] = kind
    return [{"name": k, "type": t} for k, t in headers.items()], [[row.get(k) for k in headers] for row in named]


def _kind(cell) -> str:
    if cell is None:
        return "NULL_TYPE"
    for kind, name in ((bool, "BOOLEAN_TYPE"), (int, "BIGINT_TYPE"), (float, "DOUBLE_TYPE"), (str, "STRING_TYPE"), (list, "ARRAY_TYPE"), (dict, "MAP_TYPE")):
        if isinstance(cell, kind):
            return name
    return type(cell).__name__.upper() + "_TYPE"


_MAGICS = {"matplot": _matplot, "plotly": _plotly, "json": _json, "table": _table}
