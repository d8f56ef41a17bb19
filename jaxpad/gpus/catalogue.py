"""Find GPU descriptions and read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxpad.core import paths
from jaxpad.core.results import UsageError
from jaxpad.gpus import description
from jaxpad.gpus.description import GpuDescription, target
from jaxpad.profiles import ARCHITECTURES, did_you_mean, listed
from jaxpad.profiles.model import Table

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
    table = Table(path, "", paths.read_toml(path))
    table.only(*_KEYS, *_TABLES)
    pci, spellings = description.recognise(table.table("recognise"))
    return GpuDescription(
        name=path.stem if path.parent in folders else str(path.resolve()),
        path=path,
        description=table.text("description"),
        architecture=_architecture(table),
        compute_capability=_capability(table),
        pci=pci,
        names=spellings,
        peak=description.peak(table.table("peak")),
        memory=description.memory(table.table("memory")),
        tdp_watts=description.tdp(table.table("power")),
        nvlink=description.nvlink(table.table("nvlink")) if "nvlink" in table.items else None,
        pcie=description.pcie(table.table("pcie")),
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
        table.refuse(f"compute_capability is {text!r}, expected one such as '9.0'; fix it")
    return text


# Which description a GPU answers to.

_MAKER = frozenset({"nvidia", "tesla", "geforce"})
_DEVICE = re.compile(r"(?:0x)?([0-9a-f]{4})(?:10de)?|10de:([0-9a-f]{4})")


def recognise(
    pci_device_id: str | None, name: str | None, folder: Path | None = None
) -> GpuDescription | None:
    """The description of a GPU by its PCI device id, else by its name; None where none fits.

    The id is sysfs's (`0x2330`), lspci's (`10de:2330`), NVML's (`0x233010DE`) or bare
    (`2330`); the name is NVML's, which JAX gives as `device_kind`. Names are compared word
    by word, the maker's words and a MIG slice's left out, and must fit whole: an RTX 4090
    Laptop, an RTX 4090 D and an L40S are other GPUs than an RTX 4090 and an L4.

    A MIG slice gets the description of the whole GPU: scale the rates by the slice's share
    of `target.figures["core_count"]`. Where two fit, it is the project's.
    """
    device, words = _device(pci_device_id or ""), _words(name or "")
    by_id = (gpu for gpu in _holding((device or "",), folder) if device in gpu.pci)
    by_name = (gpu for gpu in _holding(words, folder) if words in map(_words, gpu.names))
    return next(by_id, None) or next(by_name, None)


def _holding(words: Sequence[str], folder: Path | None) -> Iterator[GpuDescription]:
    """The descriptions whose files hold all of these words, the project's first.

    To parse all 25 takes 25 ms, a sixth of what `jaxpad health` takes; to look into them, 4 ms.
    """
    paths_ = (_path(each, _folders(folder)) for each in names(folder) if any(words))
    for path in paths_:
        text = path.read_bytes().lower() if path.is_file() else b""
        if all(word.encode() in text for word in words):
            yield load(path, folder)


def _device(text: str) -> str | None:
    found = _DEVICE.fullmatch(text.strip().lower())
    return (found[1] or found[2]) if found else None


def _words(name: str) -> tuple[str, ...]:
    """The words that tell GPUs apart: `NVIDIA A100-SXM4-80GB MIG 1g.10gb` is a100 sxm4 80gb."""
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word]
    if "mig" in words:
        words = words[: words.index("mig")]
    return tuple(word for word in words if word not in _MAKER)
