"""The compile stage: what becomes of every candidate, and which are one program."""

from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxpad import effects, flags
from jaxpad.core.results import UsageError
from jaxpad.effects.model import unseen
from jaxpad.effects.processes import Child, DiedError, read as as_options
from jaxpad.tune.model import Candidate, Compiled, Fate
from jaxpad.tune.study import Study

Words = tuple[str, ...]
_WORKER = "jaxpad.tune.worker"


@dataclass(frozen=True)
class Target:
    """What candidates are compiled for.

    `baseline` is the words of XLA_FLAGS that every candidate has in front of its own, `gpu`
    a GPU description's name or "" for the CPU, `memory` the device's in bytes, 0 if unknown.
    """

    workload: str
    gpu: str = ""
    baseline: Words = ()
    memory: int = 0

    def words(self, candidate: Candidate) -> Words:
        """All of XLA_FLAGS for a candidate."""
        return (*self.baseline, *candidate.words)


@dataclass(frozen=True)
class Watcher:
    """Told how many candidates are to be compiled, then of each that is done."""

    begun: Callable[[int], None] = lambda _: None
    finished: Callable[[], None] = lambda: None


@dataclass
class _Job:
    """One compile: the process it takes, the options, and the candidates it answers for."""

    process: Words
    options: Mapping[str, Any]
    candidates: list[Candidate] = field(default_factory=list)


def compile_all(
    target: Target,
    candidates: Sequence[Candidate],
    effort: effects.Effort,
    study: Study,
    watcher: Watcher,
) -> None:
    """Compile every candidate and keep each in the study as soon as it is done.

    Raises UsageError where the workload or the GPU description is at fault, or where the
    baseline itself does not compile.
    """
    refused = _refused(candidates)
    left = [one for one in candidates if not any(pair in refused for pair in one.flags)]
    for one in candidates:
        if one not in left:
            fate, why = next(refused[pair] for pair in one.flags if pair in refused)
            study.keep("compiled", Compiled(one, fate, why))
    watcher.begun(len(left))
    work = _for_gpu if target.gpu else _for_cpu
    if left:
        work(target, left, effort, study, watcher)


def _refused(candidates: Iterable[Candidate]) -> dict[tuple[str, str], tuple[Fate, str]]:
    """What XLA's parser makes of each flag alone: those it does not take."""
    pairs = sorted({pair for one in candidates for pair in one.flags})
    words = [f"--{name}={value}" for name, value in pairs]
    found = {}
    for (name, value), reading in zip(pairs, flags.read(words) if words else (), strict=True):
        if not reading.ok:
            known = name in flags.catalogue()
            why = flags.complaint(reading.message) if known else flags.unknown(name)
            found[name, value] = (Fate.REJECTED if known else Fate.FATAL, why)
    return found


def _for_cpu(
    target: Target,
    candidates: Sequence[Candidate],
    effort: effects.Effort,
    study: Study,
    watcher: Watcher,
) -> None:
    def done(job: _Job, answer: Mapping[str, Any]) -> None:
        for one in job.candidates:
            study.keep("compiled", _judged(target, one, answer))
            watcher.finished()

    if "bound" not in study.notes:
        study.note("bound", sorted(_bound(target, candidates, effort)))
    bound = frozenset((name, value) for name, value in study.notes["bound"])
    _run(target.workload, _jobs(target, candidates, bound), effort, done)


def _jobs(
    target: Target, candidates: Sequence[Candidate], bound: frozenset[tuple[str, str]]
) -> list[_Job]:
    """What to compile, those for one set of XLA_FLAGS together.

    Candidates that XLA reads as the same options are one job.
    """
    read = as_options({target.baseline, *(target.words(one) for one in candidates)})
    given = read[target.baseline][0]
    jobs: dict[tuple[Any, ...], _Job] = {}
    for one in candidates:
        options, reading = read[target.words(one)]
        held = [pair for pair in one.flags if pair in bound]
        job = _job(target, one, options, given, held)
        key = (job.process, json.dumps(job.options, sort_keys=True), reading)
        jobs.setdefault(key, job).candidates.append(one)
    return sorted(jobs.values(), key=lambda job: job.process)


def _job(
    target: Target,
    one: Candidate,
    options: Mapping[str, Any] | None,
    given: Mapping[str, Any] | None,
    held: Sequence[tuple[str, str]],
) -> _Job:
    """By options of the compile as far as they say what XLA_FLAGS would, else by XLA_FLAGS."""
    names = {name for name, _ in held}
    if options is None or given is None or not (names | given.keys()) <= options.keys():
        return _Job(target.words(one), {})
    left = {
        key: value
        for key, value in options.items()
        if key not in names and (key not in given or given[key] != value)
    }
    return _Job((*target.baseline, *Candidate(tuple(held)).words), left)


