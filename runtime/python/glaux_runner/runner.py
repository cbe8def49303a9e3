"""The runner: cells in the main thread, control frames in a thread of their own.

The channel is read by a thread so that an interrupt is seen while a cell runs.
An interrupt is SIGINT to the main thread, repeated until the cell ends: code
may catch the first one, and a call to the JVM is given a moment to end by
itself when the shim cancels its Spark jobs.
"""

import ast
import asyncio
import builtins
import inspect
import os
import queue
import signal
import sys
import threading
import time
import types

from glaux_runner import display, errors, loggers, plain
from glaux_runner.channel import Channel
from glaux_runner.stdio import Stdio

# The time between signals while a cell does not end, seconds.
_REPEAT = 0.3
# How long a call to the JVM may take to end by itself after an interrupt, seconds.
_GRACE = 1.0

_FILE = "<stdin>"

# Outermost frames of these files are not the user's.
_OWN = frozenset({__file__, display.__file__, plain.__file__, ast.__file__, asyncio.base_events.__file__, asyncio.futures.__file__})

_runner: "Runner | None" = None


def _evaluate(code, namespace):
    """Runs compiled user code. Only what runs below this frame is ever interrupted."""
    return eval(code, namespace)


def _call(function, *args):
    """Calls user code that is not a cell's own, such as a value's repr; interruptible like _evaluate."""
    return function(*args)


_INTERRUPTIBLE = frozenset({_evaluate.__code__, _call.__code__})


