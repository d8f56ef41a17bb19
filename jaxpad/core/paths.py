"""Where the folders that a user sees are, and whose they are: the project's or jaxpad's own.

Two owners bring configs and checks. The project is the folder that the user works in; the
package brings the rest, from its checkout or from the copy inside the installed package. What
both have by one name is the project's. In a checkout of jaxpad, and in a copy of its template
with jaxpad/ in it, both are one folder.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import jaxpad
from jaxpad.core import files
from jaxpad.core.results import UsageError

_PACKAGE = Path(__file__).resolve().parents[1]


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
    nor for an empty part of PYTHONPATH, or one that is `.`, which mean that folder. Other
    relative parts are made absolute, as a child may start elsewhere.
    """
    parts = [str(_PACKAGE.parent), *_elsewhere(environ.get("PYTHONPATH", ""))]
    ours = {"PYTHONPATH": os.pathsep.join(parts), "PYTHONSAFEPATH": "1"}
    return dict(environ) | ours | {PROJECT: str(project() or "")}


def _elsewhere(search: str) -> list[str]:
    """The parts of a search path, absolute, but those that name the current folder as such."""
    parts = [Path(part) for part in search.split(os.pathsep) if part]
    try:
        return [str(part.absolute()) for part in parts if part.is_absolute() or _moves(part)]
    except OSError:  # the current folder was removed under us: it holds nothing
        return [str(part) for part in parts if part.is_absolute()]


def _moves(part: Path) -> bool:
    return os.path.normpath(part) != "."


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
    It need not be there; `make_cache` makes it, and says where it is not to be trusted.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else _home_folder() / ".cache") / "jaxpad"


def make_cache(folder: Path) -> None:
    """Make a folder in `user_cache()`; each from there on is this user's alone.

    What is kept there runs: compiled programs, packages.

    Raises OSError where it cannot be made; files.NotOurs where one is another user's, or others
    may write into it.
    """
    base, made_up = user_cache(), _made_up_home()
    if base.is_relative_to(made_up):
        files.make_ours(made_up)
    base.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    below = [one for one in (folder, *folder.parents) if one.is_relative_to(base)]
    for one in reversed(below):
        files.make_ours(one.resolve() if one == base else one)  # the user may have moved it


def _home_folder() -> Path:
    """The user's home; a folder of their own under /tmp for a uid that has none."""
    return next(filter(_is_home, map(Path, _homes())), _made_up_home())


def _homes() -> list[str]:
    """$HOME, and what the system says, as for root by way of sudo."""
    import pwd  # here: what starts a child must be light

    try:
        return [os.environ.get("HOME", ""), pwd.getpwuid(os.geteuid()).pw_dir]
    except KeyError:
        return [os.environ.get("HOME", "")]


def _is_home(folder: Path) -> bool:
    """A folder that we may write into, and that is ours or root's: as docker/entrypoint asks."""
    try:
        theirs = folder.stat().st_uid not in (0, os.geteuid())
    except (OSError, ValueError):
        return False
    # With the rights that we have, not with those of who started us: capabilities count.
    writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
    return folder.is_absolute() and writable and not theirs


def _made_up_home() -> Path:
    import tempfile  # here: what starts a child must be light

    return Path(tempfile.gettempdir()) / f"home-{os.geteuid()}"


# TOML files, whoever wrote them.

