"""What this machine shows without JAX: GPUs on the bus, device nodes, memory, folders.

Adapter to the operating system. Reads /sys and /dev only; the roots are arguments
so that tests can lay out a machine.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

NVIDIA_VENDOR = "0x10de"  # PCI SIG's vendor id
DISPLAY_CLASS = "0x03"  # PCI base class 03: VGA 0300, 3D 0302, other display 0380


@dataclass(frozen=True)
class GpuEvidence:
    """Signs of an NVIDIA GPU. A library file alone is none: images ship copies."""

    pci: tuple[str, ...]  # bus ids of NVIDIA display devices
    nodes: tuple[str, ...]  # /dev/nvidia<N>, or /dev/dxg under WSL
    kernel_driver: str | None  # version of the loaded nvidia module

    def __bool__(self) -> bool:
        return bool(self.pci or self.nodes)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each sign in words."""
        pci = (f"NVIDIA display device on the PCI bus: {bus}" for bus in self.pci)
        nodes = (f"device node {node}" for node in self.nodes)
        return (*pci, *nodes)


def gpu_evidence(sysfs: Path = Path("/sys"), dev: Path = Path("/dev")) -> GpuEvidence:
    """Look for NVIDIA GPUs under the given roots of sysfs and of device nodes."""
    version = sysfs / "module/nvidia/version"
    return GpuEvidence(
        pci=tuple(sorted(filter(None, map(_nvidia_display, sysfs.glob("bus/pci/devices/*"))))),
        nodes=tuple(sorted(map(str, [*dev.glob("nvidia[0-9]*"), *dev.glob("dxg")]))),
        kernel_driver=_text(version) or None,
    )


def _nvidia_display(device: Path) -> str | None:
    nvidia = _text(device / "vendor") == NVIDIA_VENDOR
    return device.name if nvidia and _text(device / "class").startswith(DISPLAY_CLASS) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def summary() -> dict[str, str]:
    """The machine in a few facts, for the report."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": _os_name(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory / 2**30:.1f} GiB",
        "container": container() or "none seen",
        "image": image(),
    }


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()


def container(root: Path = Path("/")) -> str | None:
    """The container engine we run under, or None where none shows.

    Docker leaves /.dockerenv, podman /run/.containerenv, Apptainer /.singularity.d.
    """
    marks = {"docker": ".dockerenv", "podman": "run/.containerenv", "apptainer": ".singularity.d"}
    return next((name for name, mark in marks.items() if (root / mark).exists()), None)


def image(described: Path = Path("/usr/local/share/jaxpad/image.json")) -> str:
    """The jaxpad image this runs in, in words."""
    try:
        told = dict(json.loads(described.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return "not a jaxpad image"
    base, cuda, profile = (told.get(key, "unknown") for key in ("base", "cuda", "profile"))
    return f"jaxpad {told.get('jaxpad')} on {base}, CUDA {cuda}, profile {profile}"


def oom_kills(vmstat: Path = Path("/proc/vmstat")) -> int | None:
    """How often the kernel's out-of-memory killer has acted since boot; None if unknown."""
    lines = _text(vmstat).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def unwritable(folder: Path, size: int = 1 << 20) -> str | None:
    """Why `size` bytes cannot be written into `folder`, or None if they can.

    The folder is made if it is absent; the trial file is removed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as trial:
            trial.write(bytes(size))
            trial.flush()
            os.fsync(trial.fileno())
    except OSError as error:
        return error.strerror or str(error)
    return None
