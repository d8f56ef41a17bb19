"""What one GPU answers to every call of a recording, as NVML says it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxpad.nvml import _calls as calls
from jaxpad.nvml._device import Device
from jaxpad.nvml._links import fabric_info
from jaxpad.nvml._reading import Reading

Table = dict[str, Any]

UNSAID = "!NotSupported"  # what a scenario leaves out
_NO_SUCH = (UNSAID, "!InvalidArgument")  # also said of a link that is not there
# nvidia-ml-py's own names for a missing function, and for a code it has no class for.
_WRAPPERS = {"NVMLLibraryMismatchError": "!FunctionNotFound", "NVMLError": "!Unknown"}


def said(found: Reading[Any]) -> Any:
    """A value, or `!` and the name of the error as nvidia-ml-py has it."""
    if found.reason is None:
        return found.value
    name = found.error or ""
    if name.startswith("NVMLError_"):
        return f"!{name.removeprefix('NVMLError_')}"
    return _WRAPPERS.get(name, UNSAID)


def answers(device: Device) -> Iterator[tuple[str, Any]]:
    """Every answer but `not supported`, which a scenario need not say."""
    for name in calls.PLAIN:
        yield from kept(name, said(device.ask(f"nvmlDeviceGet{name}").map(_listed)))
    for name, wanted in calls.WITH_ARGUMENTS.items():
        yield from kept(name, _by_argument(device, name, wanted))
    for name, parts in calls.STRUCTURES.items():
        yield from kept(name, _structure(device.ask(f"nvmlDeviceGet{name}"), parts))
    version_2 = getattr(device.nvml, "nvmlMemory_v2", None)
    newer = device.ask("nvmlDeviceGetMemoryInfo", version_2)
    yield from kept("MemoryInfo_v2", _structure(newer, ("total", "reserved", "free", "used")))
    yield from kept("GpuFabricInfo", _fabric(device))
    yield from kept("Field", _fields(device))


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def kept(name: str, answer: Any) -> Iterator[tuple[str, Any]]:
    if answer not in (UNSAID, {}):
        yield name, answer


def _by_argument(device: Device, name: str, wanted: list[tuple[int, ...]]) -> Table:
    found: Table = {}
    for given in wanted:
        answer = device.ask(f"nvmlDeviceGet{name}", *given).map(calls.PARTS.get(name, _listed))
        value = said(answer)
        if value not in _NO_SUCH:
            table = found if len(given) == 1 else found.setdefault(str(given[0]), {})
            table[str(given[-1])] = value
    return found


def _structure(found: Reading[Any], parts: tuple[str, ...]) -> Any:
    if found.value is None:
        return said(found)
    return {part: _text(getattr(found.value, part)) for part in parts}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _fabric(device: Device) -> Any:
    found = fabric_info(device)
    if found.value is None:
        return said(found)
    parts = {part: getattr(found.value, part) for part in ("state", "status", "cliqueId")}
    return parts | {"healthMask": found.value.healthMask, "cluster": 0}


def _fields(device: Device) -> Table:
    found: Table = {}
    for name, reading in device.fields(calls.FIELDS).items():
        value = said(reading)
        if isinstance(name, int) and value != UNSAID:
            found[str(name)] = value
        elif isinstance(name, tuple) and value not in _NO_SUCH:
            found.setdefault(str(name[0]), {})[str(name[1])] = value
    return found
