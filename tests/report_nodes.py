"""Made-up GPU nodes for the report tests and its benchmark: healthy, slow, losing a GPU.

Rates are what such boards give; no number here was measured by jaxpad.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from jaxpad.core.reading import Reading
from jaxpad.core.results import CheckResult, Fact, Gpu, GpuFinding, Judgement, Rate, Verdict
from jaxpad.nvml import Gap, GpmTrace, GpuTrace, Lost, Trace

NAME = "NVIDIA H100 80GB HBM3"
PEAKS = {"bf16": 989.0, "fp16": 989.0, "tf32": 494.5, "fp32": 67.0, "fp8": 1979.0, "memory": 3350.0}
SOURCE = "configs/gpus/h100-sxm.toml: 70 % of the data sheet's peak"
FIRST_S, EACH_S = 35.0, 8.0  # when the first program begins, and how long each takes
TFLOPS, GBYTES = "TFLOP/s", "GB/s"


@dataclass(frozen=True)
class Timed:
    """One program: what it reaches on a good GPU, of how much, and how hard it works."""

    program: str
    variant: str
    unit: str
    rate: float
    peak: float | None
    gate: float | None
    intensity: float | None
    watts: float


PROGRAMS = (
    Timed("gemm", "bf16", TFLOPS, 701, 989, 593, 2730, 695),
    Timed("gemm", "fp16", TFLOPS, 688, 989, 593, 2730, 697),
    Timed("gemm", "tf32", TFLOPS, 352, 494.5, 297, 1365, 660),
    Timed("gemm", "fp32", TFLOPS, 50.1, 67, 40.2, 1365, 540),
    Timed("gemm", "fp8", TFLOPS, 1260, 1979, 1187, 5461, 698),
    Timed("copy", "1 GiB", GBYTES, 3010, 3350, 2680, 0.125, 480),
    Timed("triad", "1 GiB", GBYTES, 2950, 3350, 2680, 0.167, 490),
    Timed("attention", "bf16", TFLOPS, 480, 989, 395, 410, 640),
    Timed("train step", "bf16", TFLOPS, 412, 989, 346, 190, 610),
    Timed("host to device", "1 GiB", GBYTES, 54.2, 63, 44, None, 140),
    Timed("device to host", "1 GiB", GBYTES, 55.0, 63, 44, None, 140),
    Timed("device to device", "1 GiB", GBYTES, 372, 450, 315, None, 180),
)
COLLECTIVES = {
    "all_reduce": {"1 MiB": 38, "16 MiB": 210, "128 MiB": 402, "1 GiB": 468},
    "all_gather": {"1 MiB": 31, "16 MiB": 160, "128 MiB": 341, "1 GiB": 372},
    "reduce_scatter": {"1 MiB": 30, "16 MiB": 158, "128 MiB": 338, "1 GiB": 370},
}
FILES = {
    "environment": 9,
    "arrays": 15,
    "devices": 12,
    "jit": 14,
    "pytrees": 12,
    "health": 19,
    "throughput": 24,
    "throughput_gates": 6,
}


@dataclass(frozen=True)
class Node:
    """A node to make up; `seconds` of work after the first 30."""

    gpus: int = 8
    slow: int | None = None  # a GPU that is hot and slow
    lost: int | None = None  # a GPU that is gone from `lost_s` on
    lost_s: float = 231.0
    seconds: float = 600.0
    name: str = NAME
    words: str = ""  # goes into every text

    def speed(self, gpu: int, at: Timed, together: bool) -> float:
        """A rate: GPUs differ by two per cent, and share power and air."""
        noise = Random(f"{gpu}{at.program}{at.variant}{together}").uniform(-0.012, 0.012)
        slow = 0.55 if gpu == self.slow and at.watts > 500 else 1.0
        return at.rate * (1 + noise) * (0.965 if together else 1.0) * slow


def gpus(node: Node) -> tuple[Gpu, ...]:
    return tuple(_gpu(node, index) for index in range(node.gpus))


def _gpu(node: Node, index: int) -> Gpu:
    return Gpu(
        index=index,
        name=node.name,
        description="h100-sxm",
        uuid=f"GPU-5c1a{index:04x}-0d5e-4f6a-9b70-8d2e4c6fa100",
        pci_bus_id=bus(index),
        devices=(index,),
        peaks=PEAKS,
        readings=_readings(node, index),
        findings=tuple(_findings(node, index)),
    )


def bus(index: int) -> str:
    return f"0000:{11 + 16 * index:02x}:00.0"


def _readings(node: Node, index: int) -> dict[str, Fact]:
    hot = index == node.slow
    told = {
        "identity.name": node.name,
        "identity.serial": f"165402301000{index}",
        "temperature.gpu_celsius": "84" if hot else str(41 + index),
        "temperature.margin_celsius": "3" if hot else str(46 - index),
        "power.draw_watts": "288.1" if hot else f"{71.3 + index}",
        "power.enforced_limit_watts": "700.0",
        "clocks.sm_mhz": "1095" if hot else "1755",
        "clocks.max_sm_mhz": "1980",
        "memory.used_bytes": "613000000",
        "memory.total_bytes": "85520809984",
        "ecc.enabled": "True",
        "ecc.uncorrected_volatile": "0",
        "pcie.width": "16",
        "pcie.max_width": "16",
        "pcie.generation": "5",
        "processes.compute.0.name": "/usr/bin/python3",
        **{f"nvlinks.{link}.active": "True" for link in range(18)},
    }
    none = {"temperature.slowdown_celsius": Fact(None, "NVMLError_NotSupported: Not Supported")}
    return {path: Fact(value) for path, value in told.items()} | none


_HEALTH = ("answers", "sense", "xid", "ecc", "rows", "memory", "temperature", "power", "pcie")


def _findings(node: Node, index: int) -> Iterator[GpuFinding]:
    for name in _HEALTH:
        yield GpuFinding(name, Verdict.PASS, f"as it should be{node.words}")
    seen = "pid 4711 (/usr/bin/python3, 66.1 GB) (judged with --idle)"
    yield GpuFinding("busy", Verdict.NOT_APPLICABLE, seen)
    if index == node.slow:
        yield GpuFinding(
            "slowdown",
            Verdict.FAIL,
            f"sw thermal slowdown for 412 s since the driver was loaded{node.words}",
            "the GPU is too hot to run at its clocks",
            f"look at the fans and the air of this slot, then run again{node.words}",
        )


def rates(node: Node) -> tuple[Rate, ...]:
    """Each program on each GPU, one by one and all at once; then the collectives."""
    found: list[Rate] = []
    for at, timed in enumerate(PROGRAMS):
        start = FIRST_S + 4 * EACH_S * at
        for together in (False, True):
            begin = start + 2 * EACH_S * together
            alive = [g for g in range(node.gpus) if g != node.lost or begin < node.lost_s]
            found += [_rate(node, gpu, timed, together, begin) for gpu in alive]
    if node.lost is None:
        found += _collectives()
    return tuple(found)


def _rate(node: Node, gpu: int, timed: Timed, together: bool, begin: float) -> Rate:
    # One by one they take turns.
    start = begin if together else begin + 2 * EACH_S * gpu / node.gpus
    stop = start + (2 * EACH_S if together else 2 * EACH_S / node.gpus)
    median = node.speed(gpu, timed, together)
    about = (timed.program + node.words, timed.variant, gpu, "gpu", together)
    measured = (round(median, 4), round(median * 0.004, 4), timed.unit, 12)
    return Rate(*about, *measured, start, stop, gpu, timed.intensity)


def _collectives() -> Iterator[Rate]:
    start = FIRST_S + 4 * EACH_S * len(PROGRAMS)
    for name, sizes in COLLECTIVES.items():
        for size, busbw in sizes.items():
            yield Rate(
                name, size, None, "gpu", True, busbw, busbw * 0.01, GBYTES, 20, start, start + 4
            )
            start += 4


def judgements(node: Node, found: Sequence[Rate]) -> tuple[Judgement, ...]:
    return tuple(_judge(node, rate) for rate in found)


def _judge(node: Node, rate: Rate) -> Judgement:
    if rate.device is None:
        gate = 320.0 if rate.variant == "1 GiB" else None
        return Judgement(rate, None, Verdict.PASS, 450.0, gate, "NVLink 4, one direction")
    timed = next(
        each
        for each in PROGRAMS
        if (each.program + node.words, each.variant) == (rate.program, rate.variant)
    )
    holds = timed.gate is None or rate.median >= timed.gate
    if holds:
        return Judgement(rate, rate.device, Verdict.PASS, timed.peak, timed.gate, SOURCE)
    why = "the clocks were held down by heat (sw thermal slowdown) while it ran"
    remedy = f"look at the fans and the air of GPU {rate.device}, then run again{node.words}"
    return Judgement(
        rate, rate.device, Verdict.FAIL, timed.peak, timed.gate, SOURCE, why + node.words, remedy
    )


def checks(node: Node) -> tuple[CheckResult, ...]:
    """The files of the suite one after the other, throughput taking most of the time."""
    found: list[CheckResult] = []
    clock = 0.4
    for file, count in FILES.items():
        long = file.startswith("throughput") and "gates" not in file
        each = (node.seconds - 40) / count if long else 0.33
        for at in range(count):
            name = f"test_{file}_{at}"
            question = f"does {file} hold, part {at}?"
            result = CheckResult(f"test_{file}.py", name, question, Verdict.PASS)
            found.append(replace(result, seconds=round(each * 0.94, 3), began=round(clock, 3)))
            clock += each
        clock += 0.9
    return tuple(found)


def trace(node: Node, hz: float = 5.0, gaps: bool = False) -> Trace:
    """What the sampler saw, in seconds after the run's start."""
    count = int(node.seconds * hz)
    times = tuple(at / hz for at in range(count))
    hole = Gap(301.0, 309.5, "GPU 5 took 8.41 s to answer")
    return Trace(
        period_s=1 / hz,
        start_s=0.0,
        stop_s=node.seconds,
        error=None,
        gpus=tuple(
            _trace(node, index, times, hole if gaps else None) for index in range(node.gpus)
        ),
        gaps=(hole,) if gaps else (),
    )


