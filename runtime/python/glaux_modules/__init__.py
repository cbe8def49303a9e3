"""Installs the Python packages that one session has beside the runtime's.

The shim runs this before the session's own processes, as the session's user: what pip builds may run any code. Nothing that is
installed here is taken over before all processes have ended.
"""

import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse
import venv

# What the runner and Spark stand on. Another version of it would not talk to the session's JVM.
_FIXED = ("pyspark", "py4j")

# Runs pip with arguments from its standard input: those of a command line can be read by everybody, and an index may be named with
# its password.
_PIP = "import json, runpy, sys; sys.argv[1:] = json.load(sys.stdin); runpy.run_module('pip', run_name='__main__', alter_sys=True)"

# Variables that would send packages elsewhere than here.
_ELSEWHERE = frozenset("PIP_" + name for name in ("TARGET", "PREFIX", "ROOT", "USER", "PYTHON", "LOG", "SRC", "REPORT", "DRY_RUN", "REQUIRE_VIRTUALENV", "CACHE_DIR"))


class Failed(Exception):
    """The packages cannot be had; the text is for people."""


def _s3(spec: str) -> "tuple[str, str]":
    url = urllib.parse.urlsplit(spec, allow_fragments=False)
    key = url.path.lstrip("/")
    if not url.netloc or not key or key.endswith("/"):
        raise Failed("%s does not name an object" % spec)
    return url.netloc, key


def _client():
    import boto3  # only where it is needed: it takes a while
    from botocore.config import Config

    return boto3.client("s3", config=Config(s3={"addressing_style": "path"}, proxies={}))


def identify(words: "list[str]") -> "dict[str, str]":
    """The content of every s3:// object among the words, as its entity tag. The session's role has to be allowed to read it."""
    found, client = {}, None
    for word in words:
        if not word.startswith("s3://"):
            continue
        bucket, key = _s3(word)
        client = client or _client()
        try:
            found[word] = client.head_object(Bucket=bucket, Key=key)["ETag"]
        except Exception as refused:
            raise Failed("%s cannot be read: %s" % (word, refused)) from refused
    return found


def _fetch(words: "list[str]", tags: "dict[str, str]", into: pathlib.Path) -> "list[str]":
    """The words with files in the place of s3:// objects."""
    local, client = [], None
    for number, word in enumerate(words):
        if word in tags:
            bucket, key = _s3(word)
            client = client or _client()
            path = into / str(number) / key.rsplit("/", 1)[-1]  # pip reads a wheel's name
            path.parent.mkdir(parents=True)
            try:
                with path.open("wb") as file:
                    shutil.copyfileobj(client.get_object(Bucket=bucket, Key=key, IfMatch=tags[word])["Body"], file)
            except Exception as refused:
                raise Failed("%s cannot be read: %s" % (word, refused)) from refused
            word = str(path)
        local.append(word)
    return local


def install(options: "list[str]", specs: "list[str]", tags: "dict[str, str]", env: "dict[str, str]", config: "dict[str, str]", into: str) -> int:
    """Has pip install the packages; they are in the directory "site" below into afterwards. Returns pip's status.

    pip sees the runtime's packages as installed and leaves them alone: what satisfies a requirement is not installed again, and what
    does not is shadowed by another version.
    """
    base = pathlib.Path(into)
    made = base / "env"
    venv.EnvBuilder(with_pip=False, symlinks=True).create(made)
    site = made / "lib" / ("python%d.%d" % sys.version_info[:2]) / "site-packages"
    link = site / "_runtime.pth"
    link.write_text("\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n")
    constraints = base / "constraints.txt"
    constraints.write_text("".join("%s==%s\n" % (name, importlib.metadata.version(name)) for name in _FIXED))
    home = base / "home"
    for name, text in config.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PYTHON"))}
    given = {k: v for k, v in env.items() if k not in _ELSEWHERE}
    if "PIP_CONFIG_FILE" in given and "pip-config-file" in config:
        given["PIP_CONFIG_FILE"] = str(home / "pip-config-file")
    arguments = ["install", "--no-input", "--no-color", "--progress-bar", "off", "--no-cache-dir", "--disable-pip-version-check",
                 "--no-warn-script-location", "--constraint", str(constraints)]
    arguments += _fetch(options + specs, tags, base / "files")
    home.mkdir(exist_ok=True)
    done = subprocess.run([str(made / "bin" / "python"), "-c", _PIP], input=json.dumps(arguments).encode(),
                          env={**inherited, **given, "HOME": str(home), "PYTHONNOUSERSITE": "1"})
    if done.returncode == 0:
        link.unlink()
        site.rename(base / "site")
    return done.returncode


def main(arguments: "list[str]") -> int:
    asked = json.load(sys.stdin)
    try:
        if arguments[0] == "identify":
            print(json.dumps(identify(asked["options"] + asked["specs"])))
            return 0
        return install(asked["options"], asked["specs"], asked["tags"], asked["env"], asked["config"], asked["into"])
    except Failed as failed:
        print("ERROR: %s" % failed, file=sys.stderr)
        return 1
