"""Frames on the control socket: a big-endian u32 length, then JSON in UTF-8."""

import json
import os
import socket
import struct
import threading

_LENGTH = struct.Struct(">I")

# Largest frame accepted or sent, bytes. A larger display is replaced before it gets here.
LIMIT = 64 << 20


class Channel:
    """One end of the control socket. Sending is safe from several threads."""

    def __init__(self, sock: socket.socket):
        self._sock = sock
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @classmethod
    def inherited(cls, fd: int) -> "Channel":
        """Takes over the descriptor that the shim passed; children do not inherit it."""
        os.set_inheritable(fd, False)
        channel = cls(socket.socket(fileno=fd))
        os.register_at_fork(after_in_child=channel.forget)
        return channel

    def forget(self) -> None:
        """Closes a forked child's copy: only the runner itself speaks to the shim."""
        self._lock = threading.Lock()
        self._sock.close()

    def send(self, frame: dict) -> None:
        """Sends one frame. A shim that is gone is no error: reading tells."""
        body = json.dumps(frame, separators=(",", ":")).encode("utf-8")
        if len(body) > LIMIT:
            raise ValueError("frame of %d bytes" % len(body))
        try:
            with self._lock:
                self._sock.sendall(_LENGTH.pack(len(body)) + body)
        except OSError:
            pass

    def receive(self) -> "dict | None":
        """Returns the next frame, or None when the shim is gone."""
        head = self._read(_LENGTH.size)
        if head is None:
            return None
        (size,) = _LENGTH.unpack(head)
        if size > LIMIT:
            raise ValueError("frame of %d bytes" % size)
        body = self._read(size)
        return None if body is None else json.loads(body)

    def _read(self, size: int) -> "bytes | None":
        parts = []
        while size > 0:
            try:
                part = self._sock.recv(min(size, 1 << 20))
            except OSError:
                return None
            if not part:
                return None
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
