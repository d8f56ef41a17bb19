"""Parsing XLA_FLAGS: what XLA reads, what it drops, by example."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from jaxpad.profiles import ParsedFlag, missing, parse

READ = [
    ("", []),
    ("--a --b=1", ["--a", "--b=1"]),
    (" \t\r\n--a\n--b\r--c\t--d ", ["--a", "--b", "--c", "--d"]),
    ("--a='x y' --b", ["--a=x y", "--b"]),
    ("--a='x y'--b", ["--a=x y", "--b"]),
    ("--a='x\\' --b", ["--a=x\\", "--b"]),
    ('--a="x\\"y\\\\z\\n" --b', ['--a=x"y\\zn', "--b"]),
    ("--a='' --b=\"\"", ["--a=", "--b="]),
    ("--a='\"' --b=\"'\"", ['--a="', "--b='"]),
    ("--a={x,y} --b", ["--a={x,y}", "--b"]),
    ("--a=x\vy --b", ["--a=x\vy", "--b"]),
    ("-a ---b -- -", ["-a", "---b", "--", "-"]),
    ("--a=\n--b", ["--a=", "--b"]),
]


@pytest.mark.parametrize(("text", "words"), READ)
def test_parse_whole(text: str, words: list[str]) -> None:
    parsed = parse(text)
    assert [flag.word for flag in parsed.flags] == words
    assert (parsed.dropped, parsed.stray, parsed.lost, parsed.file) == ("", None, (), None)


CUT = [
    ("--a foo --b=1 -c", "foo", ["--b=1", "-c"]),
    ("--a # why\n--b", "#", ["--b"]),
    ("--a \\\n--b", "\\", ["--b"]),
    ("--a = 1", "=", []),
    ("--a={x y} --b", "y}", ["--b"]),
    ("--a='x'y --b", "y", ["--b"]),
    ('--a=x"y z" --b', 'z"', ["--b"]),
    ("--a 'x --b'", "'x", ["--b'"]),
    ("--a\N{NO-BREAK SPACE}='x y' --b", "y'", ["--b"]),
]


@pytest.mark.parametrize(("text", "stray", "lost"), CUT)
def test_parse_stray(text: str, stray: str, lost: list[str]) -> None:
    parsed = parse(text)
    assert len(parsed.flags) == 1
    assert parsed.stray == stray
    assert [flag.word for flag in parsed.lost] == lost
    assert parsed.dropped.startswith(stray)


@pytest.mark.parametrize("text", ["flags.txt", " ", "# --a", "\v--a", "/a b"])
def test_parse_file(text: str) -> None:
    assert parse(text).file == text
    assert parse(text).flags == ()


@pytest.mark.parametrize("text", ["--a='x", '--a="x --b', '--a="x\\"', '--a="x\\'])
def test_parse_unclosed(text: str) -> None:
    assert parse(text).unclosed
    assert len(parse(text + " --more").flags) == 1


@given(st.text(), st.text(alphabet="ab-_=\"'\\ \t{é"))
def test_parse_loses_nothing(one: str, other: str) -> None:
    for text in (one, f"--{other}", f"--a={other}"):
        parsed = parse(text)
        assert text.endswith(parsed.dropped)
        assert bool(parsed.flags) or parsed.file == text or not text.strip(" \t\r\n")


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\x00"))))
def test_quoted_reads_back(values: list[str]) -> None:
    flags = tuple(ParsedFlag(f"--xla_a={value}") for value in values)
    assert parse(" ".join(flag.quoted for flag in flags)).flags == flags


def test_flag_name_value() -> None:
    assert [(f.name, f.value) for f in parse("--a --b= --c=x=y -d").flags] == [
        ("a", None),
        ("b", ""),
        ("c", "x=y"),
        ("-d", None),
    ]


def test_missing() -> None:
    assert missing("--a --b=1", "--x --a --y --b=1 --z") == ()
    assert missing("--a --b=1", "--b=1 --a") == ("--b=1",)
    assert missing("--a --b=1", "--a stray --b=1") == ("--b=1",)
    assert missing("--a=1", "--a=2") == ("--a=1",)
    assert missing("", "") == ()
