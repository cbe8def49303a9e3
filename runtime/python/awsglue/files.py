"""Files below paths of the session's file systems, by way of Hadoop."""

import json
import re


class File:
    """A file: its path, when it was changed last (milliseconds since 1970) and its size in bytes."""

    def __init__(self, path: str, modified: int, size: int):
        self.path, self.modified, self.size = path, modified, size


def list_files(spark, paths: "list[str]", recurse: bool, exclusions: "list[str]") -> "list[File]":
    """The files at or below the paths, in order. Names that begin with _ or . are not data; exclusions are glob patterns."""
    hadoop = spark._jvm.org.apache.hadoop.fs
    conf = spark._jsc.hadoopConfiguration()
    found: "list[File]" = []
    for path in paths:
        root = hadoop.Path(path)
        matched = root.getFileSystem(conf).globStatus(root)
        if matched is None or len(matched) == 0:
            raise FileNotFoundError("there is nothing at " + path)
        for status in matched:
            _walk(root.getFileSystem(conf), status, recurse, True, found)
    kept = [f for f in found if not any(_excluded(f.path, e) for e in exclusions)]
    return sorted(kept, key=lambda f: f.path)


def _walk(fs, status, recurse: bool, top: bool, found: "list[File]") -> None:
    path = status.getPath()
    if not top and path.getName().startswith(("_", ".")):
        return
    if status.isFile():
        if not path.getName().endswith("_$folder$"):
            found.append(File(path.toString(), status.getModificationTime(), status.getLen()))
        return
    if top or recurse:
        for below in fs.listStatus(path):
            _walk(fs, below, recurse, False, found)


def _excluded(path: str, pattern: str) -> bool:
    if "://" not in pattern:
        path = path.split("://", 1)[-1].split("/", 1)[-1]
    return re.fullmatch(_expression(pattern), path) is not None


def _expression(pattern: str) -> str:
    """A glob as a regular expression: * and ? stay within a name, ** does not, {a,b} is one of several, [ab] one of some characters."""
    out, at, braces = "", 0, 0
    while at < len(pattern):
        c = pattern[at]
        if pattern.startswith("**", at):
            out, at = out + ".*", at + 2
            continue
        if c == "[" and "]" in pattern[at + 1:]:
            end = pattern.index("]", at + 1)
            inside = pattern[at + 1:end]
            out += "[" + ("^" if inside.startswith(("!", "^")) else "") + re.escape(inside.lstrip("!^")).replace(r"\-", "-") + "]"
            at = end + 1
            continue
        if c == "\\" and at + 1 < len(pattern):
            out, at = out + re.escape(pattern[at + 1]), at + 2
            continue
        braces += {"{": 1, "}": -1}.get(c, 0)
        out += {"*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}.get(c) or ("|" if c == "," and braces else re.escape(c))
        at += 1
    return out


def exclusions(value) -> "list[str]":
    """The option exclusions: a list, or the text of one in JSON."""
    if not value:
        return []
    return list(value) if isinstance(value, (list, tuple)) else json.loads(value)


def read_text(spark, path: str) -> "str | None":
    """The text of a file; None: there is none."""
    hadoop = spark._jvm.org.apache.hadoop.fs
    at = hadoop.Path(path)
    fs = at.getFileSystem(spark._jsc.hadoopConfiguration())
    if not fs.exists(at):
        return None
    stream = fs.open(at)
    try:
        return spark._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8")
    finally:
        stream.close()


def write_text(spark, path: str, text: str) -> None:
    """Replaces a file. On an object store nothing of the new one is seen before all of it is; elsewhere it is renamed into place."""
    hadoop = spark._jvm.org.apache.hadoop.fs
    at = hadoop.Path(path)
    fs = at.getFileSystem(spark._jsc.hadoopConfiguration())
    objects = at.toUri().getScheme() in ("s3", "s3a", "s3n")
    to = at if objects else hadoop.Path(path + ".new")
    stream = fs.create(to, True)
    stream.write(bytearray(text.encode("utf-8")))
    stream.close()
    if not objects:
        fs.delete(at, False)
        fs.rename(to, at)


def delete(spark, path: str) -> None:
    """Removes a file."""
    at = spark._jvm.org.apache.hadoop.fs.Path(path)
    at.getFileSystem(spark._jsc.hadoopConfiguration()).delete(at, False)
