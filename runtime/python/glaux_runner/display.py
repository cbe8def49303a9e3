"""What the value of a cell's last expression, or a figure, looks like to a client: a map from MIME type to data.

Text is a string; images are base64. text/plain is always there.
"""

import base64
import json
import sys

# Largest representation kept of one MIME type, characters.
LIMIT = 16 << 20
# Largest text/plain.
_PLAIN = 1 << 20

# Rows shown of a Spark DataFrame, as many as show() has.
ROWS = 20

_METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "text/latex": "_repr_latex_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "application/json": "_repr_json_",
}


def bundle(value: object) -> "dict[str, str]":
    """Represents a value. Runs the value's own code, which may raise or be interrupted."""
    data = {}
    figure = _figure(value)
    if figure is not None:
        data["image/png"] = figure
    elif type(value).__module__.startswith("plotly.") and hasattr(value, "to_json"):
        _add(data, "application/vnd.plotly.v1+json", value.to_json())
    elif not isinstance(value, type):
        _rich(data, value)
        _rows(data, value)
    plain = repr(value)
    if len(plain) > _PLAIN:
        plain = plain[:_PLAIN] + "… (%d more characters)" % (len(plain) - _PLAIN)
    return {"text/plain": plain, **data}


def _rich(data: "dict[str, str]", value: object) -> None:
    """Asks the methods that notebooks ask."""
    method = getattr(value, "_repr_mimebundle_", None)
    if callable(method):
        given = method(include=None, exclude=None)
        if isinstance(given, tuple):
            given = given[0]
        for mime, content in (given or {}).items():
            if mime != "text/plain":
                _add(data, mime, content)
    for mime, name in _METHODS.items():
        method = getattr(value, name, None)
        if mime in data or not callable(method):
            continue
        content = method()
        if isinstance(content, tuple):  # with metadata
            content = content[0]
        if content is not None:
            _add(data, mime, content)


def _rows(data: "dict[str, str]", value: object) -> None:
    """Adds the first rows of a Spark DataFrame as JSON, with its schema.

    {"schema": Spark's JSON of it, "rows": [an object per row, without nulls], "more": whether there are more}

    This runs a job, as show() does. It is left out for streams, for rows that cannot be computed or written
    (the cell is none the worse for it), and where spark.sql.repl.eagerEval.enabled was set: then Spark decides.
    """
    module = sys.modules.get("pyspark.sql.dataframe")
    if module is None or not isinstance(value, module.DataFrame):
        return
    try:
        if value.isStreaming or value.sparkSession.conf.get("spark.sql.repl.eagerEval.enabled", None) is not None:
            return
        # The select turns plain values, such as those of a range, into rows with names.
        rows = value.select("*").limit(ROWS + 1).toJSON().collect()
        text = '{"schema":%s,"rows":[%s],"more":%s}' % (
            value.schema.json(),
            ",".join(rows[:ROWS]),
            "true" if len(rows) > ROWS else "false",
        )
        _add(data, "application/json", text)
    except Exception:
        return


def _add(data: "dict[str, str]", mime: str, content: object) -> None:
    if isinstance(content, bytes):
        content = base64.b64encode(content).decode("ascii")
    elif not isinstance(content, str):
        content = json.dumps(content, default=repr)
    if len(content) <= LIMIT:
        data[mime] = content


def _figure(value: object) -> "str | None":
    """The image of a matplotlib figure, which is then closed so that it is not shown twice."""
    module = sys.modules.get("matplotlib.figure")
    if module is None or not isinstance(value, module.Figure):
        return None
    data = png(value)
    sys.modules["matplotlib.pyplot"].close(value) if "matplotlib.pyplot" in sys.modules else None
    return data


def png(figure) -> str:
    """Draws a matplotlib figure."""
    import io

    out = io.BytesIO()
    figure.savefig(out, format="png", bbox_inches="tight")
    return base64.b64encode(out.getvalue()).decode("ascii")


def open_figures() -> "list[dict[str, str]]":
    """Draws and closes the figures that are open in pyplot."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return []
    shown = []
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        if figure.get_axes() or figure.texts or figure.images:
            data = png(figure)
            if len(data) <= LIMIT:
                shown.append({"text/plain": repr(figure), "image/png": data})
        pyplot.close(figure)
    return shown
