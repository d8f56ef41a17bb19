"""Which description a GPU answers to."""

from __future__ import annotations

import re
from pathlib import Path

from jaxpad.gpus._load import load, names
from jaxpad.gpus._model import GpuDescription

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
    known = [load(each, folder) for each in names(folder)]
    device = _device(pci_device_id or "")
    by_id = (gpu for gpu in known if device in gpu.pci)
    words = _words(name or "")
    by_name = (gpu for gpu in known if words in map(_words, gpu.names))
    return next(by_id, None) or next(by_name, None)


def _device(text: str) -> str | None:
    found = _DEVICE.fullmatch(text.strip().lower())
    return (found[1] or found[2]) if found else None


def _words(name: str) -> tuple[str, ...]:
    """The words that tell GPUs apart: `NVIDIA A100-SXM4-80GB MIG 1g.10gb` is a100 sxm4 80gb."""
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word]
    if "mig" in words:
        words = words[: words.index("mig")]
    return tuple(word for word in words if word not in _MAKER)
