"""The GPU's memory: how much, how busy, and how sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxpad.nvml._device import Device
from jaxpad.nvml._reading import GARBAGE, Reading, absent

SINGLE, DOUBLE = 0, 1  # nvmlMemoryErrorType_t; also nvmlPageRetirementCause_t
VOLATILE, AGGREGATE = 0, 1  # nvmlEccCounterType_t


@dataclass(frozen=True)
class Memory:
    """Bytes. `used` does not hold `reserved`, which the driver keeps for itself."""

    total_bytes: Reading[int]
    used_bytes: Reading[int]
    free_bytes: Reading[int]
    reserved_bytes: Reading[int]  # absent before driver 510, whose `used` holds it


@dataclass(frozen=True)
class Ecc:
    """Error correction: on, on after the next reset, and the errors it has counted.

    Volatile counts are since the driver was loaded, aggregate ones of the board's life.
    """

    enabled: Reading[bool]
    pending: Reading[bool]
    corrected_volatile: Reading[int]
    uncorrected_volatile: Reading[int]
    corrected_aggregate: Reading[int]
    uncorrected_aggregate: Reading[int]


@dataclass(frozen=True)
class RemappedRows:
    """Rows of memory that were replaced (Ampere and newer), by the kind of error."""

    correctable: Reading[int]
    uncorrectable: Reading[int]
    pending: Reading[bool]  # a reset is needed
    failed: Reading[bool]  # no spare row was left


@dataclass(frozen=True)
class RetiredPages:
    """Pages that are not used any more (before Ampere), by the kind of error."""

    single_bit: Reading[int]
    double_bit: Reading[int]
    pending: Reading[bool]


def memory(device: Device) -> Memory:
    """Version 2 of the question; version 1 where the driver is older than 510."""
    found = _sound(device.ask("nvmlDeviceGetMemoryInfo", _version_2(device.nvml)))
    reserved = found.map(lambda info: info.reserved)
    if found.reason is not None:
        older = _sound(device.ask("nvmlDeviceGetMemoryInfo"))
        found = older if older.known else found
    return Memory(
        total_bytes=found.map(lambda info: info.total),
        used_bytes=found.map(lambda info: info.used),
        free_bytes=found.map(lambda info: info.free),
        reserved_bytes=reserved,
    )


def _version_2(nvml: Any) -> Any:
    return getattr(nvml, "nvmlMemory_v2", None)


def _sound(found: Reading[Any]) -> Reading[Any]:
    info = found.value
    if info is None or (info.total > 0 and info.used <= info.total >= info.free):
        return found
    return absent(f"{GARBAGE}: {info.used} bytes used and {info.free} free of {info.total}")


def ecc(device: Device) -> Ecc:
    """Ask for the mode and the four totals."""
    enabled, pending = device.pair("nvmlDeviceGetEccMode")
    return Ecc(
        enabled=enabled.map(bool),
        pending=pending.map(bool),
        corrected_volatile=_errors(device, SINGLE, VOLATILE),
        uncorrected_volatile=_errors(device, DOUBLE, VOLATILE),
        corrected_aggregate=_errors(device, SINGLE, AGGREGATE),
        uncorrected_aggregate=_errors(device, DOUBLE, AGGREGATE),
    )


def _errors(device: Device, kind: int, counter: int) -> Reading[int]:
    return device.number("nvmlDeviceGetTotalEccErrors", kind, counter)


def remapped_rows(device: Device, name: str, corrected: Ecc) -> RemappedRows:
    """Ask for the rows where the board can have any.

    A GeForce without error correction answers with success and no sense
    (https://github.com/leptonai/gpud/issues/351).
    """
    reason = corrected.enabled.reason
    if reason is None and "GeForce" in name and not corrected.enabled.value:
        reason = "error correction is off on a GeForce"
    if reason is not None:
        none = absent(f"not asked: without error correction the answer is no answer ({reason})")
        return RemappedRows(none, none, none, none)
    found = device.ask("nvmlDeviceGetRemappedRows")
    return RemappedRows(
        correctable=found.map(lambda rows: rows[0]),
        uncorrectable=found.map(lambda rows: rows[1]),
        pending=found.map(lambda rows: bool(rows[2])),
        failed=found.map(lambda rows: bool(rows[3])),
    )


def retired_pages(device: Device) -> RetiredPages:
    """Ask how many pages each kind of error has cost."""
    return RetiredPages(
        single_bit=device.ask("nvmlDeviceGetRetiredPages", SINGLE).map(len),
        double_bit=device.ask("nvmlDeviceGetRetiredPages", DOUBLE).map(len),
        pending=device.ask("nvmlDeviceGetRetiredPagesPendingStatus").map(bool),
    )
