"""Machines with one fault each, and what `health` should say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxpad.core.results import Verdict
from test_health_machine import H100, Machine

FAIL, UNSURE = Verdict.FAIL, Verdict.INCONCLUSIVE


def one_gpu(machine: Machine) -> None:
    machine.gpu("0000:3b:00.0")


def off_the_bus(machine: Machine) -> None:
    machine.gpu("0000:99:00.0", b"\xff\xff\xff\xff")


def with_module(machine: Machine) -> None:
    machine.gpu("0000:3b:00.0")
    machine.module("580.95.05")


def no_log(machine: Machine) -> None:
    machine.log.unlink()


def log(*codes: int) -> Callable[[Machine], None]:
    def lay(machine: Machine) -> None:
        for code in codes:
            machine.xid(code)

    return lay


def port(state: str, physical: str) -> Callable[[Machine], None]:
    return lambda machine: machine.port(state, physical)


def switched(*processes: str) -> Callable[[Machine], None]:
    """NVSwitches on the PCI bus, and these processes beside the first."""

    def lay(machine: Machine) -> None:
        folder = machine.sysfs / "bus/pci/devices/0000:05:00.0"
        folder.mkdir(parents=True)
        (folder / "vendor").write_text("0x10de\n")
        (folder / "class").write_text("0x068000\n")
        for pid, name in enumerate(("systemd", *processes), 1):
            (machine.root / f"proc/{pid}").mkdir(parents=True)
            (machine.root / f"proc/{pid}/comm").write_text(f"{name}\n")

    return lay


@dataclass(frozen=True)
class Case:
    """What is wrong, where it shows, and a word of the remedy."""

    fault: str
    question: str
    verdict: Verdict
    remedy: str
    scenario: str = H100
    changes: Mapping[str, Any] = field(default_factory=dict)
    lay: Callable[[Machine], None] = lambda machine: None
    options: Mapping[str, Any] = field(default_factory=dict)
    library: bool = True


IDLE = {"idle": True}
FAULTS = (
    Case("no driver", "driver", FAIL, "install", lay=one_gpu, library=False),
    Case("library missing", "driver", FAIL, "libnvidia-ml", lay=with_module, library=False),
    Case("driver not loaded", "driver", FAIL, "modprobe", "not-loaded", lay=one_gpu),
    Case("driver and library of two versions", "driver", FAIL, "reboot", "mismatch"),
    Case("no permission", "driver", UNSURE, "root", "no-permission"),
    Case("driver hangs", "driver", UNSURE, "dmesg", "hangs", options={"limit_s": 1.5}),
    Case("library crashes", "driver", UNSURE, "doctor", "crashes"),
    Case(
        "NVML call takes 2 s",
        "speed",
        UNSURE,
        "dmesg",
        changes={"1.slow.at_s": 0, "1.slow.for_s": "2.1"},
    ),
    Case("GPU lost", "answers", FAIL, "reset", "lost-before"),
    Case(
        "GPU needs a reset",
        "answers",
        FAIL,
        "reset",
        changes={"2.HandleByIndex": "!ResetRequired"},
    ),
    Case("GPU fallen off the bus", "count", FAIL, "reseat", lay=off_the_bus),
    Case(
        "GPU on the bus, not in NVML",
        "count",
        UNSURE,
        "--expect",
        lay=lambda machine: machine.gpu("0000:99:00.0"),
    ),
    Case(
        "GPUs of one UUID",
        "count",
        FAIL,
        "drain",
        changes={f"{gpu}.UUID": "GPU-0" for gpu in range(8)},
    ),
    Case(
        "two GPUs at one bus id",
        "count",
        FAIL,
        "drain",
        changes={"3.PciInfo.busId": "00000000:4B:00.0"},
    ),
    Case("fewer GPUs than --expect", "count", FAIL, "drain", "l4", options={"expect": 2}),
    Case("uncorrected ECC error", "ecc", FAIL, "reset", changes={"3.TotalEccErrors.1.0": 2}),
    Case(
        "SRAM threshold exceeded",
        "ecc",
        FAIL,
        "replaced",
        changes={
            "2.SramEccErrorStatus.aggregateUncParity": 5,
            "2.SramEccErrorStatus.bThresholdExceeded": 1,
        },
    ),
    Case(
        "SRAM errors, threshold not told",
        "ecc",
        UNSURE,
        "SRAM Threshold",
        changes={"2.TotalEccErrors.1.1": 5},
    ),
    Case("ECC off", "ecc", UNSURE, "-e 1", changes={"3.EccMode.0": 0, "3.EccMode.1": 0}),
    Case("row remap pending", "rows", FAIL, "reset", changes={"3.RemappedRows.2": 1}),
    Case("row remap failed", "rows", FAIL, "replaced", changes={"3.RemappedRows.3": 1}),
    Case("channel repair pending", "rows", FAIL, "reset", "gb200", changes={"1.RepairStatus.0": 1}),
    Case("600 rows remapped", "rows", FAIL, "replaced", changes={"3.RemappedRows.1": 600}),
    Case(
        "a bank without spare rows",
        "rows",
        UNSURE,
        "diagnostic",
        changes={"3.RowRemapperHistogram.none": 1},
    ),
    Case(
        "many more rows than its peers",
        "rows",
        UNSURE,
        "diagnostic",
        changes={"3.RemappedRows.0": 60},
    ),
    Case("retired page pending", "pages", FAIL, "reset", "old-driver"),
    Case(
        "InfoROM corrupted",
        "inforom",
        UNSURE,
        "serviced",
        changes={"4.ValidateInforom": "!CorruptedInforom"},
    ),
    Case(
        "memory missing",
        "memory",
        UNSURE,
        "nvidia-smi",
        "l4",
        {"0.MemoryInfo_v2.total": 12 * 10**9, "0.MemoryInfo_v2.free": 11 * 10**9},
    ),
    Case(
        "hardware slowdown",
        "slowdown",
        FAIL,
        "power",
        changes={"5.CurrentClocksEventReasons": 0x8},
    ),
    Case(
        "hardware thermal slowdown",
        "slowdown",
        FAIL,
        "fans",
        changes={"5.CurrentClocksEventReasons": 0x48},
    ),
    Case(
        "hardware power brake",
        "slowdown",
        FAIL,
        "power supplies",
        changes={"5.CurrentClocksEventReasons": 0x88},
    ),
    Case(
        "software thermal slowdown",
        "slowdown",
        FAIL,
        "fans",
        changes={"5.CurrentClocksEventReasons": 0x20},
    ),
    Case(
        "an hour of hardware slowdown before",
        "slowdown",
        UNSURE,
        "fans",
        changes={"2.Field.270": 3600 * 10**9, "2.Field.271": 600 * 10**9},
    ),
    Case(
        "no margin to the slowdown", "temperature", FAIL, "fans", changes={"5.MarginTemperature": 0}
    ),
    Case(
        "at the slowdown temperature",
        "temperature",
        FAIL,
        "fans",
        "a100-mig",
        {"1.TemperatureV.0": 89},
    ),
    Case(
        "temperature of 65535 °C",
        "temperature",
        UNSURE,
        "nvidia-smi",
        changes={"5.TemperatureV.0": 65535, "5.Temperature.0": 65535},
    ),
    Case("power capped", "power", UNSURE, "-pl 700", changes={"5.EnforcedPowerLimit": 400000}),
    Case(
        "locked clocks",
        "clocks",
        UNSURE,
        "-rgc",
        changes={
            "2.ClockInfo.0": 1200,
            "2.ClockInfo.1": 1200,
            "2.CurrentClocksEventReasons": 2,
        },
    ),
    Case(
        "application clocks lowered",
        "clocks",
        UNSURE,
        "-rac",
        changes={"2.ApplicationsClock.0": 1200},
    ),
    Case("PCIe at x4 at work", "pcie", FAIL, "reseat", changes={"6.CurrPcieLinkWidth": 4}),
    Case("PCIe at x4, idle", "pcie", UNSURE, "load", "l4", {"0.CurrPcieLinkWidth": 4}),
    Case(
        "slot of x8",
        "pcie",
        UNSURE,
        "pcie_width_least",
        changes={"6.CurrPcieLinkWidth": 8, "6.MaxPcieLinkWidth": 8},
    ),
    Case(
        "PCIe of generation 1 at work",
        "pcie",
        UNSURE,
        "reseat",
        changes={"2.CurrPcieLinkGeneration": 1},
    ),
    Case(
        "slot of generation 3 among 5",
        "pcie",
        UNSURE,
        "slot",
        changes={"2.MaxPcieLinkGeneration": 3, "2.CurrPcieLinkGeneration": 3},
    ),
    Case("PCIe replays", "replays", UNSURE, "reseat", changes={"6.PcieReplayCounter": 4000}),
    Case("NVLink down", "nvlink", FAIL, "Xid 74", changes={"6.Field.165.17": 0}),
    Case(
        "a link with many CRC errors",
        "nvlink errors",
        UNSURE,
        "grows",
        changes={"3.Field.163.5": 10**8},
    ),
    Case(
        "failed link recoveries",
        "nvlink errors",
        UNSURE,
        "grows",
        "gb200",
        changes={"2.Field.214.7": 100, "2.Field.221.7": 10**9},
    ),
    Case(
        "no peer-to-peer",
        "p2p",
        FAIL,
        "fabricmanager",
        changes={f"{one}.P2PStatus.{other}.2": 5 for one in range(8) for other in range(8)},
    ),
    Case(
        "one pair without peer-to-peer",
        "p2p",
        FAIL,
        "fabricmanager",
        changes={"2.P2PStatus.5.2": 5, "5.P2PStatus.2.2": 5},
    ),
    Case(
        "peer-to-peer disabled",
        "p2p",
        UNSURE,
        "RegistryDwords",
        changes={f"2.P2PStatus.{other}.2": 4 for other in range(8)},
    ),
    Case(
        "no fabric manager beside NVSwitches",
        "fabric",
        UNSURE,
        "fabricmanager",
        changes={f"{gpu}.GpuFabricInfo": "!NotSupported" for gpu in range(8)},
        lay=switched("bash"),
    ),
    Case(
        "fabric not started", "fabric", FAIL, "fabricmanager", changes={"7.GpuFabricInfo.state": 1}
    ),
    Case("fabric in progress", "fabric", UNSURE, "minute", changes={"7.GpuFabricInfo.state": 2}),
    Case(
        "fabric in error", "fabric", FAIL, "fabricmanager", changes={"7.GpuFabricInfo.status": 999}
    ),
    Case(
        "fabric degraded",
        "fabric",
        FAIL,
        "fabricmanager",
        changes={"7.GpuFabricInfo.healthMask": 1},
    ),
    Case(
        "fabric of another clique", "fabric", UNSURE, "q", changes={"7.GpuFabricInfo.cliqueId": 9}
    ),
    Case(
        "fabric of another cluster", "fabric", UNSURE, "q", changes={"7.GpuFabricInfo.cluster": 9}
    ),
    Case("fabric summary", "fabric", FAIL, "q", changes={"7.GpuFabricInfo.healthSummary": 2}),
    Case("fabric limited", "fabric", UNSURE, "q", changes={"7.GpuFabricInfo.healthSummary": 3}),
    Case("recovery: reset", "recovery", FAIL, "-i 2 -r", changes={"2.Field.230": 1}),
    Case("recovery: reboot", "recovery", FAIL, "reboot", changes={"2.Field.230": 2}),
    Case("recovery: drain", "recovery", FAIL, "linked", changes={"2.Field.230": 3}),
    Case("recovery: drain and reset", "recovery", FAIL, "-i 2 -r", changes={"2.Field.230": 4}),
    Case("recovery: one to come", "recovery", FAIL, "nvidia-smi -q", changes={"2.Field.230": 9}),
    Case("compute prohibited", "mode", FAIL, "-c DEFAULT", changes={"7.ComputeMode": 2}),
    Case(
        "exclusive mode, held (--idle)",
        "mode",
        FAIL,
        "-c DEFAULT",
        changes={"0.ComputeMode": 3},
        options=IDLE,
    ),
    Case(
        "MIG without slices", "mig", UNSURE, "slices", changes={"7.MigMode.0": 1, "7.MigMode.1": 1}
    ),
    Case("MIG change pending", "mig", UNSURE, "reset", changes={"7.MigMode.1": 1}),
    Case("foreign process (--idle)", "busy", UNSURE, "fuser", options=IDLE),
    Case(
        "memory taken (--idle)",
        "busy",
        UNSURE,
        "fuser",
        changes={f"{gpu}.ComputeRunningProcesses.count": 0 for gpu in range(8)},
        options=IDLE,
    ),
    Case(
        "unlike its peers", "peers", UNSURE, "slot", changes={"7.MemoryInfo_v2.total": 83 * 10**9}
    ),
    Case("readings that cannot be", "sense", UNSURE, "nvidia-smi", "garbage"),
    Case("Xid 48", "xid", FAIL, "reset", lay=log(13, 48)),
    Case("Xid 79 of a GPU listed again", "xid", FAIL, "reboot", lay=log(79)),
    Case("an Xid of no known meaning", "xid", UNSURE, "look", lay=log(173)),
    Case(
        "Xid 79 of a GPU not listed",
        "kernel log",
        FAIL,
        "reboot",
        lay=lambda machine: machine.xid(79, "0000:99:00"),
    ),
    Case("kernel's log unreadable", "kernel log", UNSURE, "root", lay=no_log),
    Case("InfiniBand port not active", "ports", FAIL, "cable", lay=port("2: INIT", "5: LinkUp")),
    Case(
        "InfiniBand port without link", "ports", UNSURE, "cable", lay=port("1: DOWN", "2: Polling")
    ),
)
