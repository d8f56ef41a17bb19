"""Run a program on devices, one by one or all at once, and say how fast each was."""

from __future__ import annotations

import hashlib
import math
import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxpad import checks
from jaxpad.core.results import Rate
from jaxpad.core.text import ratio
from jaxpad.throughput.program import Answer, Program, alone, as_one, differs

# The clock: batches of calls, waited for once a batch.
#
# A call on a GPU returns before the GPU is done, and dispatching takes tens of microseconds.
# Calls are dispatched ahead of the device, a few at a time so that their results fit its
# memory, and a batch lasts long enough that its end counts for little
# (https://docs.jax.dev/en/latest/benchmarking.html). A CPU may run independent calls beside
# each other, so there each is waited for.

BATCH_S = {"gpu": 0.05, "cpu": 0.02}  # the least a batch lasts
_AHEAD = {"gpu": 4, "cpu": 1}  # calls in flight
WARM_UP = 2  # calls before the timed ones; the first compiles


@dataclass(frozen=True)
class Batch:
    """Calls of a program, and when they began and were done by the monotonic clock."""

    calls: int
    start_s: float
    stop_s: float

    @property
    def seconds(self) -> float:
        """Of all the calls."""
        return self.stop_s - self.start_s


@dataclass(frozen=True)
class Clock:
    """Runs one program's calls on one device, or on all as one.

    `held_up` is told when a batch began, before its end is taken: a disturbance of a test.
    """

    step: Callable[[int], Any]
    platform: str
    held_up: Callable[[float], None] = lambda _: None

    def batch(self, calls: int) -> Batch:
        """Dispatches `calls` calls and waits for the last."""
        ahead: deque[Any] = deque()
        begun = time.monotonic()
        for call in range(calls):
            ahead.append(self.step(call))
            if len(ahead) >= _of(_AHEAD, self.platform):
                jax.block_until_ready(ahead.popleft())
        jax.block_until_ready(list(ahead))
        self.held_up(begun)
        return Batch(calls, begun, time.monotonic())

    def warm(self) -> int:
        """Compiles, warms up, and finds how many calls fill a batch."""
        self.batch(WARM_UP)
        wanted = _of(BATCH_S, self.platform)
        calls = 1
        while True:
            seconds = self.batch(calls).seconds
            if seconds >= 0.7 * wanted:
                return calls
            calls = max(calls + 1, min(10 * calls, round(calls * wanted / seconds)))


def _of(table: dict[str, Any], platform: str) -> Any:
    return table.get(platform, table["gpu"])


# Whether a rate is one: batches that agree with each other.

TAKINGS = 3


def steadiest(take: Callable[[], Sequence[Rate]]) -> Sequence[Rate]:
    """The rates, taken again up to TAKINGS times where they swing; the steadiest of them."""
    found = [take()]
    while len(found) < TAKINGS and _swing(found[-1]) >= 1:
        found.append(take())
    return min(found, key=_swing)


def _swing(rates: Sequence[Rate]) -> float:
    """The spread of the worst rate of a GPU, in medians of it; only GPUs are asked.

    Infinite where either is no number or the median is 0: such a rate is taken again.
    """
    shares = [ratio(rate.spread, rate.median) for rate in rates if rate.platform != "cpu"]
    return max((math.inf if share is None else share for share in shares), default=0.0)


def steady(rates: Sequence[Rate], devices: Sequence[Any]) -> None:
    """Raises checks.Inconclusive where half the batches are further apart than their median.

    Such a rate says more of what else ran than of the device. Only GPUs are asked: a CPU's
    cores are shared with whatever else runs, and its spread is in the report.
    """
    kinds = {device.id: device.device_kind for device in devices}
    swinging = [
        f"device {rate.device} ({kinds[rate.device]}) by {rate.spread:.3g} of {rate.median:.3g}"
        if rate.device is not None
        else f"all devices by {rate.spread:.3g} of {rate.median:.3g}"
        for rate in rates
        if rate.platform != "cpu" and not rate.spread < rate.median  # NaN is no steady rate
    ]
    if swinging:
        raise checks.Inconclusive(
            f"{rates[0].name} swings between batches: {', '.join(swinging)} {rates[0].unit}",
            "see that nothing else uses the device or the CPU, then run it again",
        )


