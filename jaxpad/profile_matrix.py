"""`profile.matrix`: all profiles, GPUs and workloads, computed or computed again."""

from __future__ import annotations

import functools
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from jaxpad import counting, effects, flags, matrix
from jaxpad.counting import Progress
from jaxpad.errors import UsageError


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    out: str = ""
    check: bool = False
    questions: str = ""
    sample: str = "20"
    seed: str = "0"
    workers: str = "2"
    dry_run: bool = False


def profile_matrix(options: Options) -> int:
    """Compute this jaxlib's part and write it; with `check` compare, and 1 where they differ.

    Raises UsageError for an option that is no number or a file that is no matrix.
    """
    effort = effects.Effort(workers=_number("--workers", options.workers, least=1))
    default = matrix.kept() if options.check else matrix.place()
    file = Path(options.out) if options.out else default
    if options.dry_run:
        return _count()
    work = functools.partial(_check, options) if options.check else _compute
    return counting.run(functools.partial(work, effort, file))


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


def _compute(effort: effects.Effort, file: Path, shown: Progress) -> int:
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


def _check(options: Options, effort: effects.Effort, file: Path, shown: Progress) -> int:
    asked = _number("--questions", options.questions, least=1) if options.questions else None
    draw = matrix.Draw(_number("--sample", options.sample), _number("--seed", options.seed), asked)
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


def _number(option: str, text: str, least: int = 0) -> int:
    if not text.isdecimal() or int(text) < least:
        raise UsageError(f"{option} is {text!r}, expected a whole number from {least} on")
    return int(text)
