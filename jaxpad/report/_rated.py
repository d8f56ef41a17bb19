"""A report's rates gathered for reading: by program, each with what it is held to."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from jaxpad.report._figures import brief, number
from jaxpad.results import Judgement, Rate, Report
from jaxpad.shares import percent, ratio
from jaxpad.verdict import Verdict, overall

WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)


@dataclass(frozen=True)
class Entry:
    """One rate, and the judgement on it if there is one."""

    rate: Rate
    judgement: Judgement | None
    place: str  # "GPU 3", "CPU 0", or of a rate of all devices its variant

    @property
    def verdict(self) -> Verdict | None:
        return self.judgement.verdict if self.judgement else None

    @property
    def peak(self) -> float | None:
        return self.judgement.peak if self.judgement else None

    @property
    def gate(self) -> float | None:
        """The least that passes; None where none is set, which a bound of 0 says, too."""
        return (self.judgement.gate or None) if self.judgement else None

    @property
    def share(self) -> float | None:
        """Of the peak: 1.0 is all of it."""
        return None if self.peak is None else ratio(self.rate.median, self.peak)


@dataclass(frozen=True)
class Program:
    """All rates of one program: of one variant on each device, or of all variants on all."""

    name: str
    platform: str
    unit: str
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """A CPU's rate is never taken for a GPU's."""
        return f"{self.name} on the CPU" if self.platform == "cpu" else self.name

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(entry.place for entry in self.entries))

    def at(self, place: str) -> tuple[Entry, ...]:
        """The entries of one place, one by one before together."""
        found = [entry for entry in self.entries if entry.place == place]
        return tuple(sorted(found, key=lambda entry: entry.rate.together))

    @property
    def verdict(self) -> Verdict | None:
        """The worst of its judgements; None where there is none."""
        found = [entry.verdict for entry in self.entries if entry.verdict]
        return overall(found) if found else None

    @property
    def scaled(self) -> bool:
        """Whether every rate has a peak to be shown against."""
        return all(entry.peak is not None and entry.peak > 0 for entry in self.entries)


Key = tuple[str, str, str, int | None, bool, float]


def _key(rate: Rate) -> Key:
    """What tells two rates apart; the median does not, as NaN differs from itself."""
    about = (rate.platform, rate.program, rate.variant)
    return (*about, rate.device, rate.together, rate.start_s)


def programs(report: Report) -> tuple[Program, ...]:
    """Every program that was timed, the GPU's first, in the order they ran."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries(report):
        rate = entry.rate
        name = rate.name if rate.device is not None else rate.program
        groups.setdefault((rate.platform, name, rate.unit), []).append(entry)
    found = [
        Program(name, platform, unit, tuple(group))
        for (platform, name, unit), group in groups.items()
    ]
    return tuple(sorted(found, key=lambda program: program.platform == "cpu"))


def entries(report: Report) -> tuple[Entry, ...]:
    """Every rate with its judgement, those that only a judgement holds included."""
    judged = {_key(judgement.rate): judgement for judgement in report.judgements}
    rates = {_key(judgement.rate): judgement.rate for judgement in report.judgements}
    rates = {_key(rate): rate for rate in report.rates} | rates
    return tuple(
        Entry(rate, judged.get(key), _place(report, rate, judged.get(key)))
        for key, rate in rates.items()
    )


def _place(report: Report, rate: Rate, judgement: Judgement | None) -> str:
    if rate.device is None:
        return rate.variant or "all devices"
    if rate.platform == "cpu":
        return f"CPU {rate.device}"
    owners = [gpu for gpu in report.gpus if rate.device in gpu.devices]
    index = judgement.gpu if judgement else None
    if index is None:
        index = owners[0].index if owners else None
    if index is None:
        return f"device {rate.device}"
    cut = any(gpu.index == index and len(gpu.devices) > 1 for gpu in report.gpus)
    return f"GPU {index}, device {rate.device}" if cut else f"GPU {index}"


def extent(values: list[float]) -> str:
    """`672 to 701`, or the one number they all are."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "no number"
    low, high = brief(min(finite)), brief(max(finite))
    return low if low == high else f"{low} to {high}"


def finding(program: Program) -> str:
    """A program in one sentence: rates, share of the peak, gate, and who falls short."""
    found = {True: list[float](), False: list[float]()}
    for entry in program.entries:
        found[entry.rate.together or entry.rate.device is None].append(entry.rate.median)
    how = {False: "one by one", True: "all at once"}
    told = [f"{how[key]} {extent(found[key])}" for key in how if found[key]]
    first = f"{', '.join(told)} {program.unit}"
    return "; ".join([first[:1].upper() + first[1:], *_held(program), *_short(program)]) + "."


def reached(program: Program) -> str:
    """The same in half a line: `663 to 684 TFLOP/s, 67 to 69 % of peak, gate 593: pass`.

    All at once, which is how GPUs are used, where that was timed.
    """
    loaded = [e for e in program.entries if e.rate.together or e.rate.device is None]
    shown = replace(program, entries=tuple(loaded or program.entries))
    parts = [f"{extent([e.rate.median for e in shown.entries])} {program.unit}", *_held(shown)]
    return f"{', '.join(parts)}: {'; '.join(_short(program)) or program.verdict}"


def _held(program: Program) -> list[str]:
    shares = [entry.share for entry in program.entries if entry.share is not None]
    gates = [entry.gate for entry in program.entries if entry.gate is not None]
    parts = [f"{_percents(shares)} of peak"] if shares else []
    if gates:
        low, high = number(min(gates)), number(max(gates))
        parts.append(f"gate {low}" if low == high else f"gates {low} to {high}")
    return [", ".join(parts)] if parts else []


def _percents(shares: list[float]) -> str:
    """`37 to 72 %`."""
    low, high = percent(min(shares)), percent(max(shares))
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _short(program: Program) -> list[str]:
    parts = []
    for verdict in WRONG:
        places = dict.fromkeys(e.place for e in program.entries if e.verdict is verdict)
        if places:
            parts.append(f"{verdict}: {', '.join(places)}")
    return parts
