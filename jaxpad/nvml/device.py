"""One NVML handle, each question to which has a value or a reason; never an exception."""

from __future__ import annotations

import contextlib
import ctypes
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jaxpad.core.reading import Reading, absent, attempt, explain, first, plausible

# Many NVML fields in one call, at a microsecond a field.
#
# nvidia-ml-py's own wrapper fills and reads an array of structures whose every access runs
# Python code: ten times as dear, and the sampler reads thousands of fields a second.

# nvmlFieldValue_t (nvml.h): id, scope, time stamp, latency, type, return code, value.
_FIELD = struct.Struct("=IIqqIi8s")
# The value's union by nvmlValueType_t: double, unsigned int, unsigned long, unsigned long
# long, signed long long, signed int, unsigned short.
_VALUES = tuple(map(struct.Struct, ("=d", "=I4x", "=Q", "=Q", "=q", "=i4x", "=H6x")))
_VALUE, _TYPE, _CODE = 6, 4, 5
_UNKNOWN = 999  # NVML_ERROR_UNKNOWN

Id = int | tuple[int, int]


@cache
def _blank(ids: tuple[Id, ...]) -> bytes:
    """The array as it is handed to NVML: the same for every GPU."""
    pairs = (each if isinstance(each, tuple) else (each, 0) for each in ids)
    return b"".join(_FIELD.pack(*pair, 0, 0, 0, 0, bytes(8)) for pair in pairs)


class Bulk:
    """The fields `ids` of one GPU; an id is a field's number, or that and its scope."""

    def __init__(self, nvml: Any, handle: Any, ids: Sequence[Id]) -> None:
        self.ids = tuple(ids)
        self._handle = handle
        array = nvml.c_nvmlFieldValue_t * len(self.ids)
        self._fields = array.from_buffer_copy(_blank(self.ids))
        self._raw = (ctypes.c_char * ctypes.sizeof(self._fields)).from_buffer(self._fields)
        self._call = nvml._nvmlGetFunctionPointer("nvmlDeviceGetFieldValues")
        self._error = nvml.NVMLError

    def ask(self) -> tuple[int, bytes]:
        """The call's return code, and what it filled, to be decoded later."""
        return self._call(self._handle, len(self.ids), self._fields), self._raw.raw

    def read(self) -> list[tuple[int, int | float]]:
        """What `decode` gives; raises NVMLError where the call as a whole fails."""
        code, raw = self.ask()
        if code:
            raise self._error(code)
        return self.decode(raw)

    @staticmethod
    def decode(raw: bytes) -> list[tuple[int, int | float]]:
        """A return code and a value for each id; the value counts where the code is 0."""
        return [
            _number(field[_CODE], field[_TYPE], field[_VALUE]) for field in _FIELD.iter_unpack(raw)
        ]


def _number(code: int, kind: int, value: bytes) -> tuple[int, int | float]:
    """Type and value are undefined where the code is not 0, and a newer type may come."""
    if code:
        return code, 0
    if kind >= len(_VALUES):
        return _UNKNOWN, 0
    return 0, _VALUES[kind].unpack(value)[0]


@contextlib.contextmanager
def started() -> Iterator[Reading[Any]]:
    """`pynvml`, initialised in this process until the end of the block, or why it is not."""
    found = attempt(_start)
    try:
        yield found
    finally:
        if found.value is not None:
            attempt(found.value.nvmlShutdown)


class ForeignPynvml(Exception):
    """The module `pynvml` that Python finds is not the one of nvidia-ml-py that we need."""


# Three packages bring a module of this name; the newest calls that we make tell them apart.
_CALLS = (
    "_nvmlGetFunctionPointer",
    "c_nvmlGpuFabricInfo_v3_t",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetTemperatureV",
)
_PACKAGES = ("pynvml", "nvidia-ml-py3", "nvidia-ml-py")
PYNVML = "pip uninstall -y pynvml nvidia-ml-py3 && pip install --force-reinstall nvidia-ml-py"


