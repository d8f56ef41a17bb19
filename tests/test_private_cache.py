"""A cache that somebody else can write into is neither read nor written; tests/test_entrypoint.py
has the table of which folders those are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jaxpad.containers import engine
from jaxpad.core import paths
from jaxpad.core.results import UsageError
from jaxpad.effects import compilation
from jaxpad.machine import facts


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation._warn.cache_clear()
    return tmp_path / "jaxpad"


def as_others(folder: Path) -> None:
    folder.chmod(0o777)


def in_its_place(folder: Path) -> None:
    folder.rename(folder.with_name("before"))
    folder.write_text("a file")


SPOILT = [as_others, in_its_place]


@pytest.mark.parametrize("name", ["jaxpad", "jaxpad/effects"])
@pytest.mark.parametrize("spoil", SPOILT)
def test_effects(
    cache: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None], name: str
) -> None:
    compilation.put("key", {"message": "kept"})
    assert compilation.get("key") == {"message": "kept"}
    assert (cache / "effects").stat().st_mode & 0o777 == 0o700
    assert capsys.readouterr().err == ""
    spoil(cache.parent / name)
    assert compilation.get("key") is None
    compilation.put("other", {"message": "mine"})
    assert not list(cache.parent.rglob("other.json"))
    said = capsys.readouterr().err
    assert said.startswith(f"jaxpad: nothing is kept or taken from {cache / 'effects'}: ")
    assert said.count("\n") == 1  # once, however often it is asked


@pytest.mark.parametrize("content", [[[1]], {"message": 5}, 5, None, {"program": 5}, "x", {}])
def test_damaged_entry(cache: Path, content: object) -> None:
    compilation.put("key", content)
    assert json.loads((cache / "effects/key.json").read_text()) == content
    assert compilation.stored("key") is None


@pytest.mark.parametrize("spoil", SPOILT)
def test_compiled_programs(cache: Path, spoil: Callable[[Path], None]) -> None:
    """JAX's cache, whose content runs: the smoke suite then goes without."""
    place = facts.cache_folder({})
    assert facts._cache_problem(place, {}) is None
    spoil(Path(place))
    assert str(facts._cache_problem(place, {})).startswith(place)
    own = {"JAX_COMPILATION_CACHE_DIR": str(cache.parent / "team")}
    assert facts._cache_problem(own["JAX_COMPILATION_CACHE_DIR"], own) is None


@pytest.mark.parametrize("spoil", SPOILT)
def test_containers(cache: Path, spoil: Callable[[Path], None]) -> None:
    folder = paths.user_cache() / "containers" / "jax-0.12.0"
    engine.make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    spoil(folder)
    with pytest.raises(UsageError, match=r"cannot be used \(.*\); set XDG_CACHE_HOME to a folder"):
        engine.make_private(folder)


def test_folder_that_takes_no_files_is_no_error(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache.parent.rmdir()
    cache.parent.write_text("a file")
    compilation.put("key", {})
    assert compilation.get("key") is None
    assert capsys.readouterr().err == ""
