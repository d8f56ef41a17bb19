"""Find GPU descriptions and read them."""

from __future__ import annotations

import re
from pathlib import Path

from jaxpad.errors import UsageError
from jaxpad.gpus import _read
from jaxpad.gpus._model import GpuDescription
from jaxpad.gpus._target import target
from jaxpad.paths import CONFIGS
from jaxpad.profiles import ARCHITECTURES, did_you_mean, listed
from jaxpad.profiles._load import _read as read_toml
from jaxpad.profiles._table import Table

FOLDER = CONFIGS / "gpus"
_KEYS = ("description", "architecture", "compute_capability")
_TABLES = ("recognise", "peak", "memory", "power", "nvlink", "pcie", "target")


def names(folder: Path = FOLDER) -> tuple[str, ...]:
    """The names of the GPU descriptions in a folder, in alphabetical order."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load(name_or_path: str | Path, folder: Path = FOLDER) -> GpuDescription:
    """Read one description: a name in the folder, or the path of a .toml file.

    Raises UsageError, one sentence that names the file, the table and the remedy, for a
    file that is not there, is no TOML, or does not keep to the format in docs/gpus.md.
    """
    path = _path(name_or_path, folder)
    table = Table(path, "", read_toml(path))
    table.only(*_KEYS, *_TABLES)
    pci, spellings = _read.recognise(table.table("recognise"))
    return GpuDescription(
        name=path.stem if path.parent == folder else str(path.resolve()),
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


def _path(name_or_path: str | Path, folder: Path) -> Path:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return Path(name_or_path)
    if text not in names(folder):
        hint = did_you_mean(text, names(folder)) or f"; there are {listed(names(folder))}"
        raise UsageError(f"no GPU is called {text!r} (a file is named by its path){hint}")
    return folder / f"{text}.toml"


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