def _start() -> Any:
    import pynvml

    pynvml.nvmlInit()  # first: without a driver it is all the same whose module it is
    lacks = [name for name in _CALLS if not hasattr(pynvml, name)]
    if lacks:
        raise ForeignPynvml(f"{_origin(pynvml)} has no {lacks[0]}")
    return pynvml


def _origin(module: Any) -> str:
    """The file of a module and the packages that may have brought it."""
    from importlib import metadata  # here: only where something is wrong

    found = {name: list(metadata.distributions(name=name)) for name in _PACKAGES}
    told = [f"{name} {each[0].version}" for name, each in found.items() if each]
    return f"{module.__file__} (installed: {', '.join(told) or 'none of its packages'})"


class Device:
    """A GPU, or a MIG device of one."""

    def __init__(self, nvml: Any, handle: Reading[Any]) -> None:
        self.nvml = nvml
        self.handle = handle

    def ask(self, call: str, *given: Any) -> Reading[Any]:
        """What `pynvml.<call>(handle, *given)` gives."""
        if self.handle.reason is not None:
            return self.handle
        try:
            return Reading(getattr(self.nvml, call)(self.handle.value, *given))
        except Exception as error:
            return Reading(None, explain(error))

    def number(
        self, call: str, *given: Any, low: float = 0, high: float = 2.0**63, unit: str = ""
    ) -> Reading[int]:
        """A number that can be: one outside `low` to `high` is absent as garbage."""
        return plausible(self.ask(call, *given), low, high, unit)

    def pair(self, call: str, *given: Any) -> tuple[Reading[Any], Reading[Any]]:
        """The two values of one call."""
        both = self.ask(call, *given)
        return both.map(lambda found: found[0]), both.map(lambda found: found[1])

    def fields(self, ids: Sequence[Any]) -> dict[Any, Reading[Any]]:
        """Many NVML fields in one call; an id is a number, or a number and its scope."""
        if not ids:
            return {}
        found = self.handle.map(lambda handle: Bulk(self.nvml, handle, ids).read())
        if found.value is None:
            return dict.fromkeys(ids, absent(found.reason or "no answer"))
        return {name: self._field(*each) for name, each in zip(ids, found.value, strict=True)}

    def _field(self, code: int, value: float) -> Reading[Any]:
        """One field has a return code of its own."""
        return Reading(None, explain(self.nvml.NVMLError(code))) if code else Reading(value)


# The NVML fields that a snapshot and the sampler ask for in one call (nvml.h, NVML_FI_DEV_*).

Fields = Mapping[Any, Reading[Any]]

MEMORY_TEMPERATURE = 82
ENERGY = 83  # mJ
LINK_COUNT = 91
POWER_AVERAGE = 185  # mW
POWER_INSTANT = 186  # mW
SHUTDOWN_TLIMIT, SLOWDOWN_TLIMIT, MEMORY_MAX_TLIMIT, GPU_MAX_TLIMIT = 193, 194, 195, 196

# Time for which the clocks were held down, in ns, by reason.
SLOWED = {
    "sw_power_cap": 74,
    "sync_boost": 76,
    "board_limit": 77,
    "reliability": 79,
    "sw_thermal_slowdown": 269,
    "hw_thermal_slowdown": 270,
    "hw_power_brake_slowdown": 271,
}

RECOVERY_ACTION = 230  # nvmlDeviceGpuRecoveryAction_t

ALL = (
    MEMORY_TEMPERATURE,
    ENERGY,
    LINK_COUNT,
    POWER_AVERAGE,
    POWER_INSTANT,
    SHUTDOWN_TLIMIT,
    SLOWDOWN_TLIMIT,
    MEMORY_MAX_TLIMIT,
    GPU_MAX_TLIMIT,
    RECOVERY_ACTION,
    *SLOWED.values(),
)

# Of one NVLink, with the link as the field's scope.
LINK_STATE, LINK_VERSION = 165, 166
LINK_REPLAY, LINK_RECOVERY, LINK_CRC = 161, 162, 163
LINK_FAILED_RECOVERIES, LINK_SYMBOL_ERRORS = 214, 221  # NVLink 5 and newer


