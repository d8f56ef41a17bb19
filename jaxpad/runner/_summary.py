"""From the facts and results of a run to its report."""

from __future__ import annotations

import platform
import socket
from pathlib import Path

import jaxpad
from jaxpad import bounds, host, profiles
from jaxpad.devices import PLUGINS
from jaxpad.facts import Facts, relevant
from jaxpad.results import CheckResult, Device, EffectiveFlag, Fact, Platform, Report, XlaFlags
from jaxpad.runner._gpus import gpus
from jaxpad.runner._plan import Plan
from jaxpad.survey import Survey

NOT_YET = "the run ended before this was looked at"


def report(
    plan: Plan, facts: Facts | None, survey: Survey | None, checks: tuple[CheckResult, ...]
) -> Report:
    """A report on `checks`; the caller adds the times and the rates."""
    held_to = bounds.load(Path(plan.thresholds) if plan.thresholds else None)
    strict = ("--strict: a shortfall that is explained fails, too",) if plan.strict else ()
    return Report(
        jaxpad=jaxpad.__version__,
        started="",
        seconds=0.0,
        command=plan.command,
        profile=plan.profile or (facts.profile if facts else None),
        node=plan.environ.get("JAXPAD_NODE") or socket.gethostname(),  # a pod has a name of its own
        platform=_platform(plan, facts),
        xla_flags=_flags(plan),
        versions=_versions(facts),
        host={name: Fact(value) for name, value in host.summary().items()},
        environment=relevant(plan.environ),
        checks=checks,
        gpus=gpus(survey, facts, held_to) if survey and facts else (),
        overrides=(*bounds.overrides(held_to), *plan.notes, *strict),
    )


def _platform(plan: Plan, facts: Facts | None) -> Platform:
    if facts is None:
        return Platform(plan.requested, "unknown", None, NOT_YET)
    expected, started = facts.expected, facts.started
    devices = tuple(
        Device(id=number, platform=started.platform or "", kind=kind)
        for number, kind in started.devices
    )
    found = "gpu" if facts.gpu else started.platform
    return Platform(
        plan.requested, expected.platform, found, expected.why, expected.evidence, devices
    )


def _flags(plan: Plan) -> XlaFlags:
    text = plan.environ.get("XLA_FLAGS", "")
    flags = tuple(EffectiveFlag(*origin) for origin in plan.origins)
    return XlaFlags(text, flags, profiles.parse(text).dropped)


def _versions(facts: Facts | None) -> dict[str, Fact]:
    versions = {"python": Fact(platform.python_version())}
    if facts is None:
        return versions | dict.fromkeys(("jax", "jaxlib", "driver"), Fact(None, NOT_YET))
    packages = {
        name: Fact(facts.packages.get(name), None if name in facts.packages else "not installed")
        for name in ("jax", "jaxlib", *PLUGINS)
    }
    driver = Fact(facts.driver.version, facts.driver.error)
    cuda = Fact(facts.driver.cuda, facts.driver.error)
    xla = Fact(facts.started.xla, facts.started.error)
    return versions | packages | {"driver": driver, "driver_cuda": cuda, "xla": xla}