class Runner:
    """Executes cells, one at a time, in one namespace."""

    def __init__(self, channel: Channel, stdio: Stdio):
        self._channel = channel
        self._stdio = stdio
        self._pid = os.getpid()
        self._main = threading.main_thread().ident
        self._work: "queue.SimpleQueue[dict]" = queue.SimpleQueue()
        self._spark = None  # module glaux_runner.spark, once imported
        self._attached = None
        self._scala = False  # the language of cells
        self._plain = False  # how values are shown: as Python's prompt does, or as a notebook
        self._loop: "asyncio.AbstractEventLoop | None" = None

        self._lock = threading.Lock()
        self._waiting: "dict[str, bool]" = {}  # cells to come, and whether their interrupt was asked for; guarded by the lock
        self._cell = ""  # the running cell; guarded by the lock
        self._interrupted = 0.0  # when its interrupt was asked for, monotonic; 0: not; guarded by the lock
        self._ended = threading.Condition(self._lock)

        self.module = types.ModuleType("__main__")
        self.module.__builtins__ = builtins
        sys.modules["__main__"] = self.module  # functions defined by cells pickle by value
        self.module.athena_user_logger = loggers.logger("user")
        self.module.athena_shared_logger = loggers.logger("shared")

    # The main thread.

    def run(self) -> None:
        """Works for ever: the control thread ends the process."""
        signal.signal(signal.SIGINT, self._on_signal)
        threading.Thread(target=self._listen, name="glaux-control", daemon=True).start()
        from glaux_runner import spark

        self._spark = spark
        signal.signal(signal.SIGINT, self._on_signal)
        self._channel.send({"ev": "imported"})
        while True:
            frame = self._work.get()
            if frame["op"] == "attach":
                self._attach(frame)
            elif frame["op"] == "claim":
                self._claim(frame)
            else:
                self._run_cell(frame["id"], frame["code"])

    def _attach(self, frame: dict) -> None:
        sys.argv = [""] + [str(a) for a in frame.get("argv") or []]
        try:
            self._attached = self._spark.Attached(frame["port"], frame["secret"])
            if frame.get("language") == "scala":
                self._attached.start_scala()
                self._scala = True
        except BaseException as failed:
            self._channel.send({"ev": "attachFailed", "error": "%s: %s" % (type(failed).__name__, failed)})
            return
        finally:
            signal.signal(signal.SIGINT, self._on_signal)  # SparkContext installs one of its own
        self.module.sc = self._attached.context
        self.module.spark = self._attached.session
        if frame.get("rehearse"):
            self._attached.rehearse()
        else:
            self._show(frame)
        self._channel.send({"ev": "attached"})

    def _show(self, frame: dict) -> None:
        """Takes over how values are shown, and with it which names cells find."""
        self._plain = frame.get("display") == "plain"
        if self._plain:
            self.module.sqlContext = self._spark.sql_context(self._attached)
            del self.module.athena_user_logger, self.module.athena_shared_logger  # Athena's

    def _claim(self, frame: dict) -> None:
        """Becomes the runner of a session, after it has waited for one."""
        sys.argv = [""] + [str(a) for a in frame.get("argv") or []]
        if self._attached is not None:  # else it is attached next
            self._attached.claim(frame.get("name") or "")
            self._show(frame)
        self._channel.send({"ev": "claimed"})

    def _run_scala(self, cell: str, code: str) -> None:
        """Hands a cell over to the JVM, which also interrupts it: no signal ends the wait, or the next cell would meet this one."""
        with self._lock:
            self._cell = cell
            early = self._waiting.pop(cell, False)
        done = {"ok": False, "interrupted": True, "error": {"name": "InterruptedException", "value": "the cell was interrupted", "traceback": []}}
        if not early:
            try:
                done = self._attached.run_scala(cell, code)
            except Exception as lost:  # with the JVM
                done.update(interrupted=False, error=errors.describe(lost, _OWN)[1])
        with self._lock:
            interrupted = early or self._interrupted > 0
            self._interrupted = 0.0
            self._cell = ""
            self._ended.notify_all()
        if not done["ok"] and interrupted:
            done["interrupted"] = True
        self._channel.send({"ev": "done", "id": cell, **done})

    def _run_cell(self, cell: str, code: str) -> None:
        if self._scala:
            self._run_scala(cell, code)
            return
        self._stdio.restore()
        with self._lock:
            self._cell = cell
            self._interrupted = time.monotonic() if self._waiting.pop(cell, False) else 0.0
        error = None
        try:
            if self._interrupted:
                raise KeyboardInterrupt  # asked for before it began
            self._begin(cell)
            self._execute(cell, code)
        except BaseException as raised:
            error = raised
        if os.getpid() != self._pid:
            self._leave_child(error)
        with self._lock:
            interrupted = self._interrupted > 0
            self._cell = ""  # from here on no signal raises
            self._ended.notify_all()
        done = {"ev": "done", "id": cell, "ok": True, "interrupted": False}
        if error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0)):
            text, shown = errors.describe(error, _OWN, _HANDLER, header=self._plain)
            self._stdio.flush()
            if not self._plain:  # there clients show the error's parts
                self._stdio.write_error(text)
            done.update(ok=False, interrupted=interrupted, error=shown)
        error = None
        self._stdio.restore()
        self._stdio.flush()
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) != self._on_signal:
            signal.signal(signal.SIGINT, self._on_signal)
        self._channel.send(done)

    def _begin(self, cell: str) -> None:
        if self._attached is None:
            return
        try:
            self._attached.begin(cell)
        except Exception:  # the JVM is gone, which the shim sees for itself, or user code broke the gateway
            pass

    def _execute(self, cell: str, code: str) -> None:
        if self._plain:
            self._execute_plain(cell, code)
            return
        body, last = self._compile(code)
        namespace = self.module.__dict__
        if body is not None:
            self._evaluate(body, namespace)
        value = None
        if last is not None:
            value = self._evaluate(last, namespace)
        data = None if value is None else _call(display.bundle, value)
        self._figures(cell)
        if data is not None:
            self._channel.send({"ev": "display", "id": cell, "data": data, "final": True})

    def _execute_plain(self, cell: str, code: str) -> None:
        """Runs a cell as Python's prompt would: the last statement prints its values."""
        namespace = self.module.__dict__
        for kind, what in _call(plain.parts, code, _FILE):
            if kind == "magic":
                self._stdio.flush()
                data = _call(plain.magic, *what, namespace)
                self._channel.send({"ev": "display", "id": cell, "data": data, "final": True})
                continue
            last = [what.body.pop()] if what.body else []
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            if what.body:
                self._evaluate(_call(compile, what, _FILE, "exec", flags), namespace)
            if last:
                self._evaluate(_call(compile, ast.Interactive(last), _FILE, "single", flags), namespace)

    def _compile(self, code: str):
        """Splits a cell into its statements and a last expression, each compiled or None."""
        tree = _call(ast.parse, code, _FILE)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        return (
            _call(compile, tree, _FILE, "exec", flags) if tree.body else None,
            _call(compile, last, _FILE, "eval", flags) if last is not None else None,
        )

    def _evaluate(self, code, namespace):
        if code.co_flags & inspect.CO_COROUTINE:
            if self._loop is None or self._loop.is_closed():
                self._loop = asyncio.new_event_loop()
                asyncio.set_event_loop(self._loop)
            return _call(self._loop.run_until_complete, _evaluate(code, namespace))
        return _evaluate(code, namespace)

    def _figures(self, cell: str) -> None:
        if "matplotlib.pyplot" in sys.modules:
            for data in _call(display.open_figures):
                self._channel.send({"ev": "display", "id": cell, "data": data, "final": False})

    def show_figures(self) -> None:
        """Sends the open figures as part of the running cell."""
        with self._lock:
            cell = self._cell
        if cell and os.getpid() == self._pid and not self._plain:
            for data in display.open_figures():
                self._channel.send({"ev": "display", "id": cell, "data": data, "final": False})

    def _leave_child(self, error: "BaseException | None") -> None:
        """Ends a process that the cell forked and that came back out of the cell."""
        code = 0
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
        elif error is not None:
            code = 1
            self._stdio.write_error(errors.describe(error, _OWN, _HANDLER)[0])
        self._stdio.flush()
        os._exit(code & 0xFF)

    def _on_signal(self, number, frame) -> None:
        """SIGINT: raises in the cell's code if its interrupt was asked for."""
        if os.getpid() != self._pid:
            raise KeyboardInterrupt
        asked = self._interrupted  # read without the lock, which this thread may hold
        if not self._cell or not asked or threading.current_thread() is not threading.main_thread():
            return
        waiting = None
        at = frame
        while at is not None:
            if at.f_code in _INTERRUPTIBLE:
                break
            if self._spark is not None and at.f_code is self._spark.JVM_CALL:
                waiting = at
            at = at.f_back
        if at is None or at is frame:
            return  # in the runner itself; the next signal will find the cell's code
        if waiting is not None:
            if time.monotonic() - asked < _GRACE:
                return
            self._spark.abandon(waiting)
        raise KeyboardInterrupt

    # The control thread.

    def _listen(self) -> None:
        while True:
            frame = self._channel.receive()
            if frame is None or frame.get("op") == "exit":
                break
            op = frame.get("op")
            if op in ("attach", "claim"):
                self._work.put(frame)
            elif op == "run":
                with self._lock:
                    self._waiting[frame["id"]] = False
                self._work.put(frame)
            elif op == "ping":
                self._channel.send({"ev": "pong", "n": frame.get("n")})
            elif op == "interrupt":
                with self._lock:
                    if frame.get("id") in self._waiting:
                        self._waiting[frame["id"]] = True
                    elif self._cell == frame.get("id") and not self._interrupted:
                        self._interrupted = time.monotonic()
                        threading.Thread(target=self._signal, args=(self._cell,), name="glaux-interrupt", daemon=True).start()
        os._exit(0)  # nobody is left to hear of a cell; its threads and exit handlers do not hold the process

    def _signal(self, cell: str) -> None:
        """Signals the main thread until the cell has ended."""
        with self._lock:
            while self._cell == cell:
                signal.pthread_kill(self._main, signal.SIGINT)
                self._ended.wait(_REPEAT)


_HANDLER = frozenset({Runner._on_signal.__code__})


def show_figures() -> None:
    """Called by the matplotlib backend's show()."""
    if _runner is not None:
        _runner.show_figures()


def main() -> None:
    """Runs cells until the shim is gone."""
    global _runner
    os.environ.setdefault("MPLBACKEND", "module://glaux_runner.figures")
    channel = Channel.inherited(3)
    _runner = Runner(channel, Stdio())
    _runner.run()
