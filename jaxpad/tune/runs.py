"""A whole tuning run: compile, search, confirm, and what is left of it when it is cut short."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaxpad import effects, profiles
from jaxpad.core import files
from jaxpad.core.results import UsageError
from jaxpad.tune import compiling as tune_compiling, searching
from jaxpad.tune.model import Candidate, Compiled, End, Fate, Measured, Ratio, Tuned
from jaxpad.tune.searching import Board
from jaxpad.tune.spaces import Space
from jaxpad.tune.study import Study

_HELD_OUT = 1_000_003  # added to the seed for what confirms


class Meter(Protocol):
    """What measures: `jaxpad.tune.Bench`, or a double of it."""

    def measure(
        self, candidate: Candidate, digest: str, *, seed: int, best: Ratio | None
    ) -> Measured:
        """A candidate held to the baseline, stopped early where it cannot beat `best`."""

    def confirm(self, candidate: Candidate, digest: str, *, seed: int) -> Measured:
        """The same afresh, on other inputs, never stopped early."""


@dataclass(frozen=True)
class Watcher:
    """Told of the compile stage, and of each measurement: how many are done, of how many."""

    compiling: tune_compiling.Watcher = field(default_factory=tune_compiling.Watcher)
    compiled: Callable[[str], None] = lambda _: None
    measured: Callable[[int, int], None] = lambda _done, _of: None


@dataclass(frozen=True)
class Request:
    """What to tune, how far.

    `about` is noted in the result as it is. `measurements` is how many at most, 0 for the
    default; `minutes` when no further one is begun, 0 for never. With `bench` None the
    compile stage is all there is.
    """

    space: Space
    target: tune_compiling.Target
    about: Mapping[str, str]
    seed: int
    bench: Callable[[], AbstractContextManager[Meter]] | None
    minutes: float = 0
    measurements: int = 0
    effort: effects.Effort = field(default_factory=effects.Effort)


class Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.parts = {"compile": 0.0, "measure": 0.0, "confirm": 0.0}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what happens inside to a part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.parts[part] += time.monotonic() - begun

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._begun

    @property
    def seconds(self) -> dict[str, float]:
        """Every part, and under `other` what is in none."""
        return self.parts | {"other": self.elapsed - sum(self.parts.values())}


@dataclass
class Run:
    """One run on one study; after an interrupt `result` has what was found so far."""

    request: Request
    study: Study
    watcher: Watcher = field(default_factory=Watcher)
    clock: Clock = field(default_factory=Clock)

    def go(self) -> Tuned:
        """All of it. Raises UsageError for a workload or a space at fault."""
        with self.clock.of("compile"):
            self._compile()
        self.watcher.compiled(summary(self.compiled))
        if self.request.bench:
            self._tune()
        return self.result()

    @property
    def compiled(self) -> tuple[Compiled, ...]:
        """Every candidate of the space that was compiled, in the space's order."""
        held = self.study.compiled
        return tuple(held[one] for one in self.request.space.candidates() if one in held)

    @property
    def board(self) -> Board:
        """What is known for the search."""
        programs = {one.candidate: one.digest for one in self.compiled if one.digest}
        held = self.study.measured.items()  # what was disturbed is measured again
        kept = {digest: one for digest, one in held if one.end is not End.DISTURBED}
        return Board(self.request.space, programs, kept)

    def result(self) -> Tuned:
        """What is known by now."""
        confirmed = tuple(self.study.confirmed.values())
        faster = [one for one in confirmed if one.ratio and one.ratio.faster]
        return Tuned(
            about=self.request.about,
            compiled=self.compiled,
            measured=tuple(self.study.measured.values()),
            confirmed=confirmed,
            winner=faster[-1].candidate if faster else None,
            seconds=self.clock.seconds,
        )

    def _compile(self) -> None:
        request = self.request
        left = [one for one in request.space.candidates() if one not in self.study.compiled]
        if left:
            watching = self.watcher.compiling
            tune_compiling.compile_all(request.target, left, request.effort, self.study, watching)
        base = self.study.compiled[Candidate()]
        if base.fate is not Fate.COMPILES:
            raise UsageError(
                f"{request.target.workload} does not compile under the baseline "
                f"({base.fate}: {base.reason}); fix it there"
            )

    def _tune(self) -> None:
        board = self.board
        budget = self.request.measurements or searching.default_budget(board)
        assert self.request.bench
        if len(board.distinct) == 1:
            return  # every candidate is the baseline's program
        with self.clock.of("measure"):  # its processes start here
            opened = self.request.bench()
            meter = opened.__enter__()
        try:
            self._measure(board, meter, budget)
            self._confirm(board, meter)
        finally:
            with self.clock.of("measure"):
                opened.__exit__(None, None, None)

    def _measure(self, board: Board, meter: Meter, budget: int) -> None:
        def one(candidate: Candidate, digest: str, best: Ratio | None) -> Measured:
            """Measure a candidate, keep it in the study and tell the watcher."""
            with self.clock.of("measure"):
                found = meter.measure(candidate, digest, seed=self.request.seed, best=best)
            found = dataclasses.replace(found, candidate=candidate, digest=digest)
            self.study.keep("measured", found)
            self.watcher.measured(len(self.study.measured), budget)
            return found

        searching.search(
            board,
            one,
            seed=self.request.seed,
            budget=budget,
            enough=self._late,
        )

    def _confirm(self, board: Board, meter: Meter) -> None:
        """The best one again, unless it is behind the baseline."""
        best = board.finalist
        if best is None or best.ratio is None or best.ratio.value <= 1.0:
            return
        before = self.study.confirmed.get(best.digest)
        if before and before.end is not End.DISTURBED:
            return
        with self.clock.of("confirm"):
            seed = self.request.seed + _HELD_OUT
            found = meter.confirm(best.candidate, best.digest, seed=seed)
        self.study.keep(
            "confirmed", dataclasses.replace(found, candidate=best.candidate, digest=best.digest)
        )

    def _late(self) -> bool:
        return 0 < self.request.minutes * 60 <= self.clock.elapsed


