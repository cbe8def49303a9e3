"""Standard output and error of the cells, at descriptor level."""

import fcntl
import io
import os
import sys

_NAMES = {1: "stdout", 2: "stderr"}


class Stdio:
    """Keeps descriptors 1 and 2 usable whatever a cell does to them.

    Writing to sys.stdout reaches the pipe at each end of line, so that a
    reader sees lines while the cell runs; C code and subprocesses write to the
    same descriptors. A cell may close or replace them; the next one starts
    with the pipes in place. A sys.stdout that a cell has replaced by a working
    object stays replaced.
    """

    def __init__(self):
        self._pipes = {}
        self.streams = {}
        for fd in _NAMES:
            copy = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100)
            stat = os.fstat(copy)
            self._pipes[fd] = (copy, (stat.st_dev, stat.st_ino))
            self._open(fd)

    def _open(self, fd: int) -> None:
        raw = io.FileIO(fd, "w", closefd=False)
        stream = io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)
        stream.mode = "w"
        self.streams[fd] = stream
        setattr(sys, _NAMES[fd], stream)
        setattr(sys, "__%s__" % _NAMES[fd], stream)

    def restore(self) -> None:
        """Puts the pipes and usable streams back in place. Called around every cell."""
        for fd, (copy, identity) in self._pipes.items():
            try:
                stat = os.fstat(fd)
                if (stat.st_dev, stat.st_ino) != identity:
                    os.dup2(copy, fd)
            except OSError:
                os.dup2(copy, fd)
            current = getattr(sys, _NAMES[fd], None)
            if self.streams[fd].closed:
                self._open(fd)
            elif current is None or getattr(current, "closed", False) or not hasattr(current, "write"):
                setattr(sys, _NAMES[fd], self.streams[fd])
        if sys.stdin is None or getattr(sys.stdin, "closed", False):  # exit() closes it
            sys.stdin = sys.__stdin__ = open(os.devnull)

    def flush(self) -> None:
        """Writes out what any of the streams holds back. Never raises."""
        for fd, name in _NAMES.items():
            for stream in {id(s): s for s in (getattr(sys, name, None), self.streams[fd])}.values():
                try:
                    stream.flush()
                except KeyboardInterrupt:
                    raise
                except BaseException:  # a user's object, or a closed descriptor: its text is lost either way
                    continue

    def write_error(self, text: str) -> None:
        """Writes text to the real standard error, whatever sys.stderr is. Never raises but for an interrupt."""
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        fd = self._pipes[2][0]
        try:
            while data:
                data = data[os.write(fd, data):]
        except OSError:
            pass