def _bound(
    target: Target, candidates: Sequence[Candidate], effort: effects.Effort
) -> frozenset[tuple[str, str]]:
    """The flags of which XLA_FLAGS and options of a compile make two programs, each alone.

    An option of one compile is much cheaper than a process. But some flags count only when a
    process starts (xla_cpu_max_isa), and some JAX sets itself, which outweighs XLA_FLAGS
    (xla_cpu_enable_fast_min_max).
    """
    singles = [Candidate((pair,)) for pair in sorted({p for one in candidates for p in one.flags})]
    jobs = _jobs(target, singles, frozenset())
    jobs = [_Job(job.process, job.options, [one]) for job in jobs for one in job.candidates]
    jobs += [_Job(target.words(one), {}, [one]) for one in singles]
    found: dict[Candidate, set[str]] = {one: set() for one in singles}

    def done(job: _Job, answer: Mapping[str, Any]) -> None:
        found[job.candidates[0]].add(answer.get("digest") or "none")

    _run(target.workload, jobs, effort, done)
    return frozenset(one.flags[0] for one, digests in found.items() if len(digests) > 1)


def _judged(target: Target, one: Candidate, answer: Mapping[str, Any]) -> Compiled:
    if "digest" not in answer:
        return Compiled(one, Fate.BREAKS, answer["broken"])
    memory, seconds = int(answer["memory"]), float(answer["seconds"])
    if target.memory and memory > target.memory:
        why = f"needs {memory} bytes of the device's {target.memory}"
        return Compiled(one, Fate.TOO_LARGE, why, memory=memory, seconds=seconds)
    digest = _with_run_time(one, answer["digest"])
    return Compiled(one, Fate.COMPILES, digest=digest, memory=memory, seconds=seconds)


def _with_run_time(one: Candidate, digest: str) -> str:
    """A flag that acts when the program runs makes another one of the same code."""
    acts = [word for word in one.words if word[2:].partition("=")[0] in unseen()]
    return hashlib.sha256("\n".join([digest, *acts]).encode()).hexdigest() if acts else digest


def _for_gpu(
    target: Target,
    candidates: Sequence[Candidate],
    effort: effects.Effort,
    study: Study,
    watcher: Watcher,
) -> None:
    cells = {
        effects.Cell(target.gpu, target.workload, target.words(one)): one for one in candidates
    }

    def hold(cell: effects.Cell, outcome: effects.Outcome) -> None:
        one = cells[cell]
        study.keep("compiled", _judged(target, one, _answer(outcome, cell.words)))
        watcher.finished()

    effects.compute(cells, effort, effects.Watcher(), hold)


def _answer(outcome: effects.Outcome, words: Words) -> dict[str, Any]:
    """An outcome as a worker's answer. A program with a part that cannot be read is its own."""
    program = outcome.program
    if program is None:
        return {"broken": outcome.message}
    parts = {name: part.digest for name, part in program.digest.parts.items()}
    said = [parts, words if None in parts.values() else ()]
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    memory = program.memory.total if program.memory else 0
    return {"digest": digest, "memory": memory, "seconds": program.seconds}


def _run(
    workload: str,
    jobs: Sequence[_Job],
    effort: effects.Effort,
    done: Callable[[_Job, Mapping[str, Any]], None],
) -> None:
    """Every job by the next worker that is free; `done` is called in this thread."""
    waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[_Job, dict[str, Any]]] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    hands = [_Hand(workload, waiting, answers, effort.limit) for _ in range(effort.workers)]
    try:
        for hand in hands:
            hand.start()
        for _ in jobs:
            job, answer = answers.get()
            if "usage" in answer:
                raise UsageError(answer["usage"])
            if "bug" in answer:
                raise answer["bug"]
            done(job, answer)
    finally:
        for hand in hands:
            hand.stop()
        for hand in hands:
            hand.join()


class _Hand(threading.Thread):
    """A thread that keeps one worker busy; a worker stays while jobs want its XLA_FLAGS."""

    def __init__(
        self,
        workload: str,
        waiting: queue.SimpleQueue[_Job],
        answers: queue.SimpleQueue[tuple[_Job, dict[str, Any]]],
        limit: float,
    ) -> None:
        super().__init__(daemon=True)
        self._workload, self._waiting, self._answers = workload, waiting, answers
        self._limit, self._lock, self._stopped = limit, threading.Lock(), False
        self._child: Child | None = None
        self._words: Words = ()

    def run(self) -> None:
        """Take jobs until there is none left, or `stop` was called."""
        with contextlib.suppress(queue.Empty):
            while not self._stopped:
                job = self._waiting.get_nowait()
                self._answers.put((job, self._answer(job)))
        self._end()

    def stop(self) -> None:
        """End the worker; from any thread."""
        with self._lock:
            self._stopped = True
            if self._child:
                self._child.kill()

    def _answer(self, job: _Job) -> dict[str, Any]:
        request = {"workload": self._workload, "options": dict(job.options)}
        try:
            answer = self._worker(job.process).ask(request, self._limit)
        except DiedError as error:
            self._end()
            return {"broken": str(error)}
        except Exception as error:  # raised again where it can be seen
            return {"bug": error}
        if "broken" in answer:
            answer["broken"] = " ".join(answer["broken"].strip().splitlines()[0].split())[:500]
        return answer

    def _worker(self, words: Words) -> Child:
        if self._child and self._words != words:
            self._end()
        with self._lock:
            if self._stopped:
                raise DiedError("the run was ended", lasting=False)
            if not self._child:
                self._child, self._words = Child(words, _WORKER), words
            return self._child

    def _end(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child:
            child.close()
