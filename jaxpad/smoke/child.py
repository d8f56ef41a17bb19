"""Run the checks of one file, and go on after a check that took its process along."""

from __future__ import annotations

import json
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxpad import checks
from jaxpad.core import child, host, paths
from jaxpad.core.results import CheckResult, Measurement, UsageError, Verdict, overall
from jaxpad.machine import devices
from jaxpad.machine.facts import FACTS, MEANING, Facts, is_url
from jaxpad.smoke.collection import Check

# One pytest child: start it, follow its events, and say how it ended.

Event = dict[str, Any]
_GRACE = 2.0  # seconds a hung child gets to write its stack
MOST = 1 << 30  # bytes of output; a check that prints more is ended, before the disk is full
_LOOK_S = 1.0  # between two looks at how much there is
_OUTSIDE = 120.0  # least seconds for start and exit, however short a check's limit


def argv(folder: Path, nodes: Sequence[str]) -> list[str]:
    """The command that runs `nodes` of the suite in `folder`."""
    options = ["-p", "jaxpad.smoke.pytest_plugin", "-p", "no:terminal", "--capture=no"]
    return child.python("-u", "-m", "pytest", *options, *_settings(folder), *nodes)


def _settings(folder: Path) -> list[str]:
    """The folder's pytest.ini, else the shipped one for a project's; and the suite's fixtures."""
    fixtures = [] if folder == paths.SMOKE_TESTS else ["-p", "jaxpad.fixtures"]
    if (folder / "pytest.ini").is_file():
        return [*fixtures, "-c", str(folder / "pytest.ini")]
    shipped = paths.owner(folder) == "project" and (paths.SMOKE_TESTS / "pytest.ini").is_file()
    config = str(paths.SMOKE_TESTS / "pytest.ini") if shipped else os.devnull
    return [*fixtures, "-c", config, f"--rootdir={folder}"]


@dataclass(frozen=True)
class Ending:
    """How a child ended."""

    code: int  # negative: the signal, as subprocess has it
    timed_out: bool = False
    out_of_memory: bool = False
    left: int | None = None  # the process id of one that cannot be killed
    flooded: bool = False  # it had printed more than MOST, and was killed

    @property
    def clean(self) -> bool:
        """Pytest came to its own end: all passed (0) or some failed (1)."""
        return self.code in (0, 1) and not self.timed_out

    @property
    def words(self) -> str:
        """The ending as the second half of a sentence."""
        if self.out_of_memory:
            return "was killed by the kernel's out-of-memory killer"
        if self.code < 0:
            name = signal.Signals(-self.code).name
            return f"was ended by {name} ({signal.strsignal(-self.code)})"
        return f"ended itself with exit code {self.code}"


class Child:
    """A running pytest process, and its output in a file of `folder`.

    It ends with this process, however that ends: an orphan would hold the GPU.
    """

    def __init__(
        self, argv: Sequence[str], environ: Mapping[str, str], folder: Path, limit: float
    ) -> None:
        self._limit = limit
        self._log = folder / "output.log"
        self._kills = host.oom_kills()
        self._pipe, write = os.pipe()
        with self._log.open("wb") as log:
            self._process = child.start(
                argv,
                environ=dict(environ) | {checks.EVENTS: str(write)},
                stdout=log,
                stderr=child.STDOUT,
                keep=[write],
                cwd=folder,
            )
        os.close(write)
        self.timed_out = self.flooded = False

    def events(self) -> Iterator[Event]:
        """Events as they come; ends when the child does, or makes it end past its limit.

        A check's limit is the longest silence between two events.
        """
        pending = b""
        limit = max(self._limit, _OUTSIDE)
        with selectors.DefaultSelector() as selector:
            selector.register(self._pipe, selectors.EVENT_READ)
            while True:
                if not self._heard(selector, limit):
                    self._end_hung()
                    return
                data = os.read(self._pipe, 65536)
                if not data:
                    return
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    yield json.loads(line)
                    limit = self._limit

    def ending(self) -> Ending:
        """Wait for the end and describe it."""
        code = self._process.wait(max(self._limit, _OUTSIDE))
        if code is None:
            self._end_hung()
            code = self._process.wait(child.STUCK_S)
        if code is None:
            return Ending(-signal.SIGKILL, timed_out=True, left=self._process.pid)
        killed = code == -signal.SIGKILL and not self.timed_out and not self.flooded
        no_memory = killed and host.oom_kills() != self._kills
        return Ending(code, self.timed_out, no_memory, flooded=self.flooded)

    def output(self, start: int = 0, end: int | None = None, most: int = 8000) -> str:
        """What was written from byte `start` to `end`; of more than `most` bytes the last."""
        with self._log.open("rb") as log:
            size = os.fstat(log.fileno()).st_size
            stop = size if end is None else min(end, size)
            log.seek(max(start, stop - most))
            text = log.read(max(0, stop - log.tell()))
        return text.decode(errors="replace").strip()

    def close(self) -> None:
        """End the child and all it started, and free what it held."""
        self._process.close()
        os.close(self._pipe)

    def _heard(self, selector: selectors.BaseSelector, limit: float) -> bool:
        """Wait for an event or the end; False after `limit` seconds of silence."""
        until = time.monotonic() + limit
        while (left := until - time.monotonic()) > 0:
            if not self.flooded and self._log.stat().st_size > MOST:
                self.flooded = True
                self._process.kill()
            if selector.select(min(left, _LOOK_S)):
                return True
        return False

    def _end_hung(self) -> None:
        """SIGABRT first: Python's fault handler then writes where each thread stands."""
        self.timed_out = True
        self._process.send(signal.SIGABRT)
        self._process.wait(_GRACE)
        self._process.kill()


