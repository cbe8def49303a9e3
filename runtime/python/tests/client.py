"""A Spark Connect client in a process of its own: run as a program it executes the lines of JSON that Client sends."""

import json
import os
import subprocess
import sys
import threading
import time

import glaux_training


class Client:
    """A stock client on a session's socket; each call of do is one block of code, and its last printed line the result."""

    def __init__(self, session, python: str):
        path = os.path.dirname(os.path.dirname(glaux_training.__file__))
        env = {**os.environ, "GLAUX_CLIENT_SOCKET": session.socket, "GLAUX_CLIENT_SECRET": session.secret, "PYTHONPATH": path}
        self.process = subprocess.Popen([python, __file__], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, code: str) -> None:
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()

    def answer(self, timeout: float = 120):
        """The value of the last expression, or the error's text; ends a client that gives none in time."""
        timer = threading.Timer(timeout, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        assert line, "the client gave no answer"
        return json.loads(line)

    def do(self, code: str, timeout: float = 120):
        self.send(code)
        return self.answer(timeout)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_for(what, timeout: float = 60):
    """Waits until what() is true and returns that."""
    end = time.monotonic() + timeout
    while True:
        found = what()
        if found or time.monotonic() > end:
            return found
        time.sleep(0.02)


def main() -> None:
    import ast

    from glaux_training.connect import Socket
    from pyspark.sql.connect.session import SparkSession

    names = {"spark": SparkSession(connection=Socket(os.environ["GLAUX_CLIENT_SOCKET"], os.environ["GLAUX_CLIENT_SECRET"]))}
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        try:
            tree = ast.parse(json.loads(line))
            last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<client>", "exec"), names)
            value = eval(compile(last, "<client>", "eval"), names) if last is not None else None
        except Exception as failed:
            value = "%s: %s" % (type(failed).__name__, failed)
        out.write(json.dumps(value, default=lambda v: v.item() if hasattr(v, "item") else str(v)) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
