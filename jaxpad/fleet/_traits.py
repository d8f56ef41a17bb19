"""What should be the same on all nodes: versions, image, profile, flags, settings."""

from __future__ import annotations

from collections.abc import Iterator

from jaxpad.fleet._names import brief
from jaxpad.fleet._series import fitted
from jaxpad.results import Fact, Report

Trait = tuple[str, str]
NOT_SET = "not set"
UNKNOWN = "not known"
_HOST = ("system", "kernel", "machine", "cpus", "container", "image")
# XLA_FLAGS is told flag by flag; the others name GPUs or places of the one node.
_OWN = ("XLA_FLAGS", "CUDA_VISIBLE_DEVICES", "JAX_CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


def traits(report: Report) -> tuple[Trait, ...]:
    """Name and value of each, in the order they are told."""
    return tuple((brief(name, 80), brief(value, 200)) for name, value in _told(report))


def _told(report: Report) -> Iterator[Trait]:
    yield "jaxpad", report.jaxpad
    yield "GPUs", fitted(report)
    for name, fact in report.versions.items():
        yield name, _value(fact)
    for name in _HOST:
        if name in report.host:
            yield name, _value(report.host[name])
    yield "profile", report.profile or "none"
    for flag in report.xla_flags.flags:
        yield f"flag {flag.name}", flag.value
    yield "flags that XLA drops", report.xla_flags.dropped or "none"
    for name, value in report.environment.items():
        if name not in _OWN:
            yield f"variable {name}", value


def _value(fact: Fact) -> str:
    return (
        fact.value if fact.value is not None else f"{UNKNOWN}: {fact.reason or 'no reason given'}"
    )
