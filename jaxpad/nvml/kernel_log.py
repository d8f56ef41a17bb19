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

# https://docs.nvidia.com/deploy/xid-errors/
_XID = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d+)(?:, *(.*))?")
_RECORD = re.compile(r"\d+,\d+,(\d+),[^;]*;(.*)")  # /dev/kmsg: priority, number, microseconds
_LINE = re.compile(r"(?:<\d+>)?\[ *(\d+\.\d+)\] (.*)")  # the log as dmesg prints it
_READ_ALL, _SIZE = 3, 10  # syslog(2), SYSLOG_ACTION_READ_ALL and _SIZE_BUFFER
_CHUNK = 1 << 16  # longer than any one record


@dataclass(frozen=True)
class Xid:
    """One error that the NVIDIA driver wrote to the kernel's log."""

    seconds: float  # since boot
    pci_bus_id: str
    code: int
    text: str


def xids(log: str) -> tuple[Xid, ...]:
    """The Xid lines of a kernel log, as /dev/kmsg or dmesg gives it."""
    if "NVRM: Xid" not in log:
        return ()
    return tuple(filter(None, map(_xid, log.splitlines())))


def _xid(line: str) -> Xid | None:
    found = _XID.search(line)
    if not found:
        return None
    record, plain = _RECORD.match(line), _LINE.match(line)
    seconds = int(record[1]) / 1e6 if record else float(plain[1]) if plain else 0.0
    bus = attempt(bus_id, found[1]).value or found[1]
    return Xid(seconds, bus, int(found[2]), found[3] or "")


def log(kmsg: Path) -> Reading[str]:
    """A file or device; the machine's own log by one system call, as a device is read by line."""
    if kmsg != KMSG:
        return attempt(_records, kmsg)
    return first(lambda: attempt(_syslog), lambda: attempt(_records, kmsg))


def _records(kmsg: Path) -> str:
    return b"".join(_chunks(kmsg)).decode(errors="replace")


def _chunks(kmsg: Path) -> Iterator[bytes]:
    """The device gives one record a read, and then no more; a file gives its end."""
    log = os.open(kmsg, os.O_RDONLY | os.O_NONBLOCK)
    try:
        while True:
            try:
                chunk = os.read(log, _CHUNK)
            except BlockingIOError:
                return
            except BrokenPipeError:  # records were overwritten while we read
                continue
            if not chunk:
                return
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


@dataclass(frozen=True)
class Port:
    """One port of an InfiniBand or RoCE adapter, in sysfs's words."""

    adapter: str
    port: int
    state: Reading[str]  # "ACTIVE"
    physical_state: Reading[str]  # "LinkUp"
    gbit_per_s: Reading[float]
    link_layer: Reading[str]  # "InfiniBand" or "Ethernet"


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


def kernel(sysfs: Path = SYSFS, kmsg: Path = KMSG) -> Kernel:
    """Read what may be read of the kernel's log and of sysfs."""
    return Kernel(
        xids=log(kmsg).map(xids),
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
    )


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
