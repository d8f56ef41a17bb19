"""The host as the questions see it: its folders, its variables, its programs."""

from __future__ import annotations

import grp
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from jaxpad import facts, host, nvml, paths
from jaxpad.core import child
from jaxpad.doctor._clock import Clock, read_clock
from jaxpad.doctor._programs import Run, run_program, runner
from jaxpad.host import GpuEvidence
from jaxpad.nvml import Driver

ENGINES = ("docker", "podman")


@dataclass(frozen=True)
class Space:
    """The size of a file system and what is free on it, in bytes."""

    total: int
    free: int


def space(folder: Path) -> Space:
    """Raises OSError if there is no such folder."""
    usage = shutil.disk_usage(folder)
    return Space(usage.total, usage.free)


@dataclass(frozen=True)
class Host:
    """A machine to examine. Tests lay one out; `here` is the one we run on."""

    environ: Mapping[str, str]
    run: Run  # run(*argv) -> Ran, each argv once
    ask_driver: Callable[[], Driver]
    ask_clock: Callable[[], Clock]
    space: Callable[[Path], Space] = space
    root: Path = Path("/")  # what /sys, /proc, /dev, /etc and /run are under
    uid: int = 0
    groups: tuple[str, ...] = ()  # of this process, which a fresh login may have more of
    member: Callable[[str], bool] = field(default=lambda _: False)  # by the group file
    engines: tuple[str, ...] = ENGINES  # the ones asked about
    image: str | None = None

    @cached_property
    def gpus(self) -> GpuEvidence:
        return host.gpu_evidence(self.root / "sys", self.root / "dev")

    @cached_property
    def driver(self) -> Driver:
        return self.ask_driver()

    @property
    def count(self) -> int:
        """How many GPUs the machine shows, on the bus, in /dev or by NVML."""
        return max(len(self.gpus.pci), len(self.gpus.nodes), len(self.driver.names))

    def text(self, path: str) -> str:
        """The file at `path`, which is relative to the root; empty if it cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace")
        except OSError:
            return ""


def here(engine: str | None = None, image: str | None = None) -> Host:
    """The machine we run on."""
    environ = dict(os.environ)
    return Host(
        environ=environ,
        run=runner(environ),
        ask_driver=lambda: ask_driver(environ),
        ask_clock=read_clock,
        uid=os.getuid(),
        groups=tuple(filter(None, map(_group, os.getgroups()))),
        member=_member,
        engines=(engine,) if engine else ENGINES,
        image=image,
    )


def ask_driver(environ: Mapping[str, str], limit: float = facts.NVML_LIMIT) -> Driver:
    """NVML's account, read in a child that is left behind if it is stuck in the kernel."""
    argv = tuple(child.python("-m", "jaxpad.nvml"))
    ran = run_program(argv, paths.importable(environ), limit)
    try:
        return nvml.from_json(ran.stdout)
    except ValueError:
        silent = f"NVML ended its process with code {ran.code}"
        late = f"NVML did not answer within {limit:g} s{ran.note}"
        return Driver(error=silent if ran.code is not None else late)


def _group(number: int) -> str | None:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


def _member(name: str) -> bool:
    """Whether the group file makes the caller a member, in this session or not."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name in grp.getgrnam(name).gr_mem
    except KeyError:
        return False