# Faults that a test has a device show: slow, hanging, wrong.


@dataclass(frozen=True)
class Disturbance:
    """What is wrong with the device of JAX's id `device`. Only a test passes one.

    `slow` is how many times longer its calls take. `nan` and `wrong` spoil one entry of its
    result. `hang` is for ever.
    """

    device: int
    slow: float = 1.0
    nan: bool = False
    wrong: bool = False
    hang: bool = False

    def during(self, device: int | None, begun: float) -> None:
        """Holds up what `device` began at that monotonic time; None is all devices as one."""
        if device not in (None, self.device):
            return
        if self.hang:
            threading.Event().wait()
        time.sleep((self.slow - 1) * (time.monotonic() - begun))

    def spoil(self, device: int | None, result: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The result as `device` would give it."""
        if device not in (None, self.device) or not (self.nan or self.wrong):
            return result
        spoilt = np.array(result)
        place = 5 * spoilt.size // 7  # of a matrix in no row that verify computes itself
        value = spoilt.flat[place]
        spoilt.flat[place] = np.nan if self.nan else 1000 + 2 * value
        return spoilt


BATCHES = 10


@dataclass(frozen=True)
class _Seat:
    """A device, or all as one (None), and its clock, warm."""

    device: Any | None
    platform: str
    clock: Clock
    calls: int

    def timed(self, enough: Callable[[int], bool], found: list[Batch]) -> list[Batch]:
        """Batches, added to those found, until there are enough of them."""
        while not enough(len(found)):
            found.append(self.clock.batch(self.calls))
        return found


def run(
    program: Program,
    devices: Sequence[Any],
    *,
    together: bool = False,
    disturb: Disturbance | None = None,
    batches: int = BATCHES,
) -> tuple[Rate, ...]:
    """A rate for each device, or one where all do it as one; median and IQR over batches.

    One by one, the other devices are idle. `together`, a thread each runs the same on all
    devices, and only batches count during which every other device was at it. `disturb` is
    for tests.
    """
    meshes = [as_one(devices)] if program.spans else [alone(device) for device in devices]
    seats = [_seat(program, mesh, disturb) for mesh in meshes]
    if together and len(seats) > 1:
        timed = _all_at_once(seats, batches)
    else:
        timed = [seat.timed(lambda have: have >= batches, []) for seat in seats]
    return tuple(
        _rate(program, seat, found, together) for seat, found in zip(seats, timed, strict=True)
    )


def _seat(program: Program, mesh: Mesh, disturb: Disturbance | None) -> _Seat:
    first = mesh.devices.flat[0]
    device = None if program.spans else first
    held_up = Clock.held_up
    if disturb is not None:
        name = None if device is None else int(device.id)
        held_up = lambda begun: disturb.during(name, begun)  # noqa: E731
    clock = Clock(program.step(mesh), first.platform, held_up)
    return _Seat(device, first.platform, clock, clock.warm())


def _all_at_once(seats: list[_Seat], batches: int) -> list[list[Batch]]:
    """Each seat's batches while all others ran; JAX lets go of the GIL while it waits.

    A thread may begin long after another, or stand still meanwhile: all go on until each has
    enough of the batches that count.
    """
    barrier, found = threading.Barrier(len(seats)), [list[Batch]() for _ in seats]

    def enough(_: int) -> bool:
        return min(map(len, _shared(found))) >= batches

    def work(place: int) -> None:
        barrier.wait()
        seats[place].timed(enough, found[place])

    with ThreadPoolExecutor(len(seats)) as pool:
        list(pool.map(work, range(len(seats))))
    return _shared(found)


def _shared(found: Sequence[Sequence[Batch]]) -> list[list[Batch]]:
    """The batches between the time by which all had begun and the first one's last."""
    if not all(found):
        return [[] for _ in found]
    start, stop = max(each[0].start_s for each in found), min(each[-1].stop_s for each in found)
    return [[one for one in each if start <= one.start_s and one.stop_s <= stop] for each in found]


def _rate(program: Program, seat: _Seat, batches: list[Batch], together: bool) -> Rate:
    rates = [program.work * one.calls / one.seconds for one in batches]
    lower, median, upper = statistics.quantiles(rates, n=4)
    device = seat.device
    return Rate(
        program=program.name,
        variant=program.variant,
        device=None if device is None else int(device.id),
        platform=seat.platform,
        together=together,
        median=median,
        spread=upper - lower,
        unit=program.unit,
        batches=len(batches),
        start_s=batches[0].start_s,
        stop_s=batches[-1].stop_s,
        ordinal=_ordinal(device),
        intensity=program.intensity,
    )


def _ordinal(device: Any | None) -> int | None:
    if device is None or device.platform == "cpu" or device.local_hardware_id is None:
        return None
    return int(device.local_hardware_id)


# Whether the numbers are right, on every device.

REMEDY = (
    "take the device out of service: run `jaxpad health` for its ECC errors and throttling, then "
    "DCGM's `dcgmi diag -r 3`; if all devices are named, suspect the XLA flags or the driver first"
)


def verify(program: Program, devices: Sequence[Any], *, disturb: Disturbance | None = None) -> None:
    """Holds each device's result to a reference, and the devices' results to each other.

    The reference is computed by numpy in float64 (of a large result, some rows); the rest is
    held to what most devices found. `disturb` is for tests. Raises checks.Failed, which
    names each device that is wrong and how.
    """
    meshes = [as_one(devices)] if program.spans else [alone(device) for device in devices]
    wrong, digests = [], []
    kept: dict[bytes, Answer] = {}
    for mesh in meshes:  # one answer at a time: eight GPUs' operands are many GB
        answer = _answer(program, mesh, disturb)
        digests.append(hashlib.sha256(answer.result.tobytes()).digest())
        wrong.append(_wrong(program, answer))
        if not wrong[-1]:
            kept.setdefault(digests[-1], answer)
    usual = Counter(one for one in digests if one in kept).most_common(1)
    found = []
    for mesh, said, digest in zip(meshes, wrong, digests, strict=True):
        if usual and not said:
            said = _unlike(program, kept[digest], kept[usual[0][0]])
            said += "; of two, either may be at fault" if said and len(devices) == 2 else ""
        if said:
            found.append(f"{_names(mesh.devices.flat)}: {said}")
    if found:
        name = f"{program.name} {program.variant}".rstrip()
        raise checks.Failed(f"{name} gave wrong numbers on {'; on '.join(found)}", REMEDY)


def _answer(program: Program, mesh: Any, disturb: Disturbance | None) -> Answer:
    answer = program.answer(mesh)
    if disturb is None:
        return answer
    device = None if program.spans else int(mesh.devices.flat[0].id)
    return Answer(answer.operands, disturb.spoil(device, answer.result))


def _wrong(program: Program, answer: Answer) -> str:
    bad = int(np.count_nonzero(~np.isfinite(answer.result.astype(np.float32))))
    if bad:
        return f"{bad} of {answer.result.size} entries are not finite (NaN or infinite)"
    return program.wrong(answer)


def _unlike(program: Program, answer: Answer, usual: Answer) -> str:
    """How an answer differs from the commonest one, beyond what rounding may do."""
    if usual is answer:
        return ""
    mine, theirs = (one.result.astype(np.float32) for one in (answer, usual))
    said = differs(mine, theirs, 2 * program.bound(usual))
    return said and f"unlike other devices, {said}"


def _names(found: Iterable[Any]) -> str:
    devices = list(found)
    listed = ", ".join(str(device.id) for device in devices)
    return f"device {listed} ({devices[0].device_kind})"
