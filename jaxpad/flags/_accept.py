"""Whether the installed XLA takes a flag string."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpad.flags._ask import complaint, read, unknown_flags
from jaxpad.profiles import parse


@dataclass(frozen=True)
class Acceptance:
    """The installed XLA's answer to a flag string.

    `unknown` names every flag it does not know, `bad_value` the first flag whose value it
    refuses. A string cut short by a stray token is accepted: XLA never sees the rest
    (`jaxpad.profiles.parse` does). `late`: there was no answer in time, so nothing is known.
    """

    ok: bool
    unknown: tuple[str, ...] = ()
    bad_value: str | None = None
    message: str = ""
    late: bool = False


def accept(text: str, timeout: float = 60) -> Acceptance:
    """Ask the real parser, in a child that imports jaxlib but not JAX: about 0.4 s.

    Each flag is asked alone as well, since XLA keeps quiet about unknown flags where a
    value is bad, and about which value that is. Never raises; `timeout` is in seconds.
    """
    flags = parse(text).flags
    whole, *alone = read([text, *(flag.quoted for flag in flags)], timeout)
    if whole.ok:
        return Acceptance(ok=True)
    if not whole.asked:
        return Acceptance(ok=False, message=whole.message, late=whole.late)
    unknown: list[str] = []
    refused: list[str] = []
    for flag, reading in zip(flags, alone, strict=True):
        if not reading.ok:
            (unknown if unknown_flags(reading.message) else refused).append(flag.name)
    return Acceptance(
        ok=False,
        unknown=tuple(dict.fromkeys(unknown)),
        bad_value=refused[0] if refused else None,
        message=complaint(whole.message),
    )
