"""Hold programs to the baseline, turn by turn, each in a process of its own."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from jaxpad import workloads
from jaxpad.core import child
from jaxpad.core.files import Folder
from jaxpad.core.reading import attempt
from jaxpad.core.results import UsageError
from jaxpad.flags import complaint
from jaxpad.machine import facts
from jaxpad.nvml import GpuTrace, Sampler
from jaxpad.nvml.device import Device, started
from jaxpad.nvml.state import processes
from jaxpad.tune import spaces
from jaxpad.tune.alike import differs
from jaxpad.tune.model import Candidate, Effort, End, Measured, Pair, Ratio, Step
from jaxpad.tune.searching import counting, over_starts, ratio

# A measuring process, seen from the one that asks.

# Two processes on one GPU: neither may take the memory beforehand, which JAX does by default
# (https://docs.jax.dev/en/latest/gpu_memory_allocation.html).
_SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
_SAID = 1 << 20  # bytes of its standard error, in which the complaint is sought
_NOT_OURS = ("XLA_FLAGS", "JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS_APPEND")


class SideError(Exception):
    """A process that crashed, hung, or could not do what it was asked."""


class Side:
    """The baseline's process or a candidate's, in a session of its own, as Ctrl-C is ours."""

    def __init__(self, step: Step, words: tuple[str, ...]) -> None:
        self._step = step
        self.begun = time.monotonic()
        self.seed: int | None = None
        receive, send = os.pipe()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `close`
        self._folder = Folder("tune")
        self._process = child.start(
            child.python("-W", "ignore", "-m", "jaxpad.tune.stepper", str(send)),
            environ=_environ(step, words) | {"TMPDIR": str(self._folder.path)},
            stdin=child.PIPE,
            stdout=child.NOTHING,
            stderr=self._said,
            keep=[send],
        )
        os.close(send)
        self._answers = os.fdopen(receive, "rb", buffering=0)

    def feed(self, seed: int, limit: float) -> dict[str, Any]:
        """Have it make arguments and run twice. Raises SideError, or UsageError for the step."""
        answer = self.ask(
            {
                "ask": "feed",
                "workload": self._step.workload,
                "platform": self._step.platform,
                "seed": seed,
                "file": str(self._file),
            },
            limit,
        )
        self.seed = seed
        return answer

    @property
    def results(self) -> list[np.ndarray[Any, Any]]:
        """What the first call on these arguments gave."""
        with np.load(self._file) as held:
            return [held[name] for name in held.files]

    def turn(self, steps: int, limit: float, cores: Sequence[int] = ()) -> dict[str, Any]:
        """Have it run, on these cores alone if any are named. Raises SideError."""
        return self.ask({"ask": "turn", "steps": steps, "cores": list(cores)}, limit)

    def ask(self, request: Mapping[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a request. Raises SideError, or UsageError for the step."""
        assert self._process.stdin is not None
        try:
            line = f"{json.dumps(dict(request) | {'limit': limit})}\n"
            os.write(self._process.stdin.fileno(), line.encode())
        except BrokenPipeError:
            raise self._death() from None
        answer = self._line(time.monotonic() + limit, limit)
        if "usage" in answer:
            raise UsageError(answer["usage"])
        if "failed" in answer:
            raise SideError(answer["failed"])
        return answer

    def close(self) -> None:
        """End the process and give back all it held."""
        self._process.close()
        self._answers.close()
        self._said.close()
        self._folder.close()

    @property
    def _file(self) -> Path:
        return self._folder.path / "results.npz"

    def _line(self, until: float, limit: float) -> dict[str, Any]:
        parts = b""
        while not parts.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise SideError(f"it did not answer within {limit:.0f} s")
            part = self._answers.read(1 << 16)
            if not part:
                raise self._death()
            parts += part
        found: dict[str, Any] = json.loads(parts)
        return found

    def _death(self) -> SideError:
        code = self._process.wait(child.STUCK_S)
        if code is None:
            return SideError(f"its process {self._process.pid} closed its pipe and does not end")
        self._said.seek(0)
        said = complaint(self._said.read(_SAID).decode(errors="replace"))
        ended = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        return SideError(f"its process ended with {ended}: {said}")


