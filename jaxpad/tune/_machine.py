"""Where a tuning run is: the platform, the device, what it holds."""

from __future__ import annotations

import os
import platform as system
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad import gpus, host, platforms
from jaxpad.errors import UsageError
from jaxpad.nvml import Driver


@dataclass(frozen=True)
class Machine:
    """What is compiled for, and whether it is here to be measured on.

    `gpu` is a description's name, "" on the CPU; `memory` the device's in bytes, 0 if unknown.
    """

    platform: str
    gpu: str = ""
    device: str = ""
    driver: str = ""
    memory: int = 0
    here: bool = True


def find(
    requested: str, gpu: str, environ: Mapping[str, str], driver: Driver, shown: host.GpuEvidence
) -> Machine:
    """The machine that --platform and --gpu ask for.

    Raises UsageError where they contradict each other, and for a GPU that has no description.
    """
    if gpu and requested == "cpu":
        raise UsageError(f"--gpu {gpu} and --platform cpu contradict each other; leave one out")
    if gpu:
        return _described(gpu, driver)
    expected = platforms.expect(requested, environ, shown, driver)
    if expected.platform == "cpu":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Machine("cpu", device=_processor(), memory=memory)
    found = _first(driver)
    if found is None:
        seen = driver.names[0] if driver.names else driver.error or "NVML lists no GPU"
        raise UsageError(
            f"this machine's GPU has no description in configs/gpus ({seen}); name one with --gpu"
        )
    return _described(found, driver)


def _described(gpu: str, driver: Driver) -> Machine:
    one = gpus.load(gpu)
    here = _first(driver) == gpu
    size = one.memory.size_gb
    return Machine(
        platform="gpu",
        gpu=gpu,
        device=driver.names[0] if here else one.target.name,
        driver=(driver.version or "") if here else "",
        memory=int(size.value * 10**9) if size.value and size.confirmed else 0,
        here=here,
    )


def _first(driver: Driver) -> str | None:
    """The name of the description of the first GPU, where there is one."""
    found = gpus.recognise(None, driver.names[0]) if driver.names else None
    return found.path.stem if found else None


def _processor() -> str:
    """The processor's model, as Linux calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or system.machine()
