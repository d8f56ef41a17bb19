"""Where the folders that a user sees are, and whose they are: the project's or jaxpad's own.

Two owners bring configs and checks. The project is the folder that the user works in; the
package brings the rest, from its checkout or from the copy inside the installed package. What
both have by one name is the project's. In a checkout of jaxpad, and in a copy of its template
with jaxpad/ in it, both are one folder.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxpad.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def _home() -> Path:
    checkout = _PACKAGE.parent
    return checkout if (checkout / "tasks.py").is_file() else _PACKAGE / "_home"


HOME = _home()  # what the package brings: the checkout, or the copy inside an installed package
CONFIGS = HOME / "configs"
SMOKE_TESTS = HOME / "smoke_tests"
PROJECT = "JAXPAD_PROJECT"
# A project has one of each: what jaxpad reads of it, and a file that makes it somebody's project.
_OURS = ("configs/profiles", "configs/gpus", "configs/tune", "configs/project.toml", "smoke_tests")
_ROOT = ("pyproject.toml", "tasks.py")


def project(environ: Mapping[str, str] | None = None) -> Path | None:
    """The project's root; None where there is none, or where it is jaxpad's own folder.

    $JAXPAD_PROJECT names it, or none where it is empty. Else it is the current folder, or the
    nearest parent up to the root of the git checkout, that has what `_OURS` and `_ROOT` list.
    A folder in which everybody may leave files, as /tmp, never counts: checks are code.

    Raises UsageError where $JAXPAD_PROJECT names no folder.
    """
    given = (os.environ if environ is None else environ).get(PROJECT)
    found = _around() if given is None else _named(given)
    return None if found is None or found == HOME else found


def roots() -> tuple[Path, ...]:
    """Where to look, first the project's root, then jaxpad's own; UsageError as `project`."""
    return (*filter(None, [project()]), HOME)


def folders(relative: str) -> tuple[Path, ...]:
    """The folder of that name in each root that has it, the project's first."""
    return tuple(root / relative for root in roots() if (root / relative).is_dir())


def found(relative: str) -> Path:
    """The file or folder of that name, the project's before jaxpad's own, there or not."""
    places = [root / relative for root in roots()]
    return next((place for place in places if place.exists()), places[-1])


def stems(places: Iterable[Path]) -> tuple[str, ...]:
    """The names of the .toml files in some folders, without the ending, in alphabetical order."""
    return tuple(sorted({path.stem for place in places for path in place.glob("*.toml")}))


def owner(path: Path) -> str:
    """Who brings a file: "project" or "shipped"; empty for one that lies elsewhere."""
    if path.resolve().is_relative_to(HOME):  # first: a checkout may lie inside a project
        return "shipped"
    mine = project()
    return "project" if mine and path.resolve().is_relative_to(mine) else ""


def hides(path: Path) -> bool:
    """Whether a file of the project's stands in front of jaxpad's own of that name."""
    mine = project()
    if mine is None or owner(path) != "project":
        return False
    return (HOME / path.resolve().relative_to(mine)).is_file()


def whose(path: Path) -> str:
    """`shipped`, `this project's`, `this project's; it hides the shipped one of that name`."""
    said = {"project": "this project's", "shipped": "shipped"}.get(owner(path), "a file of yours")
    return f"{said}; it hides the shipped one of that name" if hides(path) else said


def notes(named: Mapping[str, Path]) -> tuple[str, ...]:
    """`gpu l4: this project's; it hides …` for those of the named files that are the project's."""
    return tuple(
        f"{what}: {whose(file)}" for what, file in named.items() if owner(file) == "project"
    )


def importable(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a child Python that imports this very package and has this very project.

    And nothing from the current folder: neither as Python does where it is not told otherwise,
    nor for an empty part of PYTHONPATH, which means that folder.
    """
    parts = [str(_PACKAGE.parent), *environ.get("PYTHONPATH", "").split(os.pathsep)]
    ours = {"PYTHONPATH": os.pathsep.join(filter(None, parts)), "PYTHONSAFEPATH": "1"}
    return dict(environ) | ours | {PROJECT: str(project() or "")}


def _named(given: str) -> Path | None:
    if not given:
        return None
    if not Path(given).is_dir():
        raise UsageError(
            f"{PROJECT} is {given!r}, which is not a folder; give a project's root, or leave it "
            "empty for none"
        )
    return Path(given).resolve()


def _around() -> Path | None:
    try:
        return next((one for one in _up_to_checkout(Path.cwd()) if _is_project(one)), None)
    except OSError:  # the current folder was removed under us, or a parent is closed to us
        return None


def _up_to_checkout(here: Path) -> tuple[Path, ...]:
    """The folder, and its parents up to the root of the git checkout; outside one, itself."""
    line = (here, *here.parents)
    last = next((at for at, folder in enumerate(line) if (folder / ".git").exists()), 0)
    return line[: last + 1]


def _is_project(folder: Path) -> bool:
    return (
        any((folder / name).exists() for name in _OURS)
        and any((folder / name).is_file() for name in _ROOT)
        and not _everybodys(folder)
    )


def _everybodys(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_IWOTH and mode & stat.S_ISVTX)


def user_cache() -> Path:
    """The user's cache folder for jaxpad: $XDG_CACHE_HOME/jaxpad or ~/.cache/jaxpad.

    Source: the XDG base directory specification, which says to ignore a relative path.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else _home_folder() / ".cache") / "jaxpad"


def _home_folder() -> Path:
    """The user's home; a folder of their own under /tmp for a uid that has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"home-{os.getuid()}"