REPORT_IT = "read the output; if it happens again, file an issue with this smoke.json"
MORE_MEMORY = "raise the memory limit of this container or job, or close what else uses memory"


def unanswered(check: Check, verdict: Verdict, reason: str, remedy: str = "") -> CheckResult:
    """A result for a check that gave none itself."""
    return CheckResult(check.file.name, check.name, check.question, verdict, reason, remedy)


def run_file(
    checks: Sequence[Check],
    environ: Mapping[str, str],
    folder: Path,
    limit: float,
    started: Callable[[Check], None],
    phase: Callable[[Event], None] = lambda _: None,
) -> Iterator[CheckResult]:
    """Every check's result, in order; a new child takes up after one that died.

    `checks` are of one file. `folder` is where the children work. `limit` is the
    longest silence in seconds: a check that takes longer counts as hung. `started`
    is told each check as it begins, `phase` of each setup, call and teardown as it ends.
    """
    left = list(checks)
    while left:
        command = argv(left[0].file.parent, [check.node for check in left])
        child = Child(command, environ, folder, limit)
        try:
            results = _Follower(child, left, limit, started, phase).results()
            for result in results:  # at least one, so the loop comes to an end
                left = left[1:]
                yield result
        finally:
            child.close()


@dataclass
class _Open:
    """A check that has begun: what is known of it so far."""

    check: Check
    at: int  # bytes of output before it
    since: float = field(default_factory=time.monotonic)
    phases: list[Event] = field(default_factory=list)
    seconds: float | None = None  # set when it has ended

    def end(self) -> None:
        self.seconds = round(time.monotonic() - self.since, 3)

    def result(self, output: str) -> CheckResult:
        """The worst of its phases (and parameters, if it has several)."""
        told = [p for p in self.phases if p["when"] == "call" or p["outcome"] != "pass"]
        verdict = overall(Verdict(phase["outcome"]) for phase in told)
        worst = next(phase for phase in told if phase["outcome"] == verdict)
        numbers = self.phases[-1]["measurements"]
        return replace(
            unanswered(self.check, verdict, worst["reason"], worst["remedy"]),
            seconds=self.seconds or 0.0,
            began=self.since,
            measurements=tuple(Measurement(**number) for number in numbers),
            output="\n".join(filter(None, [worst["text"], output])),
        )


class _Follower:
    """Turns a child's events, and its ending, into results."""

    def __init__(
        self,
        child: Child,
        checks: Sequence[Check],
        limit: float,
        started: Callable[[Check], None],
        phase: Callable[[Event], None],
    ) -> None:
        self._child = child
        self._left = list(checks)
        self._limit = limit
        self._started = started
        self._phase = phase
        self._open: _Open | None = None
        self._uncollected = ""

    def results(self) -> Iterator[CheckResult]:
        """Each check's result as soon as there is one; at the end those that never answered."""
        for event in self._child.events():
            yield from self._take(event)
        ending = self._child.ending()
        if self._open is not None:
            yield self._last(self._open, ending)
        else:
            yield from self._never_asked(ending)

    def _take(self, event: Event) -> Iterator[CheckResult]:
        kind, open_ = event["event"], self._open
        if kind == "uncollected":
            self._uncollected = event["text"]
        elif kind == "started" and (open_ is None or open_.check.name != event["name"]):
            if open_ is not None:
                yield open_.result(self._child.output(open_.at, event["at"]))
            self._begin(event)
        elif kind == "phase" and open_ is not None:
            open_.phases.append(event)
            self._phase(event)
        elif kind == "finished" and open_ is not None:
            open_.end()

    def _begin(self, event: Event) -> None:
        check = next(check for check in self._left if check.name == event["name"])
        self._left.remove(check)
        self._open = _Open(check, event["at"])
        self._started(check)

    def _last(self, open_: _Open, ending: Ending) -> CheckResult:
        """The check that was open when the process ended, well or not."""
        output = self._child.output(open_.at)
        if open_.seconds is None:
            open_.end()
            verdict, reason, remedy = _death(ending, self._limit)
            result = unanswered(open_.check, verdict, reason, remedy)
            seconds = open_.seconds or 0.0
            return replace(result, seconds=seconds, output=output, began=open_.since)
        result = open_.result(output)
        return result if ending.clean else _died_after(result, ending, self._limit)

    def _never_asked(self, ending: Ending) -> Iterator[CheckResult]:
        """The process ended before it came to these checks."""
        text = self._uncollected or self._child.output()
        cause = _death(ending, self._limit)[1] if ending.code < 0 else _last_line(text)
        for check in self._left:
            reason = f"{check.file.name} could not be run: {cause}"
            result = unanswered(check, Verdict.INCONCLUSIVE, reason, "fix what the output names")
            yield replace(result, output=text)


