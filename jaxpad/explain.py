"""`profile.explain`: what each flag of a profile does to the compiled program, with no GPU."""

from __future__ import annotations

import functools
import json as json_
import sys
from dataclasses import dataclass, field

from rich.console import Console

from jaxpad import counting, effects, flags, gpus, paths, profiles, workloads
from jaxpad.errors import UsageError
from jaxpad.project import project


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    profile: str = field(default_factory=lambda: project().profile)
    gpu: str = field(default_factory=lambda: next(iter(project().gpus), ""))
    workload: str = field(default_factory=lambda: next(iter(project().workloads), ""))
    against: str = ""
    json: bool = False


def explain(options: Options) -> int:
    """Print the effects; 1 where XLA refuses a flag of the profile or nothing compiles.

    Raises UsageError for a profile, GPU or workload that is not known or at fault.
    """
    _require(options)
    profile, gpu = profiles.load(options.profile), gpus.load(options.gpu)
    with flags.without_notices():  # a user's own module imports JAX
        workload = workloads.load(options.workload)
    _tell_project(profile, gpu, workload)
    question = effects.Question(
        profile=profile,
        gpu=gpu,
        workload=workload,
        against=profiles.load(options.against) if options.against else None,
    )
    return counting.run(functools.partial(_explain, question, as_json=options.json))


def _tell_project(
    profile: profiles.Profile, gpu: gpus.GpuDescription, workload: workloads.Workload
) -> None:
    named = {
        f"profile {profile.name}": profile.path,
        f"gpu {gpu.name}": gpu.path,
        f"workload {workload.name}": workload.sources[0],
    }
    sys.stderr.write("".join(f"{line}\n" for line in paths.notes(named)))


def _require(options: Options) -> None:
    if not options.gpu:
        raise UsageError("--gpu is missing: a name in configs/gpus, such as --gpu h100-sxm")
    if not options.workload:
        raise UsageError("--workload is missing: a name such as fsdp, or package.module:function")


def _explain(question: effects.Question, shown: counting.Progress, *, as_json: bool) -> int:
    with shown.bar:
        found = effects.explain(question, watcher=shown.watcher())
    sys.stderr.write(f"{shown.said()}\n")
    _print(found, as_json=as_json)
    return 1 if found.refused else 0


def _print(found: effects.Explanation, *, as_json: bool) -> None:
    if as_json:
        json_.dump(found.to_json(), sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    against = f"profile {found.against}" if found.against else "XLA's defaults"
    title = f"{found.profile} on {found.gpu}, {found.workload}, jaxlib {found.jaxlib}"
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{title}; against {against}")
    console.print(f"all of it: {_words(found.whole)}")
    for flag in found.flags:
        console.print(f"\n{flag.name}={flag.value}")
        console.print(f"  alone:    {_words(flag.alone)}")
        console.print(f"  left out: {_words(flag.left_out)}")


def _words(effect: effects.Effect) -> str:
    said = "; ".join(effect.changes) or effect.reason
    return f"{effect.verdict}: {said}" if said else str(effect.verdict)
