"""What holds for every command: where its words go, and how a signal ends it.

A reader that has gone away, as `head` does, a closed stream or a full disk behind it change no
verdict. Light: `jaxpad --help` starts with this.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import TextIO

_GONE = (errno.EPIPE, errno.EBADF, errno.ECONNRESET)  # nobody reads on: no word about it
_MOST = 2000  # characters of a refusal; what was given may be a megabyte
_HIDDEN = ((code, "\ufffd") for code in (*range(9), *range(11, 32), *range(127, 160)))
_CONTROLS = dict(_HIDDEN)  # with them text from elsewhere would steer the terminal


class _Sink(io.FileIO):
    """A standard stream that never raises: what cannot be written is dropped."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.lost: OSError | None = None

    def write(self, data: object) -> int:
        """Write what can be; all of it counts as written."""
        try:
            if self.lost is None:
                return super().write(data)  # type: ignore[arg-type]
        except BlockingIOError:
            raise
        except OSError as error:
            self.lost = error
        return memoryview(data).nbytes  # type: ignore[arg-type]


_ERRORS = "jaxpad"  # our own way with what an encoding lacks


def _as_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes of a file's name that are no text as they were; `?` for all else."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = map(ord, error.object[error.start : error.end])
    told = (bytes([one - 0xDC00]) if 0xDC80 <= one <= 0xDCFF else b"?" for one in lacking)
    return b"".join(told), error.end


def own_streams() -> None:
    """Put streams in place of Python's own that end no command.

    A pipe and a file get UTF-8 whatever the locale. A terminal gets its own encoding, with `?`
    for what that lacks.
    """
    codecs.register_error(_ERRORS, _as_bytes)
    _open_closed()
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is getattr(sys, f"__{name}__"):  # else a test has it
            setattr(sys, name, _stream(number, getattr(sys, name)))


def _open_closed() -> None:
    """Standard streams that are closed (`>&-`): else the next file that is opened is one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _stream(number: int, before: TextIO | None) -> TextIO:
    terminal = os.isatty(number)
    encoding = before.encoding if terminal and before else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(_Sink(number)),
        encoding=encoding,
        errors=_ERRORS,
        line_buffering=terminal or number == 2,
    )


def settle() -> None:
    """Write what is left, and say on stderr where stdout could not be written."""
    sys.stdout.flush()
    lost = _lost(sys.stdout)
    if lost and lost.errno not in _GONE:
        sys.stderr.write(f"jaxpad: standard output cannot be written ({lost.strerror})\n")
    sys.stderr.flush()


def _lost(stream: TextIO) -> OSError | None:
    sink = getattr(getattr(stream, "buffer", None), "raw", None)
    return sink.lost if isinstance(sink, _Sink) else None


def refusal(error: Exception) -> str:
    """A usage error's sentence as it is printed: no control characters, and not without end."""
    said = str(error)
    said = said if len(said) <= _MOST else f"{said[: _MOST // 2]} … {said[-_MOST // 2 :]}"
    return f"jaxpad: {said.translate(_CONTROLS)}\n"


def interrupted(error: KeyboardInterrupt) -> int:
    """Say that a signal ended the command; its exit code, 128 and the signal's number."""
    from jaxpad.core.lifeline import exit_code  # here: help does without

    name = str(error) or "SIGINT"
    sys.stderr.write(f"jaxpad: interrupted by {name}\n")
    return exit_code(name)
