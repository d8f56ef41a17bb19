"""What an audit finds."""

from __future__ import annotations

import datetime
from dataclasses import dataclass


@dataclass(frozen=True)
class Advisory:
    """A known vulnerability of a pin."""

    package: str
    version: str
    id: str
    aliases: tuple[str, ...]
    fixed_in: tuple[str, ...]
    sets: tuple[str, ...]  # the files that pin it, without .txt


@dataclass(frozen=True)
class Unaudited:
    """A pin nobody could say anything about."""

    package: str
    version: str
    why: str


@dataclass(frozen=True)
class Answer:
    """What the advisory service said of the pins."""

    advisories: tuple[Advisory, ...] = ()
    unaudited: tuple[Unaudited, ...] = ()


@dataclass(frozen=True)
class Allowed:
    """An exception: this advisory of this package is accepted until a day, which is the last."""

    id: str
    package: str
    why: str
    until: datetime.date

    def covers(self, found: Advisory) -> bool:
        """Whether it speaks of that advisory, by its id or one of its aliases."""
        return self.package == found.package and self.id in (found.id, *found.aliases)


@dataclass(frozen=True)
class Judged:
    """The answer held against the exceptions."""

    pins: int
    vulnerable: tuple[Advisory, ...] = ()
    accepted: tuple[tuple[Advisory, Allowed], ...] = ()
    expired: tuple[Allowed, ...] = ()
    unmatched: tuple[Allowed, ...] = ()  # no pin has that advisory any more
    unaudited: tuple[Unaudited, ...] = ()
