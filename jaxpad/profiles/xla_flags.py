"""Split XLA_FLAGS into words exactly as XLA does.

Written from XLA's observed behaviour (jaxlib 0.10.2 and 0.12.0.1), held to the real
parser by tests/test_flags_parser.py. The source to compare with:
https://github.com/openxla/xla/blob/main/xla/parse_flags_from_env.cc
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SPACE = " \t\r\n"  # not \v or \f, which XLA takes for part of a word
_START = re.compile(r"-[A-Za-z0-9_-]*")
_SINGLE = re.compile(r"='([^']*)('|\Z)")
_DOUBLE = re.compile(r'="((?:\\.|[^"])*)("|\Z)', re.DOTALL)


@dataclass(frozen=True)
class ParsedFlag:
    """One word as XLA reads it, its quotes gone."""

    word: str

    @property
    def name(self) -> str:
        """What is left of the first `=`, without the two dashes XLA asks for."""
        return self.word.removeprefix("--").partition("=")[0]

    @property
    def value(self) -> str | None:
        """What is right of the first `=`; None where there is none."""
        _, equals, value = self.word.partition("=")
        return value if equals else None

    @property
    def quoted(self) -> str:
        """The word spelled so that XLA reads it back whole, whatever its value holds."""
        head, equals, value = self.word.partition("=")
        if not equals or not _START.fullmatch(head):
            return self.word  # came without quotes, so it holds nothing that needs them
        escaped = re.sub(r'(["\\])', r"\\\1", value)
        return f'{head}="{escaped}"'


@dataclass(frozen=True)
class Parsed:
    """What XLA reads of XLA_FLAGS, and what it never sees.

    `file` is set where XLA would take the whole string for the path of a file, `unclosed`
    where the last word's quote never ends: XLA takes it, and whatever is appended with it.
    """

    flags: tuple[ParsedFlag, ...]
    dropped: str = ""
    file: str | None = None
    unclosed: bool = False

    @property
    def stray(self) -> str | None:
        """The token at which XLA stops reading, None where it reads to the end."""
        return _token(self.dropped) or None

    @property
    def lost(self) -> tuple[ParsedFlag, ...]:
        """The flags behind the stray token, which XLA drops without a message."""
        found: list[ParsedFlag] = []
        tail = self.dropped
        while tail:
            inner = _words(tail.removeprefix(_token(tail)))
            found += inner.flags
            tail = inner.dropped
        return tuple(found)


def parse(text: str) -> Parsed:
    """Read the value of XLA_FLAGS as XLA does.

    Words are parted by space, tab, return and newline, and each opens with `-`. Right
    after `--name=` a value may be quoted, and then ends at its quote even where no space
    follows; in double quotes a backslash keeps the next character. At the first word that
    opens otherwise XLA stops and says nothing. A value whose first word opens otherwise,
    or that is only white space, is the path of a file.
    """
    if text and not text.lstrip(SPACE).startswith("-"):
        return Parsed((), file=text)
    return _words(text)


def missing(wanted: str, given: str) -> tuple[str, ...]:
    """The words of one flag string that XLA does not read, in their order, in another.

    Empty means that all that was asked for reaches XLA, though later words may outweigh it.
    """
    read = [flag.word for flag in parse(given).flags]
    absent = []
    for word in (flag.word for flag in parse(wanted).flags):
        if word in read:
            read = read[read.index(word) + 1 :]
        else:
            absent.append(word)
    return tuple(absent)


def _words(text: str) -> Parsed:
    flags: list[ParsedFlag] = []
    rest, unclosed = text.lstrip(SPACE), False
    while start := _START.match(rest):
        quoted = _SINGLE.match(rest, start.end()) or _DOUBLE.match(rest, start.end())
        plain = _token(rest)
        word = f"{start[0]}={_unquoted(quoted)}" if quoted else plain
        flags.append(ParsedFlag(word))
        unclosed = quoted is not None and not quoted[2]
        rest = rest[quoted.end() if quoted else len(plain) :].lstrip(SPACE)
    return Parsed(tuple(flags), dropped=rest, unclosed=unclosed)


def _unquoted(quoted: re.Match[str]) -> str:
    """The value between quotes; a backslash counts in double quotes only."""
    single = quoted.re is _SINGLE
    return quoted[1] if single else re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL)


def _token(text: str) -> str:
    """The text up to the first of XLA's white space."""
    return re.split("[ \t\r\n]", text, maxsplit=1)[0]
