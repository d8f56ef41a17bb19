"""What each flag asks of XLA's options, read by XLA itself, one flag at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxpad.flags._ask import complaint, read
from jaxpad.flags._dump import LateError, NoProofError
from jaxpad.flags._schema import decode
from jaxpad.flags._values import values
from jaxpad.profiles import ParsedFlag


@dataclass(frozen=True)
class Expected:
    """Option values: with no flag, with all, with each flag alone, and with all but it."""

    default: dict[str, str]
    whole: dict[str, str]
    alone: tuple[dict[str, str], ...]
    without: tuple[dict[str, str], ...]

    def touched(self, place: int, name: str) -> frozenset[str]:
        """The options that the flag at a place sets: its own, or the one it stands for."""
        changed = {o for o, value in self.alone[place].items() if value != self.default[o]}
        return frozenset(changed | ({name} & self.default.keys()))


def expect(flags: Sequence[ParsedFlag], timeout: float) -> Expected:
    """Ask XLA, in one child, what these flags mean. Each is quoted, so that none is cut.

    Raises NoProofError where XLA refuses them, LateError where it does not answer in
    `timeout` seconds.
    """
    words = [flag.quoted for flag in flags]
    without = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
    readings = read(["", " ".join(words), *words, *without], timeout)
    refused = next((reading for reading in readings if not reading.ok), None)
    if refused:
        error = LateError if refused.late else NoProofError
        raise error(complaint(refused.message))
    default, whole, *rest = (values(decode(reading.options)) for reading in readings)
    return Expected(default, whole, tuple(rest[: len(words)]), tuple(rest[len(words) :]))
