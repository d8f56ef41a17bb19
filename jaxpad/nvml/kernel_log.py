"""What the kernel says about the GPUs, without NVML: Xid errors, ports, the PCI bus.

The roots are arguments, so that tests can lay out a machine.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.core import host
from jaxpad.core.reading import Reading, attempt, first
from jaxpad.nvml.device import bus_id

# The kernel's log, and the Xid errors that the NVIDIA driver writes to it.

KMSG = Path("/dev/kmsg")

# https://docs.nvidia.com/deploy/xid-errors/; a slice is named after the bus: GPU-I:05 GPU-CI:00.
_BUS = r"((?:[0-9a-fA-F]+:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-7])?)"
_XID = re.compile(
    r"NVRM: Xid \((?:PCI: ?)?([0-9a-fA-F:.]+)(?:[, ]+GPU-C?I:[^)]*)?\): (\d{1,6})(?!\d)(?:, *(.*))?"
)
_RECORD = re.compile(r"\d+,\d+,(\d{1,18}),[^;]*;")  # /dev/kmsg: priority, number, microseconds
_CLOCK = re.compile(r"\[ *(\d+\.\d+)\] ")  # as dmesg and the journal print it
_READ_ALL, _SIZE = 3, 10  # syslog(2), SYSLOG_ACTION_READ_ALL and _SIZE_BUFFER
_CHUNK = 1 << 16  # longer than any one record
_MOST = 64 << 20  # bytes that are read; the kernel's own buffer is 16 MiB at most, a file may grow
_SPLIT = 6  # lines that the driver spreads one sentence over, at most

# Lines without an Xid, by what they mean. The first group is the device, where they name it.
# From open-gpu-kernel-modules, linux (aer.c, mlx5 events.c, hung_task.c), and the kmsg_matcher.go
# files of https://github.com/leptonai/gpud.
_FATAL_AER = r"Uncorrect(?:ed|able) \(Fatal\)"
_SAID = {
    kind: re.compile(pattern)
    for kind, pattern in {
        "fallen": rf"NVRM: GPU (?:at PCI:)?{_BUS}[^ ]* GPU has fallen off the bus",
        "init": rf"NVRM: (?:GPU {_BUS}: )?(?:RmInitAdapter|rm_init_adapter) failed",
        "aer": rf"{_BUS}: (?:AER: )?PCIe Bus Error: severity={_FATAL_AER}",
        "aer received": rf"AER: (?:Multiple )?{_FATAL_AER} error.* (?:received: |from ){_BUS}",
        "switch fatal": rf"SXid \((?:PCI:)?{_BUS}\): \d+, Fatal",
        "switch": rf"SXid \((?:PCI:)?{_BUS}\): \d+, Non-?fatal",
        "discovery": r"NVRM: .*(?:ostRxDetLinkMask failed|Failed to update Rx Detect Link mask)",
        "nccl": r"segfault at .* in libnccl\.so",
        "slot power": rf"mlx5_core {_BUS}: .*Detected insufficient power on the PCIe slot",
        "module heat": r"Port module event.*High Temperature",
        "access": r"mlx5_core.* ACCESS_REG\(0x[0-9a-f]+\).* failed",
        "peermem": r"nvidia[-_]peermem .*ERROR detected invalid context",
        "memory": r"\[Hardware Error\]: .*(?:severity: (?:fatal|recoverable)|Uncorrected error)",
        "hung": r"INFO: task [^ ]*(?:nvidia|nv_)[^ ]*:\d+ blocked for more than",
    }.items()
}
_HINT = re.compile(
    r"NVRM|AER|PCIe Bus Error|SXid|libnccl|mlx5|Port module|peermem|Hardware Error|INFO: task"
)
_OPENING = re.compile(rf"NVRM: The NVIDIA GPU {_BUS}")
_CLOSING = "fallen off the bus and is not responding"


@dataclass(frozen=True)
class Xid:
    """One error that the NVIDIA driver wrote to the kernel's log."""

    seconds: float  # since boot; -1 where the line has no such time
    pci_bus_id: str
    code: int
    text: str


@dataclass(frozen=True)
class Said:
    """A line without an Xid; `kind` is a key of `_SAID`; no device is the empty text."""

    seconds: float
    pci_bus_id: str
    kind: str


def xids(log: str) -> tuple[Xid, ...]:
    """The Xid lines of a kernel log, as /dev/kmsg, dmesg, the journal or syslog gives it."""
    if "NVRM: Xid" not in log:
        return ()
    return tuple(filter(None, map(_xid, log.splitlines())))


def said(log: str) -> tuple[Said, ...]:
    """The lines without an Xid that tell of a fault."""
    lines = log.splitlines()
    found = [_said(line) for line in lines if _HINT.search(line)]
    return (*filter(None, found), *_sentences(lines))


def _said(line: str) -> Said | None:
    for kind, pattern in _SAID.items():
        found = pattern.search(line)
        if found:
            device = _device(found[1]) if pattern.groups and found[1] else ""
            return Said(_seconds(line), device, kind.removesuffix(" received"))
    return None


def _sentences(lines: list[str]) -> Iterator[Said]:
    """The other form of a lost GPU: one sentence over several lines, its bus in the first."""
    for place, line in enumerate(lines):
        opening = _OPENING.search(line)
        after = lines[place : place + _SPLIT] if opening else []
        if opening and any(_CLOSING in each for each in after):
            yield Said(_seconds(line), _device(opening[1]), "fallen")


