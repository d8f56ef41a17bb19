"""Profiles rendered for the shell: what is in the files, and what no line can hold."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from jaxpad import profiles
from jaxpad.core.results import UsageError
from jaxpad.profiles import composing

VERSION = "0.12.0"


def text(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_shipped(tmp_path: Path) -> None:
    """Each shipped profile comes out as `render` and `environment` have it."""
    profiles.write(tmp_path / "share/profiles", VERSION)
    files = text(tmp_path / "share/profiles")
    assert files.pop("names").splitlines() == sorted(profiles.names())
    assert {line.split()[0] for line in files.pop("auto").splitlines()} <= {*profiles.ARCHITECTURES}
    for name in profiles.names():
        profile = profiles.load(name)
        assert files.pop(f"{name}.flags") == f"{profiles.render(profile, VERSION)}\n"
        pairs = profiles.environment(profile).items()
        assert files.pop(f"{name}.env").splitlines() == [f"{n}={value}" for n, value in pairs]
    assert files == {}


def made(folder: Path, **requires: str) -> Path:
    """A folder of profiles that differ in what they require."""
    folder.mkdir()
    for name, table in requires.items():
        (folder / f"{name}.toml").write_text(f'description = "d"\n[requires]\n{table}\n')
    return folder


def test_auto(tmp_path: Path) -> None:
    """The fewest architectures win, then the name; a workload or no architecture rules out."""
    source = made(
        tmp_path / "source",
        any="",
        b='architecture = ["hopper"]',
        c='architecture = ["hopper"]',
        a='architecture = ["hopper", "ampere"]',
        d='architecture = ["ampere", "ada", "hopper"]',
        e='architecture = ["blackwell"]\nworkload = ["fsdp"]',
    )
    profiles.write(tmp_path / "out", VERSION, source)
    assert (tmp_path / "out/auto").read_text() == "ampere a\nada d\nhopper b\n"


@pytest.mark.parametrize("name", ["auto", "a b", "-n", "a\nb", "é", "*"])
def test_name_refused(tmp_path: Path, name: str) -> None:
    source = made(tmp_path / "source", **{name: ""})
    with pytest.raises(UsageError, match="cannot be the name of a shipped profile"):
        profiles.write(tmp_path / "out", VERSION, source)
    assert not (tmp_path / "out").exists()


def test_newline_refused() -> None:
    """`load` refuses it before; a line of the shell's own making depends on it."""
    variable = profiles.EnvVar("NCCL_X", "a\nPATH=/evil", "w", "https://example.org")
    profile = replace(profiles.load("none"), env=(variable,))
    with pytest.raises(UsageError, match="NCCL_X has a newline in its value"):
        list(composing._settings(profile))


def test_replaced_whole(tmp_path: Path) -> None:
    """What was rendered before goes; nothing is left beside the folder."""
    old = made(tmp_path / "old", gone="")
    profiles.write(tmp_path / "out/profiles", VERSION, old)
    profiles.write(tmp_path / "out/profiles", VERSION)
    assert "gone.flags" not in text(tmp_path / "out/profiles")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["profiles"]


def test_other_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")
    with pytest.raises(UsageError, match=r"holds 'thesis\.tex', which is no rendered profile"):
        profiles.write(tmp_path, VERSION)
    assert text(tmp_path) == {"thesis.tex": "years"}


def test_readable_by_all(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        profiles.write(tmp_path / "out", VERSION)
    finally:
        os.umask(before)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/names").stat().st_mode & 0o777 == 0o644
