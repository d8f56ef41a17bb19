"""Hold what a program was compiled with to what its flags ask for."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxpad.flags._dump import DUMP_FLAGS, Dump
from jaxpad.flags._expect import Expected
from jaxpad.flags._values import agrees, lists, present, values
from jaxpad.profiles import ParsedFlag


class Status(enum.StrEnum):
    """What became of one flag."""

    IN_EFFECT = "in effect"
    NOT_IN_EFFECT = "not in effect"
    OUTWEIGHED = "outweighed"  # by a later flag for the same option
    NOT_VISIBLE = "not visible"  # accepted, but no option shows it


@dataclass(frozen=True)
class FlagInEffect:
    """One flag of XLA_FLAGS: the option's value it asks for, and the one compiled with."""

    name: str
    value: str
    status: Status
    expected: str = ""
    found: str = ""


def in_force(dump: Dump, expected: Expected) -> dict[str, str]:
    """Every option's value in a compile: the dump's, or the default where it is left out."""
    held, dumped, as_read = present(dump.dumped), values(dump.dumped), values(dump.read)
    emptied = {name for name in lists(dump.dumped) - held if not as_read[name]}
    return {
        name: dumped[name] if name in held else "" if name in emptied else default
        for name, default in expected.default.items()
    }


def judge(
    flags: Sequence[ParsedFlag], expected: Expected, found: Mapping[str, str]
) -> tuple[FlagInEffect, ...]:
    """What became of each flag, in their order."""
    touched = [expected.touched(place, flag.name) for place, flag in enumerate(flags)]
    return tuple(
        FlagInEffect(
            flag.name,
            flag.value if flag.value is not None else "true",  # only a bool may go without
            *_status(place, flag, touched, expected, found),
        )
        for place, flag in enumerate(flags)
    )


def _status(
    place: int,
    flag: ParsedFlag,
    touched: Sequence[frozenset[str]],
    expected: Expected,
    found: Mapping[str, str],
) -> tuple[Status, str, str]:
    """A flag's status, and the value it asks for and the one found of the option that decides."""
    options = touched[place]
    if not options or flag.name in DUMP_FLAGS:  # the check itself sets the latter
        return Status.NOT_VISIBLE, "", ""
    if expected.alone[place] == expected.default and not agrees(
        flag.value, flag.name, expected.default[flag.name]
    ):  # it asks for a change and XLA makes none, as with xla_cpu_enable_fast_min_max=true
        return Status.NOT_IN_EFFECT, flag.value or "true", found[flag.name]
    wrong = {name for name in options if found[name] != expected.whole[name]}
    changed = {o for o in options if expected.alone[place][o] != expected.default[o]}
    shown = min(wrong or ({flag.name} & changed) or changed or options)
    status = Status.OUTWEIGHED if _is_outweighed(place, touched, expected) else Status.IN_EFFECT
    return Status.NOT_IN_EFFECT if wrong else status, expected.whole[shown], found[shown]


def _is_outweighed(place: int, touched: Sequence[frozenset[str]], expected: Expected) -> bool:
    """Whether a later flag sets the same option so that this one has no say."""
    later = frozenset[str]().union(*touched[place + 1 :])
    return bool(touched[place] & later) and expected.without[place] == expected.whole


def extra(expected: Expected, found: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, str]:
    """Options that differ from what the flags ask for, and from what JAX sets anyway."""
    touched = {o for o, value in expected.whole.items() if value != expected.default[o]}
    return {
        name: value
        for name, value in found.items()
        if name not in touched | set(DUMP_FLAGS)
        and value not in (expected.whole[name], usual[name])
    }
