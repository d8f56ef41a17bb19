"""One line for Nagios and what speaks its plugin interface (Icinga, NRPE, Sensu).

https://nagios-plugins.org/doc/guidelines.html: text, a bar, and performance data as
'label'=value[unit];[warn];[crit];[min];[max].
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jaxpad
from jaxpad.core import files
from jaxpad.core.files import Metric, Sample, require_textfile as require_textfile
from jaxpad.core.results import Verdict
from jaxpad.health.judging import Health
from jaxpad.health.model import Finding, printable

UNKNOWN = 3
STATES = {
    Verdict.PASS: ("OK", 0),
    Verdict.FAIL: ("CRITICAL", 2),
    Verdict.INCONCLUSIVE: ("UNKNOWN", UNKNOWN),
    Verdict.NOT_APPLICABLE: ("UNKNOWN", UNKNOWN),  # a node watched for its GPUs that has none
}
_MOST = 500  # characters of text: NRPE 2 sends 1,024 in all


def nagios(health: Health) -> tuple[str, int]:
    """The line and the exit code."""
    state, code = STATES[health.verdict]
    return f"{_line(state, health.summary())} | {' '.join(_data(health))}", code


def unknown(why: str) -> str:
    """The line where nothing could be judged, as for a mistake on the command line."""
    return _line("UNKNOWN", why)


def _line(state: str, text: str) -> str:
    clean = printable(" ".join(text.split())).replace("|", "/")
    return f"JAXPAD {state} - {clean if len(clean) <= _MOST else clean[: _MOST - 1] + '…'}"


def _data(health: Health) -> Iterator[str]:
    yield f"gpus={health.gpus};;;0"
    yield f"failed={len(health.of(Verdict.FAIL))};;;0"
    yield f"inconclusive={len(health.of(Verdict.INCONCLUSIVE))};;;0"
    yield f"time={health.seconds:.3f}s;;;0"
    for one in health.findings:
        if one.name == "temperature" and one.value is not None:
            yield f"gpu{one.gpu}_celsius={one.value:g}"


# The findings for Prometheus, by way of node_exporter's textfile collector.

# The number behind a question: its metric, what it says, and what makes it the base unit.
NUMBERS = {
    "speed": ("nvml_seconds", "Time in which NVML answered all questions once started", 1.0),
    "ports": ("infiniband_ports_active", "InfiniBand ports that are active", 1.0),
    "ecc": ("gpu_ecc_uncorrected_errors", "Uncorrected errors since the driver was loaded", 1.0),
    "rows": ("gpu_remapped_rows", "Rows of memory that were replaced", 1.0),
    "pages": ("gpu_retired_pages", "Pages of memory that were retired", 1.0),
    "memory": ("gpu_memory_bytes", "Memory as the driver reports it", 1e9),
    "temperature": ("gpu_temperature_celsius", "Temperature of the GPU", 1.0),
    "power": ("gpu_power_limit_watts", "Power limit in force", 1.0),
    "pcie": ("gpu_pcie_width_lanes", "Width of the PCIe link", 1.0),
    "replays": ("gpu_pcie_replays", "PCIe replays since the driver was loaded", 1.0),
    "nvlink": ("gpu_nvlinks_active", "NVLinks that are up", 1.0),
    "nvlink errors": (
        "gpu_nvlink_errors",
        "Replays, recoveries, CRC and symbol errors of the NVLinks since the driver was loaded",
        1.0,
    ),
    "xid": ("gpu_xid_errors", "Xid errors of the GPU in the kernel's log", 1.0),
}


def prometheus(health: Health) -> str:
    """All metrics as text."""
    return files.text("jaxpad_health", _metrics(health))


def _metrics(health: Health) -> Iterator[Metric]:
    info = {"driver_version": health.driver or "", "jaxpad_version": jaxpad.__version__}
    code = float(health.verdict.exit_code)
    yield "info", "Versions of the driver and of jaxpad", [(info, 1.0)]
    yield "exit_code", "0 pass or not applicable, 1 fail, 3 inconclusive", [({}, code)]
    yield "gpus", "GPUs that NVML lists", [({}, float(health.gpus))]
    yield "duration_seconds", "Time the check took", [({}, round(health.seconds, 6))]
    yield "timestamp_seconds", "When the check ended, Unix time", [({}, round(health.unix_s, 3))]
    yield "failed", "Whether the question failed", _states(health, Verdict.FAIL)
    yield "inconclusive", "Whether it is inconclusive", _states(health, Verdict.INCONCLUSIVE)
    for question, (name, words, factor) in NUMBERS.items():
        found = [one for one in health.findings if one.name == question]
        yield (
            name,
            words,
            [(_place(one), one.value * factor) for one in found if one.value is not None],
        )


def _states(health: Health, verdict: Verdict) -> list[Sample]:
    return [
        ({"question": one.name} | _place(one), float(one.verdict is verdict))
        for one in health.findings
    ]


def _place(one: Finding) -> dict[str, str]:
    return {} if one.gpu is None else {"gpu": str(one.gpu)}


def write(health: Health, file: Path) -> str:
    """Write the metrics whole or not at all; why that could not be, or nothing."""
    return files.write_textfile(prometheus(health), file)
