"""What a caller wants run or built, in no engine's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad.errors import UsageError

SHM_SIZE = "8g"  # a limit, not a reservation; the engines' 64 MB breaks NCCL and data loaders


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host, and where the container sees it."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Run:
    """One container."""

    image: str
    command: tuple[str, ...] = ()  # empty: the image's own
    gpus: str = "none"  # all, none, or indices or UUIDs with commas between
    mounts: tuple[Mount, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    user: tuple[int, int] | None = None  # uid and gid; None: the image's own
    terminal: bool = False
    workdir: str | None = None
    shm_size: str = SHM_SIZE
    ipc_host: bool = False  # shares the host's /dev/shm; then no size of our own
    port: tuple[int, int] | None = None  # on the host's loopback, in the container
    network: str | None = None
    options: tuple[str, ...] = ()  # more of the engine's own


@dataclass(frozen=True)
class Build:
    """One image from the Dockerfile."""

    target: str
    tag: str
    context: Path
    dockerfile: Path | None = None  # None: it comes on standard input
    args: Mapping[str, str | None] = field(default_factory=dict)  # None: the caller's variable
    labels: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None
    network: str | None = None


def gpu_list(gpus: str) -> tuple[str, ...]:
    """The GPUs of a list such as `0,1`; raises UsageError where one is empty."""
    chosen = tuple(gpu.strip() for gpu in gpus.split(","))
    if not all(chosen):
        raise UsageError(f"--gpus {gpus!r} is not all, none or a list such as 0,1")
    return chosen
