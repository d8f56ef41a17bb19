"""Ask the installed XLA how it reads flag strings."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jaxpad.core import child

_CHILD = Path(__file__).with_name("read_child.py")
_BOUND = 256 << 20  # bytes; the answer to one string is some ten thousand, and all are one call
_UNKNOWN = re.compile(r"Unknown flags? in XLA_FLAGS: (.*)")
# Before and since absl's logging: "2026-11-22 20:32:44.638: E a/b.cc:108] " and
# "F1122 20:18:54.774 6785 b.cc:234] ".
_LOGGED = re.compile(r"(?:[IWEF]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IWEF] ).*?\] ")
_NOTICE = re.compile(r"WARNING: All log|[IW]\d{4} |\d{4}-\d\d-\d\d [\d:.]+: [IW] ")
_DISTURBS = ("XLA_FLAGS", "TF_XLA_FLAGS", "TF_CPP_", "JAXPAD_")


@dataclass(frozen=True)
class Reading:
    """How XLA read one string: its CompileOptions, or why it refused."""

    options: bytes
    message: str
    asked: bool = True  # False where no answer came: a broken jaxlib, or too slow
    late: bool = False  # no answer came in time

    @property
    def ok(self) -> bool:
        """Whether XLA took every flag it saw. What it dropped it does not tell."""
        return bool(self.options)


def read(texts: Sequence[str], timeout: float = 60) -> tuple[Reading, ...]:
    """How XLA reads each string in XLA_FLAGS, from one child: 0.3 s and about 8 ms a string.

    Never raises for what XLA or jaxlib does: where the child dies or `timeout` (seconds)
    runs out, every string is refused with the reason as its message.
    """
    answer = child.run(
        child.python("-W", "ignore", str(_CHILD)),
        environ=child.importable(quiet(os.environ)),
        given=json.dumps(list(texts)),
        limit_s=timeout,
        bound=_BOUND,
    )
    if answer.late:
        reason = f"XLA's parser did not answer within {timeout:g} s{answer.note}"
        return (Reading(b"", reason, asked=False, late=True),) * len(texts)
    if answer.code != 0:
        reason = f"jaxlib did not start: {last_line(answer.err)}"
        return (Reading(b"", reason, asked=False),) * len(texts)
    return tuple(Reading(bytes.fromhex(sent), said) for sent, said in json.loads(answer.out))


def quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment for a child that only reads flags: CPU, and nobody else's flags.

    Nor anybody's log level, since XLA names a bad value in an error message only.
    """
    kept = {name: value for name, value in environ.items() if not name.startswith(_DISTURBS)}
    return kept | {"JAX_PLATFORMS": "cpu"}


def unknown_flags(message: str) -> tuple[str, ...]:
    """The names in XLA's complaint about unknown flags. It names all of them, in order."""
    found = _UNKNOWN.search(message)
    words = found[1].split() if found else []
    return tuple(word.removeprefix("--").partition("=")[0] for word in words)


def complaint(message: str) -> str:
    """The first line of what XLA's parser said that is no notice, without its time and place."""
    lines = [line for line in message.splitlines() if line.strip() and not is_notice(line)]
    return _LOGGED.sub("", lines[0])[:300] if lines else "it said nothing"


def is_notice(line: str) -> bool:
    """Whether a line that XLA logged is below an error."""
    return bool(_NOTICE.match(line))


def last_line(text: str) -> str:
    """The last line of a child's output that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


# Keep what XLA merely notes off standard error.


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Drop the notices that JAX's CUDA plugin writes while it is imported; pass on the rest.

    It says on every machine without a GPU that there is none, three times, before XLA's logging
    can be told to be quiet. What else is written comes out at the end.
    """
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            _pass_on(said)


def _pass_on(said: IO[bytes]) -> None:
    said.seek(0)
    for line in said:
        if not is_notice(line.decode(errors="replace")):
            os.write(2, line)
