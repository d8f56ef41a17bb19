"""`smoke --on slurm`: the suite on every node by itself, then one run over all that passed."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console

from jaxpad import bounds, fleet, paths, profiles, slurm, smoke_options as checked
from jaxpad.cluster import KUBERNETES_ONLY, Cluster
from jaxpad.engines._slurm import sbatch_argv, sinfo_argv
from jaxpad.errors import UsageError
from jaxpad.slurm import Choice, Plan, Suite
from jaxpad.smoke import Options
from jaxpad.stages import Whole


def smoke_slurm(options: Options, wanted: Cluster) -> int:
    """Test the nodes and return the fleet's exit code.

    Raises UsageError for bad options, and where there is no Slurm or no such node.
    """
    plan = planned(options, wanted)
    slurm.require()
    choice = slurm.survey(wanted)
    if options.dry_run:
        _say(f"{name}: would not be tested: {why}" for name, why in choice.not_tested.items())
        sys.stdout.write("".join(f"{line}\n" for line in commands(plan, choice)))
        return 0
    checked.make(plan.out)
    found = slurm.whole(plan, choice)
    fleet.write(found.fleet, plan.out)
    _tell(found, plan, options)
    return found.verdict.exit_code


def planned(options: Options, wanted: Cluster) -> Plan:
    """The run that the options ask for; a mistake in them is told before anything runs."""
    _refuse(wanted)
    out = options.out.resolve()  # every node must have it by this path, too
    suite = Suite(
        platform=checked.platform(options.platform, wanted),
        limit=checked.limit(options.limit),
        profile=_profile(options.profile),
        select=checked.select(options.select, *_suite(wanted)),
        thresholds=_bounds(options.thresholds),
        strict=options.strict,
        redact=options.redact,
    )
    name = f"jaxpad-{secrets.token_hex(4)}"
    box = slurm.inside(wanted, suite, out, os.environ)
    return Plan(name, wanted, suite, out, box, dict(os.environ))


def _refuse(wanted: Cluster) -> None:
    for name in KUBERNETES_ONLY:
        if getattr(wanted, name):
            raise UsageError(f"--{name.replace('_', '-')} is for --on kubernetes, not slurm")


def _suite(wanted: Cluster) -> tuple[Path, ...]:
    """Where the nodes' checks are from: an image has its own."""
    return paths.folders("smoke_tests") if wanted.runtime == "none" else ()


def _profile(profile: str | None) -> str | None:
    """A name, or the whole path of a file: the nodes start in another folder."""
    if profile is None:
        return None
    profiles.load(profile)
    return str(Path(profile).resolve()) if profile.endswith(".toml") else profile


def _bounds(thresholds: Path | None) -> Path | None:
    bounds.load(thresholds)
    return thresholds.resolve() if thresholds else None


def commands(plan: Plan, choice: Choice) -> Iterator[str]:
    """Every command of a run in which all nodes pass, pasteable into a shell."""
    yield shlex.join(sinfo_argv(plan.wanted.partition, plan.wanted.nodelist))
    for node in choice.tested:
        yield shlex.join(sbatch_argv(plan.node_job(node)))
    nodes = choice.tested
    if nodes and len(nodes) * plan.processes(nodes) > 1:
        yield shlex.join(sbatch_argv(plan.multi_job(nodes)))


def _tell(found: Whole, plan: Plan, options: Options) -> None:
    """What an admin needs to know; `--json` prints fleet.json."""
    _together(found)
    fleet.summary(found.fleet, Console(stderr=True), "slurm", plan.out)
    if options.as_json:
        sys.stdout.write((plan.out / "fleet.json").read_text())


def _together(found: Whole) -> None:
    """The multi-process run, as far as it came."""
    ran = found.second
    if ran:
        lines = [*(ran.report.summary if ran.report else ()), *filter(None, [ran.why])]
        _say(["", "Multi-process run", *lines])


def _say(lines: Iterable[str]) -> None:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
