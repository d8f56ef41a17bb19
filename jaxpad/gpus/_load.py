"""Find GPU descriptions and read them."""

from __future__ import annotations

import re
from pathlib import Path

from jaxpad import paths
from jaxpad.errors import UsageError
from jaxpad.gpus import _read
from jaxpad.gpus._model import GpuDescription
from jaxpad.gpus._target import target
from jaxpad.profiles import ARCHITECTURES, did_you_mean, listed
from jaxpad.profiles._load import _read as read_toml
from jaxpad.profiles._table import Table

FOLDER = paths.CONFIGS / "gpus"  # the shipped ones
_KEYS = ("description", "architecture", "compute_capability")
_TABLES = ("recognise", "peak", "memory", "power", "nvlink", "pcie", "target")


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the GPU descriptions: the project's in alphabetical order, then the shipped.

    With `folder`, those in there alone; so in `load`.
    """
    groups = [paths.stems([one]) for one in _folders(folder)]
    return tuple(dict.fromkeys(name for group in groups for name in group))


def load(name_or_path: str | Path, folder: Path | None = None) -> GpuDescription:
    """Read one description: a name, or the path of a .toml file. Of two, the project's.

    Raises UsageError, one sentence that names the file, the table and the remedy, for a
    file that is not there, is no TOML, or does not keep to the format in docs/gpus.md.
    """
    folders = _folders(folder)
    path = _path(name_or_path, folders)
    table = Table(path, "", read_toml(path))
    table.only(*_KEYS, *_TABLES)
    pci, spellings = _read.recognise(table.table("recognise"))
    return GpuDescription(
        name=path.stem if path.parent in folders else str(path.resolve()),
        path=path,
        description=table.text("description"),
        architecture=_architecture(table),
        compute_capability=_capability(table),
        pci=pci,
        names=spellings,
        peak=_read.peak(table.table("peak")),
        memory=_read.memory(table.table("memory")),
        tdp_watts=_read.tdp(table.table("power")),
        nvlink=_read.nvlink(table.table("nvlink")) if "nvlink" in table.items else None,
        pcie=_read.pcie(table.table("pcie")),
        target=target(table.table("target")),
    )


def _folders(folder: Path | None) -> tuple[Path, ...]:
    return paths.folders("configs/gpus") if folder is None else (folder,)


def _path(name_or_path: str | Path, folders: tuple[Path, ...]) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return Path(name_or_path)
    for folder in folders:
        if text in paths.stems([folder]):
            return folder / f"{text}.toml"
    known = paths.stems(folders)
    hint = did_you_mean(text, known) or f"; there are {listed(known)}"
    raise UsageError(f"no GPU is called {text!r} (a file is named by its path){hint}")


def _architecture(table: Table) -> str:
    text = table.text("architecture")
    if text not in ARCHITECTURES:
        hint = did_you_mean(text, ARCHITECTURES) or f"; expected {listed(ARCHITECTURES, 'or')}"
        table.refuse(f"architecture is {text!r}, which is not known{hint}")
    return text


def _capability(table: Table) -> str:
    text = table.text("compute_capability")
    if not re.fullmatch(r"\d{1,2}\.\d", text):
        table.refuse(f"compute_capability is {text!r}, expected one such as '9.0'; mend it")
    return text
