"""Rates, traces and nodes that never were, for tests of the gates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import nvml_double as double
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import Rate
from jaxpad.gates import Evidence
from jaxpad.machine import facts
from jaxpad.machine.facts import Survey
from jaxpad.nvml import CudaDevice, GpuState, GpuTrace, Snapshot, Trace
from test_health_machine import QUIET, SHOWN

IDLE = "idle-h100-sxm"
GEMM, COPY = 720.0, 2850.0  # what a good H100 SXM does: bf16 TFLOP/s, GB/s
NONE: Reading[Any] = Reading(None, "not asked: a sample")
Change = Callable[[GpuState], GpuState]


def node(scenario: str = IDLE, **changes: Change) -> Survey:
    """The node of a scenario; `gpu3=change` puts a changed GPU in place of the fourth."""
    seen = replace(double.seen(scenario), kernel=QUIET)
    gpus = tuple(changes.get(f"gpu{gpu.index}", _same)(gpu) for gpu in seen.gpus)
    return facts.Survey(replace(seen, gpus=gpus), SHOWN, Reading(cuda(seen)))


def _same(gpu: GpuState) -> GpuState:
    return gpu


def cuda(seen: Snapshot) -> tuple[CudaDevice, ...]:
    """CUDA's own list: here its ordinals are NVML's indices, or the slices of the first GPU."""
    slices = seen.gpus[0].mig.devices.value if seen.gpus and seen.gpus[0].mig.enabled.value else ()
    uuids = [each.uuid for each in slices or ()] or [gpu.identity.uuid for gpu in seen.gpus]
    return tuple(
        CudaDevice(place, uuid.map(lambda text: text.partition("-")[2]), NONE)
        for place, uuid in enumerate(uuids)
    )


def rate(median: float = GEMM, ordinal: int | None = 0, **more: Any) -> Rate:
    """A bf16 GEMM of one GPU, timed from second 2 to second 4."""
    given: dict[str, Any] = {
        "program": "gemm",
        "variant": "bf16",
        "device": ordinal,
        "platform": "gpu",
        "together": False,
        "spread": 0.0,
        "unit": "TFLOP/s",
        "batches": 10,
        "start_s": 2.0,
        "stop_s": 4.0,
        "ordinal": ordinal,
    }
    return Rate(median=median, **(given | more))


def rates(medians: Sequence[float], **more: Any) -> list[Rate]:
    """The same program on one GPU after the other."""
    return [rate(median, ordinal, **more) for ordinal, median in enumerate(medians)]


def trace(seen: Survey, **columns: Mapping[str, float | None]) -> Trace:
    """Ten seconds of every GPU at work; `gpu3={"sm_mhz": 1200}` holds there throughout."""
    gpus = tuple(_gpu(gpu, columns.get(f"gpu{gpu.index}", {})) for gpu in seen.snapshot.gpus)
    return Trace(0.5, 0.0, 10.0, None, gpus, ())


AT_WORK: dict[str, float | None] = {
    "power_watts": 680.0,
    "energy_joules": None,
    "sm_mhz": 1980.0,
    "memory_mhz": 2619.0,
    "temperature_celsius": 60.0,
    "throttle_bits": 0.0,
    "used_bytes": 6e10,
    "utilisation_percent": 100.0,
}


def _gpu(gpu: GpuState, held: Mapping[str, float | None]) -> GpuTrace:
    times = tuple(0.5 * tick for tick in range(21))
    return GpuTrace(
        uuid=gpu.identity.uuid,
        pci_bus_id=gpu.identity.pci_bus_id,
        time_s=times,
        columns={name: (value,) * len(times) for name, value in {**AT_WORK, **held}.items()},
        absent={},
        lost=None,
        energy_joules=Reading(6800.0),
        energy_s=10.0,
        slowed_ns={},
        gpm=NONE,
    )


def evidence(seen: Survey | None = None, seen_trace: Trace | None = None, **more: Any) -> Evidence:
    """Evidence on a node with the shipped bounds."""
    place = seen or node()
    return Evidence(place, seen_trace or trace(place), bounds.load(), **more)
