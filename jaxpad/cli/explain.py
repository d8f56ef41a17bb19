"""`profile.explain`: what each flag of a profile does to the compiled program, with no GPU."""

from __future__ import annotations

import functools
import json as json_
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich import progress
from rich.console import Console

from jaxpad import effects, flags, gpus, profiles, workloads
from jaxpad.commands.profile import ExplainOptions, MatrixOptions
from jaxpad.core import paths
from jaxpad.core.results import UsageError
from jaxpad.effects import NoProgramError, Watcher, matrix

# How far a run of many compiles is: a bar on a terminal, and a sentence at the end.


def run_counted(work: Callable[[CountedProgress], int]) -> int:
    """The exit code of `work`: 1 where nothing compiles to hold a flag to."""
    shown = CountedProgress()
    try:
        return work(shown)
    except NoProgramError as error:
        sys.stderr.write(f"jaxpad: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"jaxpad: {shown.said()} and kept, run it again to go on\n")
        raise


@dataclass
class CountedProgress:
    """What was compiled and what was kept; `bar` is shown on a terminal's standard error."""

    bar: progress.Progress = field(init=False)
    total: int = 0
    done: int = 0
    kept: int = 0

    def __post_init__(self) -> None:
        console = Console(stderr=True)
        self.bar = progress.Progress(
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )

    def watcher(self) -> Watcher:
        """What tells this of each compile."""
        return Watcher(self._begun, self._finished)

    def said(self) -> str:
        """`3 of 8 programs compiled, 2 cells kept from before`."""
        return f"{self.done} of {self.total} programs compiled, {self.kept} cells kept from before"

    def _begun(self, kept: int, total: int) -> None:
        self.kept, self.total = kept, total
        self._task = self.bar.add_task("", total=total)

    def _finished(self) -> None:
        self.done += 1
        self.bar.advance(self._task)


def explain(options: ExplainOptions) -> int:
    """Print the effects; 1 where XLA refuses a flag of the profile or nothing compiles.

    Raises UsageError for a profile, GPU or workload that is not known or at fault.
    """
    _require(options)
    profile, gpu = profiles.load(options.profile), gpus.load(options.gpu)
    with flags.without_notices():  # a user's own module imports JAX
        workload = workloads.load(options.workload)
    _tell_project(profile, gpu, workload)
    if note := profiles.better_for(profile, gpu.architecture):
        sys.stderr.write(f"{note}\n")
    question = effects.Question(
        profile=profile,
        gpu=gpu,
        workload=workload,
        against=profiles.load(options.against) if options.against else None,
    )
    return run_counted(functools.partial(_explain, question, as_json=options.json))


def _tell_project(
    profile: profiles.Profile, gpu: gpus.GpuDescription, workload: workloads.Workload
) -> None:
    named = {
        f"profile {profile.name}": profile.path,
        f"gpu {gpu.name}": gpu.path,
        f"workload {workload.name}": workload.sources[0],
    }
    sys.stderr.write("".join(f"{line}\n" for line in paths.notes(named)))


def _require(options: ExplainOptions) -> None:
    if not options.gpu:
        raise UsageError("--gpu is missing: a name in configs/gpus, such as --gpu h100-sxm")
    if not options.workload:
        raise UsageError("--workload is missing: a name such as fsdp, or package.module:function")


def _explain(question: effects.Question, shown: CountedProgress, *, as_json: bool) -> int:
    with shown.bar:
        found = effects.explain(question, watcher=shown.watcher())
    sys.stderr.write(f"{shown.said()}\n")
    _print_explanation(found, as_json=as_json)
    return 1 if found.refused else 0


def _print_explanation(found: effects.Explanation, *, as_json: bool) -> None:
    if as_json:
        told = found.to_json() | {"whole": found.told.to_json()}
        json_.dump(told, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    against = f"profile {found.against}" if found.against else "XLA's defaults"
    title = f"{found.profile} on {found.gpu}, {found.workload}, jaxlib {found.jaxlib}"
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{title}; against {against}")
    console.print(f"all of it: {_explanation_words(found.told)}")
    for flag in found.flags:
        console.print(f"\n{flag.name}={flag.value}")
        console.print(f"  alone:    {_explanation_words(flag.alone)}")
        console.print(f"  left out: {_explanation_words(flag.left_out)}")


def _explanation_words(effect: effects.Effect) -> str:
    said = "; ".join(effect.changes) or effect.reason
    return f"{effect.verdict}: {said}" if said else str(effect.verdict)


# `profile.matrix`: all profiles, GPUs and workloads, computed or computed again.


def profile_matrix(options: MatrixOptions) -> int:
    """Compute this jaxlib's part and write it; with `check` compare, and 1 where they differ.

    Raises UsageError for an option that is no number or a file that is no matrix.
    """
    effort = effects.Effort(workers=options.workers)
    default = matrix.kept() if options.check else matrix.place()
    file = Path(options.out) if options.out else default
    if options.dry_run:
        return _count()
    work = functools.partial(_check, options) if options.check else _compute
    return run_counted(functools.partial(work, effort, file))


def _names() -> tuple[str, ...]:
    return (*matrix.shipped(), *matrix.peers())


def _count() -> int:
    asked = matrix.questions(_names())
    wanted = effects.cells(asked)
    sys.stdout.write(
        f"jaxlib {flags.jaxlib_version()}: {len(wanted)} cells of "
        f"{len({one.profile.name for one in asked})} profiles\n"
    )
    return 0


def _compute(effort: effects.Effort, file: Path, shown: CountedProgress) -> int:
    before = matrix.read(file)
    _count()
    with shown.bar:
        part = matrix.compute(_names(), effort, shown.watcher())
    matrix.write(before.with_part(part), file)
    build = part.builds[0]
    sys.stdout.write(
        f"{file}: {build.cells} cells, {build.programs} different programs, "
        f"{build.seconds} s of compiling in all, at most {_memory(effort.workers)} MiB of memory\n"
    )
    return 0


def _memory(workers: int) -> int:
    """MiB: this process's peak and the largest worker's for each; Linux counts in KiB."""
    own, child = (
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return round((own + workers * child) / 1024)


def _check(
    options: MatrixOptions, effort: effects.Effort, file: Path, shown: CountedProgress
) -> int:
    draw = matrix.Draw(options.sample, options.seed, options.questions)
    begun = time.monotonic()
    with shown.bar:
        found = matrix.again(matrix.read(file), draw, effort, shown.watcher())
    for one in found:
        sys.stdout.write(f"{one.where}: kept {one.kept}, found {one.found}\n")
    sys.stdout.write(
        f"{shown.said()}; {len(found)} differ from {file}; {time.monotonic() - begun:.0f} s, "
        f"at most {_memory(effort.workers)} MiB of memory\n"
    )
    return 1 if found else 0
