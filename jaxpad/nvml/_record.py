"""What every NVML call answers on this machine, in the form of a scenario of the tests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from jaxpad.nvml._answers import Table, answers, kept, said
from jaxpad.nvml._device import Device, started
from jaxpad.nvml._disguise import Disguise
from jaxpad.nvml._gpm import APART_S, METRICS, Gpm
from jaxpad.nvml._ordinals import cuda_devices
from jaxpad.nvml._reading import Reading, attempt

_NO_NUMBER = 2**64 - 1  # NVML_VALUE_NOT_AVAILABLE


def record() -> Table:
    """The machine's answers as nested tables, or `{"error": why}` without a driver.

    UUIDs, serial numbers, PCI bus ids, process ids and process names are replaced, the same
    input by the same output; the rest is as NVML gave it, garbage and errors included.
    """
    disguise = Disguise()
    with started() as nvml:
        if nvml.value is None:
            return {"error": nvml.reason}
        found = _machine(nvml.value, disguise)
    return found | {"cuda": _cuda(disguise)}


def _machine(nvml: Any, disguise: Disguise) -> Table:
    count = attempt(nvml.nvmlDeviceGetCount)
    names: Table = {}
    gpus = {str(index): _gpu(nvml, index, disguise, names) for index in range(count.value or 0)}
    return {
        "DriverVersion": said(attempt(nvml.nvmlSystemGetDriverVersion)),
        "NVMLVersion": said(attempt(nvml.nvmlSystemGetNVMLVersion)),
        "CudaDriverVersion": said(attempt(nvml.nvmlSystemGetCudaDriverVersion_v2)),
        "count": said(count),
        "ProcessName": names,
        "gpu": gpus,
    }


def _gpu(nvml: Any, index: int, disguise: Disguise, names: Table) -> Table:
    handle = attempt(nvml.nvmlDeviceGetHandleByIndex, index)
    if handle.reason is not None:
        return {"HandleByIndex": said(handle)}
    device = Device(nvml, handle)
    slices = dict(_slices(device, disguise))
    return (
        _disguised(dict(answers(device)), disguise)
        | dict(_processes(device, disguise, names))
        | _gpm(device)
        | ({"mig": slices} if slices else {})
    )


def _processes(device: Device, disguise: Disguise, names: Table) -> Iterator[tuple[str, Any]]:
    for kind in ("ComputeRunningProcesses", "GraphicsRunningProcesses"):
        found = device.ask(f"nvmlDeviceGet{kind}")
        if found.value is None:
            yield from kept(kind, said(found))
            continue
        listed: Table = {"count": len(found.value)}
        for place, each in enumerate(found.value):
            used = _NO_NUMBER if each.usedGpuMemory is None else each.usedGpuMemory
            listed[str(place)] = {"pid": disguise.pid(each.pid), "usedGpuMemory": used}
            name = attempt(device.nvml.nvmlSystemGetProcessName, each.pid).map(disguise.process)
            names[str(disguise.pid(each.pid))] = said(name)
        yield kind, listed


def _gpm(device: Device) -> Table:
    """One reading, over the shortest time there is."""
    monitor = Gpm(device.nvml, device.handle.value)
    if monitor.reason is not None:
        return {}
    with contextlib.closing(monitor):
        time.sleep(APART_S)
        monitor.tick(0)
        values = monitor.rows[-1] if monitor.rows else ()
    told = zip(METRICS.values(), values, strict=False)
    return {"GpmSupport": 1, "Gpm": {str(key): value for key, value in told if value is not None}}


def _slices(device: Device, disguise: Disguise) -> Iterator[tuple[str, Table]]:
    for slot in range(device.ask("nvmlDeviceGetMaxMigDeviceCount").value or 0):
        handle = device.ask("nvmlDeviceGetMigDeviceHandleByIndex", slot)
        if handle.reason is None:
            yield str(slot), _disguised(dict(answers(Device(device.nvml, handle))), disguise)


def _disguised(told: Table, disguise: Disguise) -> Table:
    """The answers without what names a board."""
    changes = {"UUID": disguise.uuid, "Serial": disguise.serial}
    for name, change in changes.items():
        if name in told and not told[name].startswith("!"):
            told[name] = change(told[name])
    if isinstance(told.get("PciInfo"), dict):
        told["PciInfo"]["busId"] = disguise.bus(told["PciInfo"]["busId"])
    return told


def _cuda(disguise: Disguise) -> Table:
    """CUDA's order of the same devices; without CUDA, its own word for no device."""
    found = cuda_devices()
    if found.value is None:
        return {"count": 0, "init": "!100"}
    return {"count": len(found.value)} | {
        str(device.ordinal): {
            "uuid": _or_unknown(device.uuid.map(partial(_prefixed, disguise))),
            "bus_id": _or_unknown(device.pci_bus_id.map(disguise.bus)),
        }
        for device in found.value
    }


def _prefixed(disguise: Disguise, uuid: str) -> str:
    return f"GPU-{disguise.uuid(uuid)}"


def _or_unknown(found: Reading[str]) -> str:
    return found.value or "!801"