# Which GPU this is.

# nvmlDeviceArchitecture_t; the names of configs/gpus.
ARCHITECTURES = {
    2: "kepler",
    3: "maxwell",
    4: "pascal",
    5: "volta",
    6: "turing",
    7: "ampere",
    8: "ada",
    9: "hopper",
    10: "blackwell",
    13: "rubin",
}


@dataclass(frozen=True)
class Identity:
    """Names of one GPU; `uuid` and `pci_bus_id` tell it from all others, its index does not."""

    name: Reading[str]
    uuid: Reading[str]  # "GPU-…"
    serial: Reading[str]
    pci_bus_id: Reading[str]  # as sysfs writes it, "0000:3b:00.0"
    pci_device_id: Reading[str]  # device and vendor, "0x233010DE"
    architecture: Reading[str]
    compute_capability: Reading[str]  # "9.0"
    minor_number: Reading[int]  # of /dev/nvidia<minor>
    cores: Reading[int]
    memory_bus_bits: Reading[int]
    vbios: Reading[str]
    numa_node: Reading[int]  # the one that the GPU's own memory is, as on GH200


def identity(device: Device) -> Identity:
    """Ask for every name."""
    bus, product = _pci(device)
    return Identity(
        name=device.ask("nvmlDeviceGetName"),
        uuid=device.ask("nvmlDeviceGetUUID"),
        serial=device.ask("nvmlDeviceGetSerial"),
        pci_bus_id=bus,
        pci_device_id=product,
        architecture=_architecture(device),
        compute_capability=device.ask("nvmlDeviceGetCudaComputeCapability").map(
            lambda pair: f"{pair[0]}.{pair[1]}"
        ),
        minor_number=device.number("nvmlDeviceGetMinorNumber", high=10**4),
        cores=device.number("nvmlDeviceGetNumGpuCores", low=1, high=10**7),
        memory_bus_bits=device.number("nvmlDeviceGetMemoryBusWidth", low=1, high=10**6),
        vbios=device.ask("nvmlDeviceGetVbiosVersion"),
        numa_node=device.number("nvmlDeviceGetNumaNodeId", high=10**4),
    )


def _pci(device: Device) -> tuple[Reading[str], Reading[str]]:
    info = device.ask("nvmlDeviceGetPciInfo")
    return info.map(_bus_of), info.map(lambda found: f"0x{found.pciDeviceId:08X}")


def _bus_of(info: Any) -> str:
    return bus_id(info.busId)


def _architecture(device: Device) -> Reading[str]:
    found = device.ask("nvmlDeviceGetArchitecture")
    if found.value is None:
        return found
    name = ARCHITECTURES.get(found.value)
    return Reading(name) if name else absent(f"unknown: NVML's architecture {found.value}")


def bus_id(text: str | bytes) -> str:
    """A PCI bus id as sysfs writes it: `00000000:3B:00.0` and `0000:3b:00` are 0000:3b:00.0.

    Raises ValueError for text that is none.
    """
    words = text.decode() if isinstance(text, bytes) else text
    domain, bus, slot = words.strip().split(":")
    place, _, function = slot.partition(".")
    return f"{int(domain, 16):04x}:{int(bus, 16):02x}:{int(place, 16):02x}.{function or '0'}"


# Clocks, and what holds them down.

GRAPHICS, SM, MEMORY = 0, 1, 2  # nvmlClockType_t
FASTEST = 10**5  # MHz; GDDR7 is at 14,000

# nvmlClocksEventReason* of nvml.h, by bit.
REASONS = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
    0x200: "board_limit",
    0x400: "reliability",
}

# nvmlPerfPolicyType_t, which drivers before 545 count by.
_POLICIES = {
    "sw_power_cap": 0,
    "sw_thermal_slowdown": 1,
    "sync_boost": 2,
    "board_limit": 3,
    "reliability": 5,
}


