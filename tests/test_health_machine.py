"""A machine laid out in a folder, and how fast it is looked at."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nvml_double as double
from helpers import HOME, environ, quick
from jaxpad import health
from jaxpad.cli import health as cli_health
from jaxpad.commands.machine import HealthOptions as Options
from jaxpad.core import bounds
from jaxpad.core.host import GpuEvidence
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict
from jaxpad.health import Facts, Finding
from jaxpad.nvml import Kernel, Snapshot

H100 = "healthy-h100-sxm"
QUIET = Kernel(Reading(()), Reading(()), Reading(()))
SHOWN = Facts(GpuEvidence((), ("/dev/nvidia0",), None), asked_s=0.1)


class Machine:
    """A folder that sysfs, /dev and the kernel's log are read from."""

    def __init__(self, folder: Path) -> None:
        self.sysfs, self.dev, self.log = folder / "sys", folder / "dev", folder / "kmsg"
        self.root = folder
        self.log.write_text("")

    @property
    def roots(self) -> health.Roots:
        return health.Roots(self.sysfs, self.dev, self.log, self.root)

    def gpu(self, bus: str, config: bytes = b"\xde\x10\x30\x23", driver: str = "nvidia") -> None:
        folder = self.sysfs / "bus/pci/devices" / bus
        folder.mkdir(parents=True)
        (folder / "vendor").write_text("0x10de\n")
        (folder / "class").write_text("0x030200\n")
        (folder / "config").write_bytes(config)
        held_by = self.sysfs / "bus/pci/drivers" / driver
        held_by.mkdir(parents=True, exist_ok=True)
        (folder / "driver").symlink_to(held_by)

    def module(self, version: str) -> None:
        folder = self.sysfs / "module/nvidia"
        folder.mkdir(parents=True)
        (folder / "version").write_text(f"{version}\n")

    def xid(self, code: int, bus: str = "0000:3b:00") -> None:
        line = f"3,1022,6000000,-;NVRM: Xid (PCI:{bus}): {code}, pid=1234, name=ann, words\n"
        self.log.write_text(self.log.read_text() + line)

    def port(self, state: str, physical: str, adapter: str = "mlx5_0") -> None:
        folder = self.sysfs / "class/infiniband" / adapter / "ports/1"
        folder.mkdir(parents=True)
        for name, text in (
            ("state", state),
            ("phys_state", physical),
            ("rate", "400 Gb/sec (4X NDR)"),
            ("link_layer", "InfiniBand"),
        ):
            (folder / name).write_text(f"{text}\n")


def seen(scenario: str) -> Snapshot:
    """What NVML says there, with a quiet kernel."""
    return replace(double.seen(scenario), kernel=QUIET)


def judged(snapshot: Snapshot, facts: Facts = SHOWN, **more: Any) -> dict[str, Finding]:
    """Findings by name, on the node and its first GPU."""
    described = more.pop("described", health.describe(snapshot))
    found = health.judge(snapshot, described, bounds.load(), facts, **more)
    return {one.name: one for one in found if one.gpu in (None, 0)}


def first(snapshot: Snapshot, **changes: Any) -> Snapshot:
    """The snapshot with parts of its first GPU changed."""
    head, *rest = snapshot.gpus
    return replace(snapshot, gpus=(replace(head, **changes), *rest))


def eight(tmp_path: Path) -> dict[str, Any]:
    """Where to look to find eight healthy GPUs."""
    return {"roots": Machine(tmp_path).roots, "environ": double.environ(H100)}


def test_eight_gpus_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = eight(tmp_path)

    def asked() -> None:
        assert cli_health.health_command(Options(), **node) == 0

    quick(3, asked)
    assert capsys.readouterr().out.startswith("pass: ")


def test_hang_is_decided_in_time(tmp_path: Path) -> None:
    roots, variables = Machine(tmp_path).roots, double.environ("hangs")
    begun = time.monotonic()
    found = health.check(bounds.load(), roots=roots, environ=variables)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert time.monotonic() - begun < 10


def test_no_jax_is_imported() -> None:
    code = "import sys, jaxpad.cli.health; print('jax' in sys.modules, 'pynvml' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), cwd=HOME, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "False"]
