"""What a child says, read while it runs: bounded, and never waited for without a limit."""

from __future__ import annotations

import math
import os
import selectors
import time
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from jaxpad.core.child import Child

_READ = 1 << 16  # bytes: what a pipe holds
_TICK_S = 0.05  # how soon the end of a child is seen whose output somebody else keeps open
_LINGER_S = 1.0  # for the last words of what has ended, or was killed


class _Stream:
    """One stream of a child, up to a number of bytes; the rest is read and dropped."""

    event = selectors.EVENT_READ

    def __init__(self, pipe: IO[bytes], bound: int) -> None:
        self.pipe, self._bound = pipe, bound
        self._parts = bytearray()
        self.cut = False

    def serve(self) -> bool:
        """Read what has come; False at its end."""
        part = os.read(self.pipe.fileno(), _READ)
        room = self._bound - len(self._parts)
        self.cut = self.cut or len(part) > room
        self._parts += part[:room]
        return bool(part)

    @property
    def text(self) -> str:
        """As UTF-8 with one kind of line end, whatever is no UTF-8 replaced."""
        text = self._parts.decode(errors="replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")


class _Given:
    """What a child is given on its standard input."""

    event = selectors.EVENT_WRITE

    def __init__(self, pipe: IO[bytes], data: bytes) -> None:
        self.pipe, self._left = pipe, memoryview(data)
        os.set_blocking(pipe.fileno(), False)

    def serve(self) -> bool:
        """Write what the pipe takes; False once all is written or the child reads no more."""
        try:
            self._left = self._left[os.write(self.pipe.fileno(), self._left[:_READ]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return len(self._left) > 0


class Collector:
    """Follows a child whose standard streams are pipes, all or some of them."""

    def __init__(self, child: Child, bound: int, given: bytes = b"") -> None:
        self._child = child
        self._out = _Stream(child.stdout, bound) if child.stdout else None
        self._err = _Stream(child.stderr, bound) if child.stderr else None
        wanted = _Given(child.stdin, given) if child.stdin else None
        streams = (self._out, self._err, wanted)
        self._open: list[_Stream | _Given] = [each for each in streams if each]

    def follow(self, limit_s: float | None) -> bool:
        """Until the child has ended and said all; False if that takes more than `limit_s`."""
        until = math.inf if limit_s is None else time.monotonic() + limit_s
        while self._child.poll() is None:
            left = until - time.monotonic()
            if left <= 0:
                return False
            if self._open:
                self._serve(min(left, _TICK_S))
            else:
                self._child.wait(None if limit_s is None else left)
        self._child.end()  # and what it has left running in its group
        self.last_words()
        return True

    def last_words(self) -> None:
        """What is in the pipes of a child that has ended, or was killed."""
        until = time.monotonic() + _LINGER_S
        while self._open and (left := until - time.monotonic()) > 0:
            self._serve(left)

    def _serve(self, limit_s: float) -> None:
        """Read and write what can be within `limit_s`."""
        with selectors.PollSelector() as waiting:
            for each in self._open:
                waiting.register(each.pipe, each.event, each)
            for key, _ in waiting.select(limit_s):
                if not key.data.serve():
                    key.data.pipe.close()
                    self._open.remove(key.data)

    @property
    def out(self) -> str:
        return self._out.text if self._out else ""

    @property
    def err(self) -> str:
        return self._err.text if self._err else ""

    @property
    def cut(self) -> bool:
        """Whether there was more than was kept."""
        return any(each.cut for each in (self._out, self._err) if each)
