"""One worker process, seen from the one that asks."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from jaxpad import flags
from jaxpad.core import child
from jaxpad.core.files import Folder
from jaxpad.effects.model import Words
from jaxpad.flags import complaint
from jaxpad.flags.schema import decode

_STEERING = ("XLA_", "TF_", "JAX_", "JAXPAD_", "CUDA_", "NVIDIA_")
_SAID = 1 << 20  # bytes of its standard error, in which the complaint is sought
# What a program does itself when it goes wrong; anything else came from outside.
_OWN_FAULTS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class DiedError(Exception):
    """The worker ended in the middle of a compile. `lasting` where it will do so again."""

    def __init__(self, message: str, *, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


class Child:
    """A worker: JAX on CPU with no flags but `words`, in a session of its own.

    So Ctrl-C in a terminal reaches only the parent, which ends it.
    """

    def __init__(self, words: Words = (), module: str = "jaxpad.effects.worker") -> None:
        receive, send = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        # A worker that is killed cannot tidy up; what it was writing goes with this folder.
        self._folder = Folder("effects")
        self._process = child.start(
            child.python("-W", "ignore", "-m", module, str(send)),
            environ=_environ(os.environ, words) | {"TMPDIR": str(self._folder.path)},
            stdin=child.PIPE,
            stdout=child.NOTHING,
            stderr=self._said,
            keep=[send],
        )
        os.close(send)
        self._answers = os.fdopen(receive, "rb", buffering=0)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def ask(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a request. Raises DiedError where none comes in `limit` seconds."""
        start = os.fstat(self._said.fileno()).st_size
        line = f"{json.dumps(dict(request) | {'limit': limit})}\n"
        try:
            os.write(self._stdin(), line.encode())
        except BrokenPipeError:
            raise self._death(start) from None
        answer = self._line(time.monotonic() + limit)
        if answer is None:
            raise DiedError(f"the compile did not end within {limit:g} s", lasting=False)
        if not answer:
            raise self._death(start)
        found: dict[str, Any] = json.loads(answer)
        return found

    def kill(self) -> None:
        """End the process; whoever waits for its answer is told that it died."""
        self._process.kill()

    def close(self) -> None:
        """End the process and give back all it held."""
        self._process.close()
        self._answers.close()
        self._said.close()
        self._folder.close()

    def _stdin(self) -> int:
        assert self._process.stdin is not None
        return self._process.stdin.fileno()

    def _line(self, until: float) -> bytes | None:
        """What came up to the end of a line; empty at the end of the pipe, None if too late."""
        parts: list[bytes] = []
        while not (parts and parts[-1].endswith(b"\n")):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                return None
            part = self._answers.read(1 << 16)
            if not part:
                return b""
            parts.append(part)
        return b"".join(parts)

    def _death(self, start: int) -> DiedError:
        code = self._process.wait(child.STUCK_S)
        if code is None:
            said = f"the compile's process {self.pid} closed its pipe and does not end"
            return DiedError(said, lasting=False)
        self._said.seek(start)
        said = complaint(self._said.read(_SAID).decode(errors="replace"))
        if code >= 0:
            return DiedError(f"the compile's process exits with {code}: {said}", lasting=False)
        name = signal.Signals(-code)
        why = f": {said}" if name in _OWN_FAULTS else ""
        return DiedError(
            f"the compile's process dies of {name.name}{why}", lasting=name in _OWN_FAULTS
        )


def _environ(environ: Mapping[str, str], words: Words) -> dict[str, str]:
    """Nothing that would steer JAX or XLA but what is asked for."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_STEERING)}
    ours = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": " ".join(words)}
    return child.importable(kept) | ours


# Flags as compile options: what XLA's own parser makes of them.


def read(sets: Iterable[Words]) -> dict[Words, tuple[Mapping[str, Any] | None, bytes]]:
    """Each flag set as compile options, with what XLA reads it as: none where only it knows.

    Two sets with the same reading are the same to XLA and need one compile. XLA reads
    XLA_FLAGS once in a process, so compile options stand for it where each flag shows in
    the reading. About 1.5 s: XLA is asked in children.

    Raises UsageError as `jaxpad.flags.catalogue` does.
    """
    wanted = list(sets)
    clean, *readings = flags.read(["", *(" ".join(words) for words in wanted)])
    hidden = _hidden({word for words in wanted for word in words}, clean.options)
    found: dict[Words, tuple[Mapping[str, Any] | None, bytes]] = {}
    for words, reading in zip(wanted, readings, strict=True):
        shown = reading.ok and hidden.isdisjoint(words)
        options = _options(clean.options, reading.options) if shown else None
        found[words] = (options, reading.options if options is not None else b"")
    return found


def _hidden(words: Iterable[str], clean: bytes) -> frozenset[str]:
    """The flags that set no option of their own nor, as an older spelling, another's."""
    known = flags.catalogue()
    others = [word for word in words if word.removeprefix("--").partition("=")[0] not in known]
    readings = flags.read(others) if others else ()
    return frozenset(
        word for word, read in zip(others, readings, strict=True) if read.options == clean
    )


class _NoFormError(Exception):
    """A whole message, which no compile option can carry: it goes by XLA_FLAGS alone."""


def _options(clean: bytes, given: bytes) -> dict[str, Any] | None:
    """The options that differ; None where one has no form as a compile option."""
    try:
        return dict(_differing(decode(clean), decode(given)))
    except _NoFormError:
        return None


def _differing(clean: Any, given: Any) -> Iterator[tuple[str, Any]]:
    for field in given.DESCRIPTOR.fields:
        if getattr(clean, field.name) != (value := getattr(given, field.name)):
            yield field.name, _spelled(field, value)


def _spelled(field: FieldDescriptor, value: Any) -> Any:
    """Compile options take bool, int, float and str; an enum and a list by their names."""
    if field.message_type is not None:
        raise _NoFormError
    if field.is_repeated:
        return ",".join(str(_one(field, each)) for each in value)
    return _one(field, value)


def _one(field: FieldDescriptor, value: Any) -> Any:
    return field.enum_type.values_by_number[value].name if field.enum_type else value


# The loop of a worker: a line of JSON in, a line of JSON out.

_GRACE = 10  # seconds that a parent has to end this process itself


def serve(pipe: int, answer: Callable[[dict[str, Any]], Any]) -> None:
    """Answer each request on standard input through the pipe, until there are no more.

    A request's `limit` is in seconds; standard output is the program's own.
    """
    with os.fdopen(pipe, "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            signal.alarm(int(request["limit"]) + _GRACE)  # ends a hang that nobody waits for
            answers.write(f"{json.dumps(answer(request))}\n")
            answers.flush()
            signal.alarm(0)
