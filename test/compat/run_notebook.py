"""Runs one notebook by nbclient, as `jupyter execute` does, and writes what came out.

Usage: run_notebook.py IN OUT

It runs with the Python of the kernels' environment. Errors of cells are kept as
outputs. What a person would do beside the notebook is in a cell's metadata:
"interrupt" presses the stop button after so many seconds, and "await" has the
cell wait until the session is in that state.
"""

import asyncio
import re
import sys

import boto3
import nbformat
from nbclient import NotebookClient

GONE = ("FAILED", "TIMEOUT", "STOPPED")


class Person:
    """Whoever sits at the notebook, with the account's keys to look at the session."""

    def __init__(self, notebook):
        self.notebook = notebook
        self.glue = boto3.Session().client("glue")
        # The kernel sends no reply to a cell that is interrupted; nbclient has
        # a way for kernels like that, and then waits until it is idle again.
        self.client = NotebookClient(
            notebook, kernel_name=notebook.metadata.kernelspec.name, allow_errors=True, on_cell_start=self.before,
            timeout_func=lambda cell: cell.metadata.get("interrupt", 120), interrupt_on_timeout=True, iopub_timeout=30,
            error_on_timeout={"ename": "KeyboardInterrupt", "evalue": "", "traceback": []})

    def session(self):
        """The id of the newest session, from what the kernel said of it."""
        said = "".join(o.get("text", "") for c in self.notebook.cells for o in c.get("outputs", []))
        return re.findall(r"^Session (\S+) has been created\.", said, re.MULTILINE)[-1]

    async def before(self, cell, cell_index):
        wanted = cell.metadata.get("await")
        while wanted:
            state = self.glue.get_session(Id=self.session())["Session"]["Status"]
            if state == wanted:
                return
            assert state not in GONE, f"the session is {state}, not {wanted}"
            await asyncio.sleep(0.2)


def main(source, target):
    notebook = nbformat.read(source, as_version=4)
    try:
        Person(notebook).client.execute()
    finally:
        nbformat.write(notebook, target)


main(*sys.argv[1:])