def _xid(line: str) -> Xid | None:
    found = _XID.search(line)
    if not found:
        return None
    return Xid(_seconds(line), _device(found[1]), int(found[2]), found[3] or "")


def _seconds(line: str) -> float:
    record, plain = _RECORD.match(line), _CLOCK.search(line)
    return int(record[1]) / 1e6 if record else float(plain[1]) if plain else -1.0


def _device(bus: str) -> str:
    whole = bus if bus.count(":") > 1 else f"0000:{bus}"
    return attempt(bus_id, whole).value or bus


def log(kmsg: Path) -> Reading[str]:
    """A file or device; the machine's own log by one system call, as a device is read by line."""
    if kmsg != KMSG:
        return attempt(_records, kmsg)
    return first(lambda: attempt(_syslog), lambda: attempt(_records, kmsg))


def _records(kmsg: Path) -> str:
    return b"".join(_chunks(kmsg)).decode(errors="replace")


def _chunks(kmsg: Path) -> Iterator[bytes]:
    """The device gives one record a read, and then no more; a file gives its end."""
    log, left = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK), _MOST
    try:
        while left > 0:
            try:
                chunk = os.read(log, _CHUNK)
            except BlockingIOError:
                return
            except BrokenPipeError:  # records were overwritten while we read
                continue
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
    finally:
        os.close(log)


def _syslog() -> str:
    size = _klogctl(_SIZE, None, 0)
    buffer = ctypes.create_string_buffer(size)
    length = _klogctl(_READ_ALL, buffer, size)
    return buffer.raw[:length].decode(errors="replace")


def _klogctl(action: int, buffer: Any, size: int) -> int:
    answer: int = ctypes.CDLL(None, use_errno=True).klogctl(action, buffer, size)
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer


SYSFS = Path("/sys")
_NOT_ASKED: Reading[Any] = Reading(None, "not asked")


@dataclass(frozen=True)
class Port:
    """One port of an InfiniBand or RoCE adapter, in sysfs's words."""

    adapter: str
    port: int
    state: Reading[str]  # "ACTIVE"
    physical_state: Reading[str]  # "LinkUp"
    gbit_per_s: Reading[float]
    link_layer: Reading[str]  # "InfiniBand", "Ethernet", or "Unspecified" for EFA
    link_downed: Reading[int] = _NOT_ASKED  # since the adapter was reset
    interface_up: Reading[bool] = _NOT_ASKED  # by `ip link`, of an Ethernet port
    model: Reading[str] = _NOT_ASKED  # "MT4129"


@dataclass(frozen=True)
class BusGpu:
    """An NVIDIA display device that PCI enumeration found.

    `answers` is False where its configuration space reads as ones: it has fallen off the bus.
    """

    pci_bus_id: str
    answers: Reading[bool]


@dataclass(frozen=True)
class Kernel:
    """All of it."""

    xids: Reading[tuple[Xid, ...]]
    ports: Reading[tuple[Port, ...]]
    gpus: Reading[tuple[BusGpu, ...]]
    said: Reading[tuple[Said, ...]] = _NOT_ASKED


def kernel(sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Kernel:
    """Read what may be read of the kernel's log and of sysfs."""
    lines = log(kmsg)
    return Kernel(
        xids=lines.map(xids),
        said=lines.map(said),
        ports=attempt(_ports, sysfs / "class/infiniband"),
        gpus=attempt(_gpus, sysfs),
    )


def _ports(folder: Path) -> tuple[Port, ...]:
    if not folder.is_dir():
        return ()
    return tuple(_port(port) for port in sorted(folder.glob("*/ports/*")))


def _port(port: Path) -> Port:
    def text(name: str) -> Reading[str]:
        return attempt((port / name).read_text).map(str.strip)

    def word(name: str) -> Reading[str]:
        return text(name).map(lambda state: state.partition(": ")[2] or state)

    return Port(
        adapter=port.parent.parent.name,
        port=int(port.name),
        state=word("state"),
        physical_state=word("phys_state"),
        gbit_per_s=text("rate").map(lambda rate: float(rate.split()[0])),
        link_layer=text("link_layer"),
        link_downed=text("counters/link_downed").map(int),
        interface_up=attempt(_interface_up, port.parent.parent),
        model=attempt((port.parent.parent / "hca_type").read_text).map(str.strip),
    )


def _interface_up(adapter: Path) -> bool:
    """Whether somebody has switched it on: IFF_UP, the lowest bit of the flags."""
    flags = [
        int(file.read_text(encoding="utf-8"), 16) for file in adapter.glob("device/net/*/flags")
    ]
    if not flags:
        raise FileNotFoundError(f"{adapter} shows no interface")
    return any(each & 1 for each in flags)


def _gpus(sysfs: Path) -> tuple[BusGpu, ...]:
    devices = sysfs / "bus/pci/devices"
    if not devices.is_dir():
        raise FileNotFoundError(f"{devices} is not there")
    found = host.gpu_evidence(sysfs, dev=sysfs / "none").pci
    return tuple(BusGpu(bus, _answers(devices / bus / "config")) for bus in found)


def _answers(config: Path) -> Reading[bool]:
    return attempt(_vendor, config).map(lambda vendor: vendor != b"\xff\xff")


def _vendor(config: Path) -> bytes:
    with config.open("rb") as file:
        vendor = file.read(2)
    if len(vendor) < 2:
        raise ValueError(f"{config} is empty")
    return vendor
