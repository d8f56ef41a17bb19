"""Rendering: for any profile, what was written is what is read, and the last one wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from jaxpad import profiles
from jaxpad.core.results import UsageError
from jaxpad.profiles import Flag, Profile

SAFE = "".join(chr(c) for c in range(33, 127) if chr(c) not in "\"'\\$`")
NAMES = st.from_regex(r"xla_[a-z0-9_]{1,6}", fullmatch=True)
VALUES = st.text(alphabet=SAFE, max_size=12)
FLAGS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


def profile(flags: list[tuple[str, str]], jaxlib: str = "") -> Profile:
    made = tuple(Flag(name, value, "w", "https://example.org", jaxlib) for name, value in flags)
    return Profile("p", Path("p.toml"), "d", flags=made)


@given(FLAGS)
def test_render_then_parse(flags: list[tuple[str, str]]) -> None:
    parsed = profiles.parse(profiles.render(profile(flags), "0.12.0"))
    assert [(flag.name, flag.value) for flag in parsed.flags] == flags
    assert not parsed.dropped
    assert not parsed.unclosed
    assert parsed.file is None


@given(FLAGS, FLAGS, FLAGS)
def test_last_wins(
    own: list[tuple[str, str]], user: list[tuple[str, str]], last: list[tuple[str, str]]
) -> None:
    plain = [(name, value.lstrip("+-")) for name, value in own]  # + and - add, not replace
    users = [(name, value.lstrip("+-")) for name, value in user]
    lasts = [(name, value.lstrip("+-")) for name, value in last]
    environ = {
        "XLA_FLAGS": profiles.render(profile(users), "0.12.0"),
        "XLA_FLAGS_APPEND": profiles.render(profile(lasts), "0.12.0"),
    }
    composed = profiles.compose(profile(plain), environ, "0.12.0")
    assert {o.name: o.value for o in composed.origins} == dict(plain + users + lasts)


@pytest.mark.parametrize(
    ("specifier", "version", "matched"),
    [
        ("", "0.12.0", True),
        (">=0.12", "0.12.0.1", True),
        (">=0.12.1", "0.12.1.dev20261001", True),
        ("<0.12.1", "0.12.1.dev20261001", False),
        (">=0.12", "0.12.1.dev20261001", True),
        (">=0.13", "0.13.0rc1", True),
        ("==0.12.*", "0.12.1.dev20261001+nvidia", True),
        ("<0.12", "0.11.0", True),
        ("!=0.11.0", "0.11.0", False),
    ],
)
def test_jaxlib_versions(specifier: str, version: str, matched: bool) -> None:
    rendered = profiles.render(profile([("xla_a", "1")], specifier), version)
    assert bool(rendered) == matched


def test_jaxlib_version_odd() -> None:
    with pytest.raises(UsageError, match="'main' is not a jaxlib version, expected one such as"):
        profiles.render(profile([("xla_a", "1")]), "main")


def test_layers_append(tmp_path: Path) -> None:
    text = (
        'description = "d"\nextends = ["base"]\n[[flag]]\nwhy = "w"\nsource = "https://e.org"\n'
        'name = "xla_gpu_enable_latency_hiding_scheduler"\nvalue = false\n'
    )
    (tmp_path / "p.toml").write_text(text)
    rendered = profiles.render(profiles.load(tmp_path / "p.toml"), "0.12.0")
    name = "--xla_gpu_enable_latency_hiding_scheduler"
    assert rendered == f"{name}=true {name}=false"


def test_environment_layers(tmp_path: Path) -> None:
    entry = "{{ value = '{}', why = 'w', source = 'https://e.org' }}"
    low = f'description = "d"\n[env]\nUCX_A = {entry.format(1)}\nUCX_B = {entry.format(2)}\n'
    (tmp_path / "low.toml").write_text(low)
    top = f'description = "d"\nextends = ["low"]\n[env]\nUCX_B = {entry.format(3)}\n'
    (tmp_path / "top.toml").write_text(top)
    found = profiles.environment(profiles.load(tmp_path / "top.toml"))
    assert found == {"UCX_A": "1", "UCX_B": "3"}


def test_none_is_empty() -> None:
    none = profiles.load("none")
    assert profiles.render(none, "0.12.0") == ""
    assert profiles.environment(none) == {}
