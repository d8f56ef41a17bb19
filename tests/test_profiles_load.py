"""Profile files: what is read from one, and from those it extends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from jaxpad import profiles
from jaxpad.core.results import UsageError
from jaxpad.profiles.loading import overlap

Write = Callable[..., Path]
HEAD = 'description = "d"\n'
REST = 'why = "w"\nsource = "https://example.org/a"\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes NAME.toml and gives its path."""

    def file(text: str, name: str = "mine") -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return file


def flag(name: str = "xla_a", value: str = "1", more: str = "") -> str:
    return f'[[flag]]\nname = "{name}"\nvalue = {value}\n{REST}{more}\n'


def test_load_all_parts(write: Write) -> None:
    text = HEAD + 'extends = ["base"]\n[requires]\narchitecture = ["ada"]\nworkload = ["tp"]\n'
    text += (
        flag(more='jaxlib = ">=0.8"')
        + "[env]\nNCCL_AB = { value = 'x y', "
        + ("why = 'w', source = 'https://example.org' }\n")
    )
    profile = profiles.load(write(text))
    assert profile.extends == ("base",)
    assert profile.requires == profiles.Requires(("ada",), ("tp",))
    assert profile.flags == (
        profiles.Flag("xla_a", "1", "w", "https://example.org/a", jaxlib=">=0.8"),
    )
    assert profile.env == (profiles.EnvVar("NCCL_AB", "x y", "w", "https://example.org"),)


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("true", "true"),
        ("false", "false"),
        ("-1", "-1"),
        ("0.5", "0.5"),
        ('""', ""),
        ('"+FUSION,-CUBLAS"', "+FUSION,-CUBLAS"),
        ('"a=1,b={x}#"', "a=1,b={x}#"),
    ],
)
def test_load_values(write: Write, value: str, rendered: str) -> None:
    (found,) = profiles.load(write(HEAD + flag(value=value))).flags
    assert found.word == f"--xla_a={rendered}"


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("", "", "0"),
        ("", ">=0.9", "0.9"),
        ("<0.12", ">=0.12", None),
        ("<=0.12", ">=0.12", "0.12"),
        ("==0.12.*", ">=0.13", None),
        ("==0.12.*", ">0.12.5", "0.12.5.0.0.0.1"),
        ("!=0.12.*,>=0.12", "<0.13.1", "0.13"),
        ("~=0.12.1", "<0.12.1", None),
        ("!=0.9,>=0.9,<=0.9", "", None),
        (">0.12,<0.12.0.1", ">=0.11", "0.12.0.0.0.0.1"),
    ],
)
def test_overlap(one: str, other: str, shared: str | None) -> None:
    assert overlap(one, other) == shared
    assert (overlap(other, one) is None) == (shared is None)


VERSIONS = ("0", "0.8", "0.8.1", "0.9", "0.9.0.1", "0.9.1", "0.9.2", "0.10", "0.10.1", "1")
ONE = st.tuples(
    st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "~="]), st.sampled_from(VERSIONS)
)
SPECIFIERS = st.lists(ONE.filter(lambda pair: pair[0] != "~=" or "." in pair[1]), max_size=3).map(
    lambda pairs: ",".join(map("".join, pairs))
)


@given(SPECIFIERS, SPECIFIERS)
def test_overlap_sound(one: str, other: str) -> None:
    """Two that overlap are never let through, and the version that is named is matched by both."""
    shared = overlap(one, other)
    named = [v for v in VERSIONS if profiles.matches(one, v) and profiles.matches(other, v)]
    assert shared is not None or not named
    assert shared is None or (profiles.matches(one, shared) and profiles.matches(other, shared))


def test_one_name_two_ranges(write: Write) -> None:
    text = HEAD + flag(value="1", more='jaxlib = "<0.12"') + flag(value="2", more='jaxlib=">=0.12"')
    profile = profiles.load(write(text))
    assert profiles.render(profile, "0.11.0") == "--xla_a=1"
    assert profiles.render(profile, "0.12.0.1") == "--xla_a=2"


def test_layers_order(write: Write) -> None:
    write(HEAD, "low")
    write(HEAD + 'extends = ["low"]\n', "left")
    write(HEAD + 'extends = ["low", "base"]\n', "right")
    top = profiles.load(write(HEAD + 'extends = ["left", "right"]\n', "top"))
    stems = [layer.path.stem for layer in profiles.layers(top)]
    assert stems == ["low", "left", "base", "right", "top"]


def test_layers_beside_first(write: Write) -> None:
    beside = write(HEAD, "base")
    top = profiles.load(write(HEAD + 'extends = ["base", "none"]\n'))
    paths = [layer.path for layer in profiles.layers(top)]
    assert paths == [beside, profiles.FOLDER / "none.toml", top.path]


def test_layers_cycle(write: Write) -> None:
    for name, parent in ("a", "b"), ("b", "c"), ("c", "b"):
        write(HEAD + f'extends = ["{parent}"]\n', name)
    path = write(HEAD + 'extends = ["a"]\n', "top")
    with pytest.raises(UsageError, match=r"c\.toml: extends goes in a circle \(b -> c -> b\)"):
        profiles.layers(profiles.load(path))


def test_layers_itself(write: Write) -> None:
    path = write(HEAD + 'extends = ["mine"]\n')
    with pytest.raises(UsageError, match=r"circle \(mine -> mine\)"):
        profiles.layers(profiles.load(path))


def test_layers_unknown(write: Write) -> None:
    path = write(HEAD + 'extends = ["fsdp-hoper"]\n')
    with pytest.raises(UsageError, match=r"extends names 'fsdp-hoper'.*did you mean fsdp-hopper"):
        profiles.layers(profiles.load(path))


def test_shipped_name_loads_again(write: Write) -> None:
    for name in profiles.names():
        assert profiles.load(name).name == name
    mine = profiles.load(write(HEAD))
    assert profiles.load(mine.name) == profiles.load(Path(mine.name))
