"""What the kernel says, from folders laid out as its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import nvml_double as double
from jaxpad import nvml
from jaxpad.nvml import Kernel, Snapshot

KMSG = """\
6,1021,5123456,-;nvidia: loading out-of-tree module taints kernel.
4,1022,6000000,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.
 SUBSYSTEM=pci
3,1023,7250000,c;NVRM: Xid (0008:01:00.0): 48, DBE
"""
DMESG = "[   12.500000] NVRM: Xid (PCI:0000:0a:00): 13\n[   13.0] usb 1-1: new device\n"


def gpu(sysfs: Path, bus: str, config: bytes | None = b"\xde\x10\x30\x23") -> None:
    folder = sysfs / "bus/pci/devices" / bus
    folder.mkdir(parents=True)
    (folder / "vendor").write_text("0x10de\n")
    (folder / "class").write_text("0x030200\n")
    if config is not None:
        (folder / "config").write_bytes(config)


def port(sysfs: Path, adapter: str, **files: str) -> None:
    folder = sysfs / "class/infiniband" / adapter / "ports/1"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")


def log(tmp_path: Path, text: str) -> Kernel:
    (tmp_path / "kmsg").write_text(text)
    return nvml.kernel(tmp_path, tmp_path / "kmsg")


def test_xids(tmp_path: Path) -> None:
    first, second = log(tmp_path, KMSG).xids.value or ()
    assert (first.seconds, first.pci_bus_id, first.code) == (6.0, "0000:3b:00.0", 79)
    assert first.text == "pid=1234, name=python, GPU has fallen off the bus."
    assert (second.pci_bus_id, second.code, second.text) == ("0008:01:00.0", 48, "DBE")


def test_xids_of_dmesg(tmp_path: Path) -> None:
    [only] = log(tmp_path, DMESG).xids.value or ()
    assert (only.seconds, only.pci_bus_id, only.code) == (12.5, "0000:0a:00.0", 13)


def test_no_xids(tmp_path: Path) -> None:
    assert log(tmp_path, "6,1,1,-;Linux version 6.1\n").xids.value == ()


def test_log_unreadable(tmp_path: Path) -> None:
    found = nvml.kernel(tmp_path, tmp_path / "none").xids
    assert (found.value, found.error) == (None, "FileNotFoundError")


def test_ports(tmp_path: Path) -> None:
    rate = "400 Gb/sec (4X NDR)"
    port(tmp_path, "mlx5_0", state="4: ACTIVE", phys_state="5: LinkUp", rate=rate)
    port(tmp_path, "mlx5_1", state="1: DOWN", phys_state="3: Disabled", rate=rate)
    up, down = nvml.kernel(tmp_path, tmp_path).ports.value or ()
    assert (up.adapter, up.port, up.state.value) == ("mlx5_0", 1, "ACTIVE")
    assert (up.physical_state.value, up.gbit_per_s.value) == ("LinkUp", 400.0)
    assert up.link_layer.error == "FileNotFoundError"
    assert down.state.value == "DOWN"


def test_no_ports(tmp_path: Path) -> None:
    assert nvml.kernel(tmp_path, tmp_path).ports.value == ()


def test_fallen_off_the_bus(tmp_path: Path) -> None:
    gpu(tmp_path, "0000:3b:00.0")
    gpu(tmp_path, "0000:5e:00.0", b"\xff\xff\xff\xff")
    gpu(tmp_path, "0000:86:00.0", None)
    found = nvml.kernel(tmp_path, tmp_path).gpus.value or ()
    answers = {each.pci_bus_id: each.answers.value for each in found}
    assert answers == {"0000:3b:00.0": True, "0000:5e:00.0": False, "0000:86:00.0": None}


def test_no_sysfs(tmp_path: Path) -> None:
    assert nvml.kernel(tmp_path, tmp_path).gpus.error == "FileNotFoundError"


def snapshot(tmp_path: Path, *buses: str) -> Snapshot:
    for bus in buses:
        gpu(tmp_path, bus)
    said = nvml.kernel(tmp_path, tmp_path)
    return dataclasses.replace(double.seen("l4"), kernel=said)


def test_on_the_bus_and_not_in_nvml(tmp_path: Path) -> None:
    assert snapshot(tmp_path, "0000:3b:00.0", "0000:5e:00.0").unlisted == ("0000:5e:00.0",)


def test_all_listed(tmp_path: Path) -> None:
    assert snapshot(tmp_path, "0000:3b:00.0").unlisted == ()


def test_roots_reach_the_child(tmp_path: Path) -> None:
    (tmp_path / "kmsg").write_text(KMSG)
    seen = nvml.ask(sysfs=tmp_path, kmsg=tmp_path / "kmsg", environ=double.environ("l4"))
    assert [xid.code for xid in seen.kernel.xids.value or ()] == [79, 48]