@dataclass(frozen=True)
class Clocks:
    """MHz, now and at most; applications clocks as set, and as the board comes with them.

    NVIDIA calls applications clocks deprecated: newer drivers and boards may not tell them.
    """

    sm_mhz: Reading[int]
    memory_mhz: Reading[int]
    graphics_mhz: Reading[int]
    max_sm_mhz: Reading[int]
    max_memory_mhz: Reading[int]
    max_graphics_mhz: Reading[int]
    set_graphics_mhz: Reading[int]
    set_memory_mhz: Reading[int]
    default_graphics_mhz: Reading[int]
    default_memory_mhz: Reading[int]


@dataclass(frozen=True)
class Throttle:
    """Why the clocks are as they are: NVML's clocks event reasons, once throttle reasons.

    `slowed_ns` is for how long each reason has held the clocks down since the driver was
    loaded.
    """

    bits: Reading[int]
    reasons: Reading[tuple[str, ...]]
    supported: Reading[tuple[str, ...]]
    slowed_ns: dict[str, Reading[int]]


def clocks(device: Device) -> Clocks:
    """Ask for all clocks; a highest clock of 0 cannot be, a clock of 0 now can."""
    return Clocks(
        sm_mhz=device.number("nvmlDeviceGetClockInfo", SM, high=FASTEST, unit="MHz"),
        memory_mhz=device.number("nvmlDeviceGetClockInfo", MEMORY, high=FASTEST, unit="MHz"),
        graphics_mhz=device.number("nvmlDeviceGetClockInfo", GRAPHICS, high=FASTEST, unit="MHz"),
        max_sm_mhz=_highest(device, SM),
        max_memory_mhz=_highest(device, MEMORY),
        max_graphics_mhz=_highest(device, GRAPHICS),
        set_graphics_mhz=_set(device, GRAPHICS, ""),
        set_memory_mhz=_set(device, MEMORY, ""),
        default_graphics_mhz=_set(device, GRAPHICS, "Default"),
        default_memory_mhz=_set(device, MEMORY, "Default"),
    )


def _highest(device: Device, kind: int) -> Reading[int]:
    return device.number("nvmlDeviceGetMaxClockInfo", kind, low=1, high=FASTEST, unit="MHz")


def _set(device: Device, kind: int, which: str) -> Reading[int]:
    """An applications clock; 0 is a way to say that there is none."""
    call = f"nvmlDeviceGet{which}ApplicationsClock"
    found = device.number(call, kind, high=FASTEST, unit="MHz")
    return absent("not told: NVML says 0") if found.value == 0 else found


def throttle(device: Device, bulk: Fields) -> Throttle:
    """Ask by today's names, then by those of drivers before 535."""
    bits = _bits(device, "Current")
    return Throttle(
        bits=bits,
        reasons=bits.map(reasons),
        supported=_bits(device, "Supported").map(reasons),
        slowed_ns={name: _slowed(device, bulk, name) for name in SLOWED},
    )


def _bits(device: Device, kind: str) -> Reading[int]:
    return first(
        lambda: device.number(f"nvmlDeviceGet{kind}ClocksEventReasons"),
        lambda: device.number(f"nvmlDeviceGet{kind}ClocksThrottleReasons"),
    )


def reasons(bits: int) -> tuple[str, ...]:
    """The names of the bits that are set; one without a name is `0x800`."""
    set_ = [1 << place for place in range(bits.bit_length()) if bits >> place & 1]
    return tuple(REASONS.get(bit, hex(bit)) for bit in set_)


def _slowed(device: Device, bulk: Fields, name: str) -> Reading[int]:
    return first(
        lambda: plausible(bulk[SLOWED[name]], 0, 2.0**63, "ns"),
        lambda: violation(device, name),
    )


def violation(device: Device, name: str) -> Reading[int]:
    """The same count from the older call, where that has one for this reason."""
    if name not in _POLICIES:
        return absent("not asked: no older call counts this")
    found = device.ask("nvmlDeviceGetViolationStatus", _POLICIES[name])
    return plausible(found.map(lambda status: status.violationTime), 0, 2.0**63, "ns")