def _last_line(text: str) -> str:
    """The last line of a traceback or log, without pytest's margin mark."""
    lines = [line.removeprefix("E").strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "pytest gave no reason")


def _died_after(last: CheckResult, ending: Ending, limit: float) -> CheckResult:
    """All was answered, then the process did not end well: that is no pass."""
    verdict, reason, remedy = _death(ending, limit)
    reason = "; ".join(filter(None, [last.reason, f"after the last check of its file, {reason}"]))
    return replace(last, verdict=overall([verdict, last.verdict]), reason=reason, remedy=remedy)


def _death(ending: Ending, limit: float) -> tuple[Verdict, str, str]:
    """Verdict, reason and remedy for a process that did not come to its own end."""
    if ending.timed_out:
        reason = f"no answer within {limit:g} s, so it was ended; the output says where it stood"
        if ending.left is not None:
            reason += f"; process {ending.left} cannot be killed and is left behind"
        return Verdict.FAIL, reason, "look at the stack in the output; --limit allows it longer"
    if ending.flooded:
        reason = "it printed more than a process of the suite may, so it was ended"
        return Verdict.FAIL, reason, "look at the output, of which the last lines are kept"
    if ending.out_of_memory:
        return Verdict.FAIL, f"its process {ending.words}", MORE_MEMORY
    if ending.code == -9:
        reason = f"its process {ending.words} by somebody else; the kernel counts no memory kill"
        return Verdict.INCONCLUSIVE, reason, "find out who ended it, then run again"
    return Verdict.FAIL, f"its process {ending.words}", REPORT_IT


# The environment each check file's child runs in.

THROUGHPUT = "test_throughput.py"  # alone keeps JAX's preallocation: it measures as users run


def allowed(names: tuple[str, ...]) -> tuple[str, ...]:
    """What `--allow` names, all of them variables that change what JAX means."""
    for name in names:
        if name not in MEANING:
            raise UsageError(
                f"--allow {name} is no variable that changes what JAX means: expected one of "
                f"{', '.join(MEANING)}"
            )
    return names


def for_jax(environ: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """`environ` with the platform, JAX's compilation cache and our package's place set."""
    chosen = devices.jax_platforms(facts.expected)
    return child.importable(environ) | chosen | _cache(facts)


def for_file(
    environ: Mapping[str, str], facts: Path, file: Path, allowed: Sequence[str] = ()
) -> dict[str, str]:
    """`environ` for the checks of `file`: the facts' place, and pytest left to itself.

    Plugins and options the user's environment would add could change what is tested. So would
    the `allowed` variables: our checks judge JAX without them, the project's have them.
    """
    added = {
        FACTS: str(facts),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_DEBUG_TEMPROOT": str(facts.parent),  # of tmp_path: it goes with the run's folder
    }
    if file.name != THROUGHPUT:
        added["XLA_PYTHON_CLIENT_PREALLOCATE"] = environ.get(
            "XLA_PYTHON_CLIENT_PREALLOCATE", "false"
        )
    foreign = ["PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONOPTIMIZE"]  # without asserts all pass
    foreign += [] if paths.owner(file) == "project" else allowed
    return {name: value for name, value in environ.items() if name not in foreign} | added


def _cache(facts: Facts) -> dict[str, str]:
    """Every program is kept, however quick its compile; none if the folder is not writable."""
    if facts.cache_problem or is_url(facts.cache):
        return {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    return {
        "JAX_COMPILATION_CACHE_DIR": facts.cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
