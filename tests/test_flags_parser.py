"""The reference parser against the parser inside the installed XLA."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from jaxpad import flags, profiles
from jaxpad.core.results import UsageError
from properties import share

# A child costs 0.3 s and a string in it 8 ms: few examples, many strings in each, and no
# shrinking, which would take minutes. The failing assertion names the one string.
BATCHED = settings(
    max_examples=share(4),
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
PIECES = st.sampled_from(
    [
        *("--zz", "--zz=", "--zz=1", "-z", "-", "--", "---z", "--z.z", "--zé", "--z{", "=", "#"),
        *("'", '"', "\\", "\\'", '\\"', "{", "}", "a b", "a", "é", ",", "+", "$X", "`"),
        *(" ", " ", "  ", "\t", "\n", "\r", "\v", "\f", "\x01", "\N{NO-BREAK SPACE}"),
    ]
)
NASTY = st.lists(PIECES, max_size=12).map("".join)
QUOTED = st.tuples(st.sampled_from("'\""), NASTY, NASTY).map(
    lambda t: f"--q={t[0]}{t[1]}{t[0]}{t[2]}"
)
TEXTS = st.one_of(NASTY, NASTY.map("--zz=".__add__), QUOTED, QUOTED.map("--zz ".__add__))


def agrees(text: str, reading: flags.Reading) -> bool:
    """Whether XLA splits a string as `parse` does: it knows no flag here, so it lists all."""
    parsed = profiles.parse(text)
    if parsed.file is not None:
        return f'Could not open file "{text}"' in reading.message
    if not parsed.flags:
        return reading.ok
    words = " ".join(flag.word for flag in parsed.flags)
    plural = "s" if len(parsed.flags) > 1 else ""
    return reading.message.endswith(f"] Unknown flag{plural} in XLA_FLAGS: {words}\n")


@BATCHED
@given(st.lists(TEXTS, min_size=30, max_size=30))
def test_parse_as_xla(texts: list[str]) -> None:
    for text, reading in zip(texts, flags.read(texts), strict=True):
        assert agrees(text, reading), (text, profiles.parse(text), reading.message)


EDGES = [
    *("", " ", "\t", "-", "--", "-- --a", "---a", "a", " a --b", "\v--a", "# --a"),
    *("--a='x y'--b", "--a='x'y --b", '--a="x\\"y" --b', "--a='x\\' --b", "--a='x", '--a="x\\'),
    *("--a={x y} --b", "--a={x,y} --b", '--a=x"y z" --b', '--a.a="x y" --b', "--aé='x y'"),
    *("--a b --c", "--a # --b", "--a \\\n--b", "--a\v--b", "--a=\n--b\r--c", "--a='' --b="),
]


def test_parse_edges_as_xla() -> None:
    for text, reading in zip(EDGES, flags.read(EDGES), strict=True):
        assert agrees(text, reading), (text, reading.message)


@BATCHED
@given(st.lists(st.text(max_size=8), min_size=30, max_size=30))
def test_quoted_as_xla(values: list[str]) -> None:
    """A value of any kind comes through whole when it is quoted."""
    words = [f"--zz={value}" for value in values if "\x00" not in value]
    texts = [profiles.ParsedFlag(word).quoted for word in words]
    for word, reading in zip(words, flags.read(texts), strict=True):
        assert reading.message.encode(errors="replace").endswith(f": {word}\n".encode())


UNSAFE = set("\"'\\ $`")
PRINTABLE = "".join(map(chr, range(32, 127)))
ANY = st.one_of(
    st.text(alphabet=sorted(set(PRINTABLE) - UNSAFE), max_size=8),
    st.text(alphabet=PRINTABLE + "\t\n\v\x7fé\N{NO-BREAK SPACE}", max_size=4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("profiles")


@BATCHED
@given(st.lists(st.lists(ANY, min_size=1, max_size=3), min_size=30, max_size=30))
def test_no_rendering_cut(folder: Path, many: list[list[str]]) -> None:
    """XLA reads to its end what any profile renders to, and what it would not is refused."""
    rendered = [text for values in many for text in _rendered(folder, values)]
    for text, reading in zip(rendered, flags.read(rendered), strict=True):
        assert reading.message.endswith(f" in XLA_FLAGS: {text}\n"), (text, reading.message)


def _rendered(folder: Path, values: list[str]) -> list[str]:
    entry = '[[flag]]\nname = "xla_zz{}"\nvalue = {}\nwhy = "w"\nsource = "https://example.org"\n'
    text = "".join(entry.format(place, json.dumps(value)) for place, value in enumerate(values))
    path = folder / "p.toml"
    path.write_text(f'description = "d"\n{text}'.replace("\x7f", "\\u007f"), encoding="utf-8")
    if any(set(value) & UNSAFE or set(value) - set(PRINTABLE) for value in values):
        with pytest.raises(UsageError, match="expected printable ASCII"):
            profiles.load(path)
        return []
    return [profiles.render(profiles.load(path), "0.12.0")]
