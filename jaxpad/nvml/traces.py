"""What a sampler saw, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxpad.core.reading import Reading, absent

TraceColumn = tuple[float | None, ...]


@dataclass(frozen=True)
class GpmTrace:
    """GPM metrics (Hopper and newer), each over the time since the one before.

    `time_s` ends each interval; a value is None where NVML gave none, and `absent` says why.
    """

    time_s: tuple[float, ...]
    metrics: dict[str, TraceColumn]
    absent: dict[str, str]


@dataclass(frozen=True)
class Lost:
    """When a GPU stopped answering for good, and what NVML said."""

    at_s: float
    reason: str


@dataclass(frozen=True)
class GpuTrace:
    """The samples of one GPU, one entry of each column a sample.

    `time_s` is the monotonic clock's, read before the GPU was asked. `columns` has
    power_watts, energy_joules, sm_mhz, memory_mhz, temperature_celsius, throttle_bits,
    used_bytes and utilisation_percent; an entry is None where NVML gave none, and `absent`
    has the last reason by column.
    """

    uuid: Reading[str]
    pci_bus_id: Reading[str]
    time_s: tuple[float, ...]
    columns: dict[str, TraceColumn]
    absent: dict[str, str]
    lost: Lost | None
    energy_joules: Reading[float]  # from first to last sample
    energy_s: float  # the time that energy took
    slowed_ns: dict[str, Reading[int]]  # by throttle reason, from first to last sample
    gpm: Reading[GpmTrace]

    @property
    def mean_watts(self) -> Reading[float]:
        """Energy over time, which no single sample of the power can give.

        NVML's power is an average or a part-time sample on many boards
        (https://arxiv.org/abs/2312.02741).
        """
        if self.energy_s <= 0:
            return absent(self.energy_joules.reason or "not asked: no time went by")
        return self.energy_joules.map(lambda joules: joules / self.energy_s)

    def since(self, begun: float) -> GpuTrace:
        """The same in seconds after `begun`, another time of that clock."""

        def moved(times: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(round(at - begun, 4) for at in times)

        return replace(
            self,
            time_s=moved(self.time_s),
            lost=replace(self.lost, at_s=self.lost.at_s - begun) if self.lost else None,
            gpm=self.gpm.map(lambda gpm: replace(gpm, time_s=moved(gpm.time_s))),
        )


@dataclass(frozen=True)
class Gap:
    """A time without samples, and who held the sampler up."""

    start_s: float
    stop_s: float
    why: str

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.stop_s - self.start_s

    def since(self, begun: float) -> Gap:
        """The same in seconds after `begun`, another time of that clock."""
        return replace(self, start_s=self.start_s - begun, stop_s=self.stop_s - begun)


@dataclass(frozen=True)
class Trace:
    """Everything between a sampler's start and stop, in seconds of the monotonic clock.

    `error` says why there are no samples, or fewer than there should be.
    """

    period_s: float
    start_s: float
    stop_s: float
    error: str | None
    gpus: tuple[GpuTrace, ...]
    gaps: tuple[Gap, ...]

    def since(self, begun: float) -> Trace:
        """The same in seconds after `begun`, another time of that clock."""
        return replace(
            self,
            start_s=self.start_s - begun,
            stop_s=self.stop_s - begun,
            gpus=tuple(gpu.since(begun) for gpu in self.gpus),
            gaps=tuple(
                replace(g, start_s=g.start_s - begun, stop_s=g.stop_s - begun) for g in self.gaps
            ),
        )
