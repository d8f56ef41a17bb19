"""Find profile files and read them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.paths import CONFIGS
from jaxpad.profiles import _entries
from jaxpad.profiles._model import Profile
from jaxpad.profiles._table import Table
from jaxpad.profiles._words import did_you_mean, listed

FOLDER = CONFIGS / "profiles"


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """The names of the profiles in a folder, in alphabetical order."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load(name_or_path: str | Path, folder: Path = FOLDER) -> Profile:
    """Read one profile: a name in the folder (`base`, `peers/NAME`), or a .toml file's path.

    Reads only that file; `layers` reads what it extends.

    Raises UsageError, one sentence that names the file and the remedy, for a file that
    is not there, is no TOML, or does not keep to the format in docs/profiles.md.
    """
    path = _path(name_or_path, folder)
    table = Table(path, "", _read(path))
    table.only("description", "extends", "requires", "measured", "flag", "env")
    return Profile(
        name=_name(path, folder),
        path=path,
        description=table.text("description"),
        extends=table.texts("extends"),
        requires=_entries.requires(table.table("requires")),
        flags=_entries.flags(table.tables("flag")),
        env=_entries.env(table.table("env")),
        measured=_entries.measured(table.table("measured")),
    )


def layers(profile: Profile, folder: Path = FOLDER) -> tuple[Profile, ...]:
    """The profile and all it extends, lowest first, each once.

    A name in `extends` is a file beside the profile, else one in the folder.

    Raises UsageError for a name that is nowhere, for a circle, and for a file that
    `load` refuses.
    """
    found: dict[Path, Profile] = {}
    _visit(profile, folder, (), found)
    return tuple(found.values())


def _visit(
    profile: Profile, folder: Path, above: tuple[Profile, ...], found: dict[Path, Profile]
) -> None:
    path = profile.path.resolve()
    below = [layer.path.resolve() for layer in above]
    if path in below:
        circle = (*above[below.index(path) :], profile)
        steps = " -> ".join(layer.path.stem for layer in circle)
        raise UsageError(f"{above[-1].path}: extends goes in a circle ({steps}); cut it once")
    if path in found:
        return
    for name in profile.extends:
        _visit(_parent(profile, name, folder), folder, (*above, profile), found)
    found[path] = profile


def _parent(profile: Profile, name: str, folder: Path) -> Profile:
    for place in (profile.path.parent, folder):
        if name in names(place):
            return load(place / f"{name}.toml", folder)
    known = {*names(profile.path.parent), *names(folder)} - {profile.path.stem}
    hint = did_you_mean(name, known) or f"; there are {listed(sorted(known))}"
    raise UsageError(f"{profile.path}: extends names {name!r}, and no profile is called so{hint}")


def _path(name_or_path: str | Path, folder: Path) -> Path:
    text = str(name_or_path)
    if "/" in text and (folder / f"{text}.toml").is_file():
        return folder / f"{text}.toml"
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return Path(name_or_path)
    if text not in names(folder):
        hint = did_you_mean(text, names(folder)) or f"; there are {listed(names(folder))}"
        raise UsageError(f"no profile is called {text!r} (a file is named by its path){hint}")
    return folder / f"{text}.toml"


def _name(path: Path, folder: Path) -> str:
    """What `load` takes: the place in the folder without the ending, else the whole path."""
    shipped = path.is_relative_to(folder) and ".." not in path.parts
    return path.relative_to(folder).with_suffix("").as_posix() if shipped else str(path.resolve())


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        problem = f"{error}".rstrip(".")
        raise UsageError(f"{path}: not TOML: {problem}; mend that line") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except OSError as error:
        reason = error.strerror or "unreadable"
        raise UsageError(f"{path}: cannot be read ({reason}); check the path") from None