COLUMNS = (
    "power_watts",
    "energy_joules",
    "sm_mhz",
    "memory_mhz",
    "temperature_celsius",
    "throttle_bits",
    "used_bytes",
    "utilisation_percent",
)


def _trace(node: Node, index: int, times: tuple[float, ...], hole: Gap | None) -> GpuTrace:
    lost = Lost(node.lost_s, "NVMLError_GpuIsLost: GPU is lost") if index == node.lost else None
    random = Random(index)
    heat, energy, rows, kept = 38.0 + index * 0.8, 0.0, [], []
    step = times[1] - times[0]
    for time in times:
        if (lost and time > lost.at_s) or (hole and hole.start_s < time < hole.stop_s):
            continue
        work = _work(node, index, time)
        slow = index == node.slow
        watts = 70 + (work - 70) * (0.72 if slow and heat > 80 else 1.0) + random.uniform(-6, 6)
        energy += watts * step
        aim = 34 + watts / 700 * (62 if slow else 32) + index * 0.8
        heat += (aim - heat) * min(1.0, step / 9)
        hot, capped = slow and heat > 80, watts > 680
        busy = work > 80
        clock = 1095 if hot else 1755 if capped else 1980 if busy else 345
        bits = 0x20 * hot | 0x4 * capped | (0 if busy else 0x1)
        clock += random.choice((0, 0, 0, 15, -15)) if busy else 0
        kept.append(time)
        rows.append(
            (watts, energy, clock, 2619, round(heat), bits, 6.1e8 + 6e10 * busy, 99 if busy else 0)
        )
    columns = dict(zip(COLUMNS, map(tuple, zip(*rows, strict=True)), strict=True))
    return GpuTrace(
        uuid=Reading(f"GPU-5c1a{index:04x}-0d5e-4f6a-9b70-8d2e4c6fa100"),
        pci_bus_id=Reading(bus(index)),
        time_s=tuple(kept),
        columns=columns,
        absent={},
        lost=lost,
        energy_joules=Reading(energy),
        energy_s=kept[-1] - kept[0],
        slowed_ns={
            "sw_power_cap": Reading(int(4.1e10)),
            "sw_thermal_slowdown": Reading(int(2.2e11) if index == node.slow else 0),
            "board_limit": Reading(None, "not asked: no older call counts this"),
        },
        gpm=Reading(GpmTrace(times[::5], {"tensor_percent": tuple(0.5 for _ in times[::5])}, {})),
    )


def _work(node: Node, index: int, time: float) -> float:
    """Watts a good GPU would draw: idle, alone at its turn, or with the others."""
    since = time - FIRST_S
    at = math.floor(since / (4 * EACH_S))
    if since < 0:
        return 120.0 if math.sin(time * 2 + index) > 0.55 else 72.0
    if at >= len(PROGRAMS):
        return 350.0 if time < FIRST_S + 4 * EACH_S * len(PROGRAMS) + 48 else 72.0
    turn = (since - 4 * EACH_S * at) / (2 * EACH_S)
    mine = turn >= 1.03 or math.floor(turn * node.gpus) == index
    return PROGRAMS[at].watts if mine and turn < 1.97 else 75.0