def undecided(tuned: Tuned) -> bool:
    """Whether the machine was too disturbed to measure anything, or to confirm the best."""
    ends = [one.end for one in tuned.measured]
    nothing = bool(ends) and all(end is End.DISTURBED for end in ends)
    last = tuned.confirmed[-1:] or ()
    return nothing or (tuned.winner is None and any(one.end is End.DISTURBED for one in last))


def summary(compiled: tuple[Compiled, ...]) -> str:
    """`216 candidates: 12 fatal, 3 rejected value, 41 distinct programs`."""
    fates = {fate: sum(one.fate is fate for one in compiled) for fate in Fate}
    others = [f"{count} {fate}" for fate, count in fates.items() if count]
    dropped = [words for words in others if not words.endswith(Fate.COMPILES)]
    programs = len({one.digest for one in compiled if one.digest})
    plural = "" if programs == 1 else "s"
    return f"{len(compiled)} candidates: " + ", ".join(
        [*dropped, f"{programs} distinct program{plural}"]
    )


# The winner as a profile file, with what was measured in it.

_MARK = "# Written by jaxpad profile.tune, study "
_DOCS = "https://github.com/openxla/xla/blob/main/xla/xla.proto"
_ABOUT = (
    *("workload", "workload_digest", "platform", "gpu", "device", "driver", "jaxlib"),
    *("date", "space", "space_digest", "baseline", "seed"),
)


@dataclass(frozen=True)
class Target:
    """Where a profile goes: the file, and the study whose it is."""

    path: Path
    study: str


def require_free(target: Target) -> None:
    """Raises UsageError where the file is there and is not this study's own."""
    try:
        first = files.read_plain(target.path).decode("utf-8").partition("\n")[0]
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError):
        first = ""
    if first != f"{_MARK}{target.study}":
        raise UsageError(
            f"{target.path} is there already and is not this study's; give another --name, or "
            "move it away"
        )


def write(
    target: Target, baseline: profiles.Profile | None, winner: Measured, about: Mapping[str, str]
) -> None:
    """Write the profile, whole or not at all: the baseline's flags, then the winner's.

    Raises UsageError as `require_free` does, and where the file cannot be written.
    """
    require_free(target)
    text = "\n".join(_lines(target.study, baseline, winner, about)) + "\n"
    replace(target.path, text)


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all. Raises UsageError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(path, text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written ({error.strerror}); give another") from None


def _lines(
    study: str, baseline: profiles.Profile | None, winner: Measured, about: Mapping[str, str]
) -> Iterable[str]:
    said = _said(winner)
    yield f"{_MARK}{study}"
    workload, where = about["workload"], about.get("device") or about["platform"]
    yield f"description = {_text(f'{workload} on {where}: {said}')}"
    if baseline and _shipped(baseline):
        yield f"extends = [{_text(baseline.name)}]"
    yield ""
    yield "[measured]"
    assert winner.ratio is not None
    for name in ("value", "low", "high"):
        key = "ratio" if name == "value" else name
        yield f"{key} = {round(getattr(winner.ratio, name), 6)!r}"
    for name in _ABOUT:
        yield f"{name} = {_text(about.get(name, ''))}"
    set_anew = {name for name, _ in winner.candidate.flags}
    for flag in _inlined(baseline):
        if flag.name not in set_anew:
            yield from _flag(flag.name, flag.value, flag.why, flag.source, flag.jaxlib)
    for flag_name, value in winner.candidate.flags:
        why = f"Measured with the other flags that this study added: {said}"
        yield from _flag(flag_name, value, why, _DOCS)
    yield from _env(baseline)


def _said(winner: Measured) -> str:
    assert winner.ratio is not None
    ratio = winner.ratio
    return f"{ratio.value:.3f} times as fast (interval {ratio.low:.3f} to {ratio.high:.3f})"


def _flag(name: str, value: str, why: str, source: str, jaxlib: str = "") -> Iterable[str]:
    yield ""
    yield "[[flag]]"
    yield f"name = {_text(name)}"
    yield f"value = {_text(value)}"
    if jaxlib:
        yield f"jaxlib = {_text(jaxlib)}"
    yield f"why = {_text(why)}"
    yield f"source = {_text(source)}"


def _shipped(baseline: profiles.Profile) -> bool:
    return baseline.name in profiles.names()


def _inlined(baseline: profiles.Profile | None) -> Iterable[profiles.Flag]:
    """The flags of a baseline that cannot be named, as one that is a file elsewhere."""
    layers = profiles.layers(baseline) if baseline and not _shipped(baseline) else ()
    found = {flag.name: flag for layer in layers for flag in layer.flags}
    return found.values()


def _env(baseline: profiles.Profile | None) -> Iterable[str]:
    layers = profiles.layers(baseline) if baseline and not _shipped(baseline) else ()
    found = {one.name: one for layer in layers for one in layer.env}
    if found:
        yield ""
        yield "[env]"
    for one in found.values():
        yield (
            f"{one.name} = {{ value = {_text(one.value)}, why = {_text(one.why)}, "
            f"source = {_text(one.source)} }}"
        )


def _text(value: str) -> str:
    """A TOML basic string: JSON's escapes are TOML's too, but for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
