"""Find profile files and read them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from jaxpad import paths
from jaxpad.errors import UsageError
from jaxpad.profiles import _entries
from jaxpad.profiles._model import Profile
from jaxpad.profiles._table import Table
from jaxpad.profiles._words import did_you_mean, listed

FOLDER = paths.CONFIGS / "profiles"  # the shipped ones


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the profiles, in alphabetical order: the project's and the shipped ones.

    With `folder`, those in there alone; so in `load` and `layers`.
    """
    return paths.stems(_folders(folder))


def load(name_or_path: str | Path, folder: Path | None = None) -> Profile:
    """Read one profile: a name (`base`, `peers/NAME`), or a .toml file's path.

    Of two of one name it is the project's. Reads only that file; `layers` reads what it
    extends.

    Raises UsageError, one sentence that names the file and the remedy, for a file that
    is not there, is no TOML, or does not keep to the format in docs/profiles.md.
    """
    folders = _folders(folder)
    return _loaded(_path(name_or_path, folders), folders)


def _loaded(path: Path, folders: tuple[Path, ...]) -> Profile:
    table = Table(path, "", _read(path))
    table.only("description", "extends", "requires", "measured", "flag", "env")
    return Profile(
        name=_name(path, folders),
        path=path,
        description=table.text("description"),
        extends=table.texts("extends"),
        requires=_entries.requires(table.table("requires")),
        flags=_entries.flags(table.tables("flag")),
        env=_entries.env(table.table("env")),
        measured=_entries.measured(table.table("measured")),
    )


def layers(profile: Profile, folder: Path | None = None) -> tuple[Profile, ...]:
    """The profile and all it extends, lowest first, each once.

    A name in `extends` is a file beside the profile, else the project's, else a shipped one:
    so a project's `base` may extend the `base` that it hides.

    Raises UsageError for a name that is nowhere, for a circle, and for a file that
    `load` refuses.
    """
    found: dict[Path, Profile] = {}
    _visit(profile, _folders(folder), (), found)
    return tuple(found.values())


def _folders(folder: Path | None) -> tuple[Path, ...]:
    return paths.folders("configs/profiles") if folder is None else (folder,)


def _visit(
    profile: Profile,
    folders: tuple[Path, ...],
    above: tuple[Profile, ...],
    found: dict[Path, Profile],
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
        _visit(_parent(profile, name, folders), folders, (*above, profile), found)
    found[path] = profile


def _parent(profile: Profile, name: str, folders: tuple[Path, ...]) -> Profile:
    places = (profile.path.parent, *folders)
    files = [place / f"{name}.toml" for place in places if name in names(place)]
    others = [file for file in files if file.resolve() != profile.path.resolve()]
    if files:
        return _loaded((others or files)[0], folders)
    known = {*paths.stems(places)} - {profile.path.stem}
    hint = did_you_mean(name, known) or f"; there are {listed(sorted(known))}"
    raise UsageError(f"{profile.path}: extends names {name!r}, and no profile is called so{hint}")


def _path(name_or_path: str | Path, folders: tuple[Path, ...]) -> Path:
    text = str(name_or_path)
    file = _first(text, folders)
    if file and (isinstance(name_or_path, str) or "/" in text):
        return file
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return Path(name_or_path)
    known = paths.stems(folders)
    hint = did_you_mean(text, known) or f"; there are {listed(known)}"
    raise UsageError(f"no profile is called {text!r} (a file is named by its path){hint}")


def _first(name: str, folders: tuple[Path, ...]) -> Path | None:
    """The file of that name in the first folder that has one."""
    for place in folders:
        if name in paths.stems([place]) or ("/" in name and (place / f"{name}.toml").is_file()):
            return place / f"{name}.toml"
    return None


def _name(path: Path, folders: tuple[Path, ...]) -> str:
    """What `load` takes: the place in its folder without the ending, else the whole path.

    A shipped file that the project's of that name hides has its whole path for a name.
    """
    for folder in folders:
        if path.is_relative_to(folder) and ".." not in path.parts:
            name = path.relative_to(folder).with_suffix("").as_posix()
            return name if _first(name, folders) == path else str(path.resolve())
    return str(path.resolve())


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
