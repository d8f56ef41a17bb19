"""What a project made from jaxpad chose: configs/project.toml, which jaxpad itself has none of.

So a copy's tasks, images and profiles start from its own answers, and its files are jaxpad's.
"""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import jaxpad
from jaxpad import paths
from jaxpad.errors import UsageError

_FILE = "configs/project.toml"


def sources() -> Path:
    """The folder of the project's own code, which need not be there."""
    return paths.roots()[0] / "src"


@dataclass(frozen=True)
class Project:
    """The choices; the defaults are jaxpad's own.

    `gpus` are the GPUs that profiles are proven for, names in configs/gpus. `workloads` gives
    short names to the project's own programs: name = "package.module:function".
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

    @property
    def repository(self) -> str:
        """What its images are called, before the tag."""
        return f"{self.registry}/{self.name}" if self.registry else self.name


@functools.cache
def project() -> Project:
    """What the project, the checkout or the image holds.

    Raises UsageError where its file is at fault.
    """
    return read(paths.roots()[0] / _FILE)


def read(file: Path) -> Project:
    """The choices in a file, or jaxpad's own where there is none."""
    if not file.is_file():
        return Project()
    try:
        found = tomllib.loads(file.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}; mend it there") from error
    known = {one.name: one for one in fields(Project)}
    for name, value in found.items():
        _require(file, name, value, known)
    return Project(**{name: _plain(value) for name, value in found.items()})


def _require(file: Path, name: str, value: Any, known: Mapping[str, Any]) -> None:
    if name not in known:
        raise UsageError(f"{file} sets {name}, which is none of {', '.join(known)}; leave it out")
    if not _KINDS.get(name, _is_word)(value):
        wanted = {"gpus": "a list of names", "workloads": "a table of names"}.get(name, "a word")
        raise UsageError(f"{file}: {name} is {value!r}, expected {wanted}; mend it there")


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_word, value))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_word, value.values()))


_KINDS = {"gpus": _is_list, "workloads": _is_table}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