LARGEST_TOML = 1 << 18  # bytes; the largest shipped one has 25 kB
_PARTS = 64  # of a dotted key: tomllib's time grows with their square
_NO_DOT_OF_A_KEY = re.compile(r"""\"[^"]*\"|'[^']*'|\d\.\d""")


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file: one that somebody names, or one of a root's.

    A root's own may be a symbolic link, as some installers make; one that is named by its path
    may not, nor may it be a FIFO, a device or larger than LARGEST_TOML.

    Raises UsageError, one sentence, for what cannot be read or is no TOML.
    """
    try:
        data = files.read_plain(path, LARGEST_TOML, follow=_in_a_root(path))
        return tomllib.loads(_shallow(data.decode("utf-8")))
    except OSError as error:
        why = error.strerror or "unreadable"
        raise UsageError(f"{path}: cannot be read ({why}); check the path") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from None
    except RecursionError:
        raise UsageError(f"{path}: not TOML that can be read: it nests too deep") from None
    except ValueError as error:  # also a number of thousands of digits
        problem = f"{error}".rstrip(".")[:300]
        raise UsageError(f"{path}: not TOML: {problem}; fix that line") from None


def _shallow(text: str) -> str:
    """The text; RecursionError for keys of more parts than anybody nests."""
    many = (line for line in text.splitlines() if line.count(".") > _PARTS)
    if any(_NO_DOT_OF_A_KEY.sub("", line).count(".") > _PARTS for line in many):
        raise RecursionError
    return text


def _in_a_root(path: Path) -> bool:
    return path.is_relative_to(HOME) or path.is_relative_to(project() or HOME)


# What a project made from jaxpad chose: configs/project.toml, which jaxpad itself has none of.
#
# So a copy's tasks, images and profiles start from its own answers, and its files are jaxpad's.

_FILE = "configs/project.toml"


def sources() -> Path:
    """The folder of the project's own code, which need not be there."""
    return roots()[0] / "src"


@dataclass(frozen=True)
class Project:
    """The choices; the defaults are jaxpad's own.

    `gpus` are the GPUs that profiles are proven for, names in configs/gpus. `workloads` gives
    short names to the project's own programs: name = "package.module:function". `variables`
    are those that change what JAX means and are meant to, such as JAX_ENABLE_X64.
    """

    name: str = "jaxpad"
    version: str = jaxpad.__version__
    package: str = ""
    base: str = "toolbox"
    cuda: str = ""
    profile: str = "base"
    registry: str = ""
    gpus: tuple[str, ...] = ()
    workloads: Mapping[str, str] = field(default_factory=dict)
    variables: tuple[str, ...] = ()

    @property
    def repository(self) -> str:
        """What its images are called, before the tag."""
        return f"{self.registry}/{self.name}" if self.registry else self.name


@functools.cache
def settings() -> Project:
    """What the project, the checkout or the image holds.

    Raises UsageError where its file is at fault.
    """
    return read(roots()[0] / _FILE)


def read(file: Path) -> Project:
    """The choices in a file, or jaxpad's own where there is none."""
    if not os.path.lexists(file):
        return Project()
    found = read_toml(file)
    known = {one.name: one for one in fields(Project)}
    for name, value in found.items():
        _require(file, name, value, known)
    return Project(**{name: _plain(value) for name, value in found.items()})


def _require(file: Path, name: str, value: Any, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise UsageError(f"{file} sets {name}, which is none of {', '.join(known)}; leave it out")
    if not _KINDS.get(name, _is_word)(value):
        wanted = _WANTED.get(_KINDS.get(name, _is_word), "a word")
        raise UsageError(f"{file}: {name} is {value!r}, expected {wanted}; fix it there")


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_word, value))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_word, value.values()))


_KINDS = {"gpus": _is_list, "variables": _is_list, "workloads": _is_table}
_WANTED = {_is_list: "a list of names", _is_table: "a table of names"}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# What each extra of the package brings, and a sentence where a command lacks one.

# What a command imports of its extra in pyproject.toml. A report does without matplotlib.
_XLA = ("jax", "jaxlib", "numpy", "google.protobuf")
MODULES = {
    "smoke": (*_XLA, "pytest", "jaxtyping", "beartype", "pexpect"),
    "proof": _XLA,
    "tune": (*_XLA, "optuna", "matplotlib"),
}


def lack(command: str, extra: str, *modules: str) -> str:
    """What a command needs of an extra, in a sentence; empty where all is there.

    With `modules`, it needs those alone. Nothing is imported for it.
    """
    wanted = modules or MODULES[extra]
    lacking = next((module for module in wanted if not _there(module)), None)
    if lacking is None:
        return ""
    return f"{command} needs {lacking.replace('google.protobuf', 'protobuf')}: {install(extra)}"


def need(command: str, extra: str, *modules: str) -> None:
    """Raises UsageError where what `lack` looks for is not there."""
    if sentence := lack(command, extra, *modules):
        raise UsageError(sentence)


def install(extra: str) -> str:
    """The command that installs an extra, of the checkout where this is one."""
    checkout = (HOME / "pyproject.toml").is_file()
    return f"pip install '{HOME if checkout else 'jaxpad'}[{extra}]'"


def _there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):  # its package is not there, or is half there
        return False