def _environ(step: Step, words: tuple[str, ...]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    kept |= {} if step.platform == "cpu" else _SHARED
    platforms = {"gpu": "cuda"}.get(step.platform, step.platform)
    ours = {"JAX_PLATFORMS": platforms, "XLA_FLAGS": " ".join((*step.baseline, *words))}
    return child.importable(kept | dict(step.environ)) | ours


# What the driver saw on the step's GPUs during a turn: a slowdown, somebody else's program.

# Hardware slowdown, software and hardware thermal slowdown, power brake (nvml.h). The power cap
# is not among them: a large GPU runs at it all day.
_SLOWED = 0x8 | 0x20 | 0x40 | 0x80


class Watch:
    """Sees the GPUs that the step computes on, by NVML's index, through a sampler that runs."""

    def __init__(self, gpus: Iterable[int], sampler: Sampler) -> None:
        self._gpus, self._sampler = frozenset(gpus), sampler

    def disturbed(self, span: float, ours: int) -> str:
        """Why the last `span` seconds do not count, or nothing; `ours` processes are our own."""
        others = self.programs() - ours
        if others > 0:
            plural = "s" if others > 1 else ""
            return f"shared the GPU with {others} other program{plural}"
        slow = any(_slowed(gpu, span) for gpu in self._traces())
        return "was slowed down by the GPU, for heat or its power supply" if slow else ""

    def programs(self) -> int:
        """Programs that compute on the fullest of the GPUs; 0 where the driver does not tell."""
        with started() as nvml:
            return max((_programs(nvml.value, gpu) for gpu in self._gpus), default=0)

    def _traces(self) -> Iterable[GpuTrace]:
        seen = self._sampler.trace().gpus  # in NVML's order
        return (gpu for index, gpu in enumerate(seen) if index in self._gpus)


@contextlib.contextmanager
def watched(gpus: Iterable[int]) -> Iterator[Watch]:
    """A watch over these GPUs of NVML's list."""
    with Sampler() as sampler:
        yield Watch(gpus, sampler)


def gpus_of(step: Step) -> tuple[int, ...]:
    """The GPUs of a step in NVML's list: those that CUDA counts first.

    Where CUDA's list cannot be held to NVML's, all that are visible to us.
    """
    found = facts.look(os.environ)
    ordinals = range(workloads.load(step.workload).count)
    matched = [each.gpu.index for each in found.match(ordinals) if each.gpu]
    return tuple(sorted(matched or found.visible))


def _slowed(gpu: GpuTrace, span: float) -> bool:
    """Whether it said during the last `span` seconds that it slows down."""
    since = gpu.time_s[-1] - span if gpu.time_s else 0.0
    held = zip(gpu.time_s, gpu.columns["throttle_bits"], strict=True)
    return any(bits is not None and int(bits) & _SLOWED for at, bits in held if at >= since)


def _programs(nvml: object, index: int) -> int:
    if nvml is None:
        return 0
    handle = attempt(nvml.nvmlDeviceGetHandleByIndex, index)  # type: ignore[attr-defined]
    return len(processes(Device(nvml, handle)).compute.value or ())


_EVERY = 4  # pairs between two looks at whether it is worth going on
_LOOKS = 2  # at a confirmation, the second with twice the starts
_ONE_CORE = 1.25  # cores in use, up to which a step is taken to keep to one


class _WrongError(Exception):
    """A candidate whose numbers are not the baseline's."""


@dataclass
class _Duel:
    """Both processes, fed, and how many steps a turn has.

    `cores` is empty where a side needs several at once: both then run wherever the kernel likes.
    """

    base: Side
    other: Side
    steps: int
    limit: float
    cores: tuple[int, ...] = ()

    def place(self, pair: int) -> tuple[int, ...]:
        """The core on which both turns of a pair run: the next one after each four pairs."""
        return self.cores and (self.cores[pair // 4 % len(self.cores)],)

    def order(self, pair: int) -> tuple[Side, Side]:
        """A B, B A, B A, A B, and so on (Thue and Morse): no drift favours a side for long."""
        turned = pair.bit_count() % 2
        return (self.other, self.base) if turned else (self.base, self.other)


class Bench:
    """The baseline's process, kept, and one after another a candidate's beside it.

    `watcher` is told of every pair. Entering raises UsageError for a step that does not run,
    returns nothing, gives other results when called again, or takes too long.
    """

    def __init__(
        self, step: Step, effort: Effort, *, watcher: Callable[[Pair], None] = lambda _: None
    ) -> None:
        self._step, self._effort, self._watcher = step, effort, watcher
        self._base: Side | None = None
        self._steps, self._took = 1, 0.0
        self._gpu: Watch | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Bench:
        if self._step.platform != "cpu":
            self._gpu = self._held.enter_context(watched(gpus_of(self._step)))
        try:
            self._baseline(0)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._drop()
        self._held.close()

    def measure(
        self, candidate: Candidate, digest: str, *, seed: int, best: Ratio | None
    ) -> Measured:
        """A candidate held to the baseline, stopped early where it cannot beat `best`."""
        pairs: list[Pair] = []
        bar = max(1.0, best.low) if best else 1.0
        with self._open(candidate) as other:
            startup, reason, end = 0.0, "", End.MEASURED
            try:
                duel, startup = self._meet(self._baseline(seed), other, seed)
                end, reason = self._pairs(duel, pairs, bar)
            except _WrongError as error:
                end, reason = End.WRONG, str(error)
            except SideError as error:
                end, reason = End.FAILED, str(error)
        found = ratio(pairs, self._effort.level)
        return Measured(candidate, digest, end, found, tuple(pairs), startup, reason, seed)

    def confirm(self, candidate: Candidate, digest: str, *, seed: int) -> Measured:
        """The same afresh: new processes several times, other inputs each, never stopped.

        Twice as many where the first ones speak for the candidate and do not prove it: the
        error that is allowed is shared by the two looks.
        """
        self._drop()  # a third process would want memory too
        starts: list[Measured] = []
        found: Ratio | None = None
        for look in range(_LOOKS):
            while len(starts) < self._effort.starts * (look + 1):
                starts.append(self._start(candidate, digest, seed + len(starts)))
                if starts[-1].end is not End.MEASURED:
                    return _joined(starts, None, seed)
            found = over_starts([one.pairs for one in starts], self._level)
            if found is None or found.faster or found.value <= 1.0:
                break
        return _joined(starts, found, seed)

    @property
    def _level(self) -> float:
        """The interval's level at each look, for `confirm_level` over all of them."""
        return 1 - (1 - self._effort.confirm_level) / _LOOKS

    def _start(self, candidate: Candidate, digest: str, seed: int) -> Measured:
        """Both processes anew, and their pairs."""
        pairs: list[Pair] = []
        startup, reason, end = 0.0, "", End.MEASURED
        with self._open(Candidate()) as base, self._open(candidate) as other:
            try:
                self._feed_base(base, seed)
                duel, startup = self._meet(base, other, seed)
                end, reason = self._pairs(duel, pairs, None)
            except _WrongError as error:
                end, reason = End.WRONG, str(error)
            except SideError as error:
                end, reason = End.FAILED, str(error)
        return Measured(candidate, digest, end, None, tuple(pairs), startup, reason, seed)

    def _baseline(self, seed: int) -> Side:
        """The kept process, started if there is none, with the inputs of this seed."""
        if self._base is None:
            self._base = Side(self._step, ())
        if self._base.seed != seed:
            try:
                self._feed_base(self._base, seed)
            except SideError as error:
                self._drop()
                raise UsageError(
                    f"{self._step.workload} does not run under the baseline ({error}); fix it there"
                ) from error
        return self._base

    def _feed_base(self, base: Side, seed: int) -> None:
        took = base.feed(seed, self._effort.starting_s)["took"]
        if took > self._effort.slowest_s:
            raise UsageError(
                f"one step of {self._step.workload} takes {took:.0f} s, expected at most "
                f"{self._effort.slowest_s:.0f} s; tune a smaller batch or fewer layers of it"
            )
        if not self._took:
            first = max(base.turn(3, self._limit(3, took))["seconds"], 1e-6)
            self._steps = max(3, min(2000, round(self._effort.turn_s / first)))
            self._took = first

    def _meet(self, base: Side, other: Side, seed: int) -> tuple[_Duel, float]:
        """Feed the candidate and hold its results to the baseline's."""
        try:
            answer = other.feed(seed, self._effort.starting_s)
        except UsageError as error:  # the baseline has shown that the step itself is sound
            raise _WrongError(str(error)) from error
        if said := differs(other.results, base.results):
            raise _WrongError(said)
        limit = self._limit(self._steps, max(self._took, answer["took"]))
        cores = self._cores((base, other), limit)
        return _Duel(base, other, self._steps, limit, cores), answer["done"] - other.begun

    def _cores(self, sides: Sequence[Side], limit: float) -> tuple[int, ...]:
        """The cores to take in turn, where no side keeps more than one busy; else none.

        Of two cores one is often slower for seconds, by what its sibling or a neighbour on the
        same host does. Left to the kernel, one side may have the slow one for a whole start.
        """
        if self._step.platform != "cpu":
            return ()
        used = [load["own"] / load["wall"] for load in self._loads(sides, limit)]
        return tuple(sorted(os.sched_getaffinity(0))) if max(used) < _ONE_CORE else ()

    def _loads(self, sides: Sequence[Side], limit: float) -> Iterator[Mapping[str, float]]:
        for side in sides:
            yield side.turn(self._steps, limit)["load"]

    def _limit(self, steps: int, took: float) -> float:
        return 20 + 20 * (steps + 2) * took

    def _pairs(self, duel: _Duel, pairs: list[Pair], bar: float | None) -> tuple[End, str]:
        """Take pairs until enough of them count, too many do not, or the bar is out of reach."""
        effort = self._effort
        wanted = effort.pairs if bar is not None else effort.start_pairs
        while len(good := counting(pairs)) < wanted:
            if len(pairs) - len(good) >= effort.spare * wanted:
                why = next(pair.disturbed for pair in reversed(pairs) if pair.disturbed)
                return End.DISTURBED, (
                    f"{len(pairs) - len(good)} of {len(pairs)} pairs were disturbed, the last "
                    f"since it {why}; try again when the machine is at rest"
                )
            pair = self._pair(duel, len(pairs))
            pairs.append(pair)
            self._watcher(pair)
            if bar is not None and not pair.disturbed and self._hopeless(pairs, bar):
                return End.STOPPED, ""
        return End.MEASURED, ""

    def _pair(self, duel: _Duel, number: int) -> Pair:
        """A turn of each."""
        turns = {}
        for side in duel.order(number):
            try:
                turns[side] = side.turn(duel.steps, duel.limit, duel.place(number))
            except SideError as error:
                if side is not duel.base:
                    raise
                self._drop()
                raise SideError(f"the baseline's process ended beside it: {error}") from error
        why = [spaces.disturbed(turn["load"], self._effort.waiting) for turn in turns.values()]
        span = sum(turn["load"]["wall"] for turn in turns.values())
        base, other = turns[duel.base]["seconds"], turns[duel.other]["seconds"]
        why += [self._gpu.disturbed(span, len(turns))] if self._gpu else []
        return Pair(base, other, next(filter(None, why), ""))

    def _hopeless(self, pairs: list[Pair], bar: float) -> bool:
        count = len(counting(pairs))
        if count < self._effort.least or count % _EVERY:
            return False
        found = ratio(pairs, self._effort.level)
        return found is not None and found.high < bar

    @contextlib.contextmanager
    def _open(self, candidate: Candidate) -> Iterator[Side]:
        side = Side(self._step, candidate.words)
        try:
            yield side
        finally:
            side.close()

    def _drop(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None


def _joined(starts: Sequence[Measured], found: Ratio | None, seed: int) -> Measured:
    """All starts as one measurement, which ended as the last did."""
    pairs = tuple(pair for one in starts for pair in one.pairs)
    return dataclasses.replace(starts[-1], ratio=found, pairs=pairs, seed=seed)
