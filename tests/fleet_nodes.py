"""Made-up node reports for the fleet's tests and its benchmark: healthy, slow, broken.

Rates are what such boards give; no number here was measured by jaxpad.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import report_nodes
from jaxpad.core.results import (
    CheckResult,
    Device,
    EffectiveFlag,
    Fact,
    Rate,
    Report,
    Verdict,
    XlaFlags,
)
from jaxpad.report import to_json
from test_report_samples import CPU, FLAGS, GPU, PASSED_GPU

Change = Callable[[Report], Report]
ECC = "GPU 1 has 3 uncorrected memory errors"
VERSIONS = {
    "python": Fact("3.12.4"),
    "jax": Fact("0.10.2"),
    "jaxlib": Fact("0.10.2"),
    "jax-cuda13-plugin": Fact("0.10.2"),
    "driver": Fact("570.86.15"),
    "driver_cuda": Fact("13.0"),
    "xla": Fact("a1b2c3d"),
}
HOST = {
    "system": Fact("Ubuntu 24.04.2 LTS"),
    "kernel": Fact("6.8.0-55-generic"),
    "machine": Fact("x86_64"),
    "cpus": Fact("192"),
    "memory": Fact("2015.5 GiB"),
    "container": Fact("docker"),
    "image": Fact("jaxpad 0.1.0 on toolbox, CUDA 13, profile base"),
}


def report(name: str, gpus: int = 2, *changes: Change) -> Report:
    """A healthy node, then changed; rates differ by two per cent, as those of boards do."""
    made = report_nodes.Node(gpus=gpus)
    random = Random(name)
    rates = tuple(
        replace(rate, median=round(rate.median * random.gauss(1, 0.008), 4))
        for rate in report_nodes.rates(made)
    )
    healthy = replace(
        PASSED_GPU,
        node=name,
        started=f"2026-05-04T12:{random.randrange(60):02}:{random.randrange(60):02}.000000+00:00",
        seconds=round(random.uniform(600, 700), 2),
        platform=replace(GPU, devices=GPU.devices[:gpus]),
        versions=VERSIONS,
        host=HOST,
        gpus=report_nodes.gpus(made),
        rates=rates,
        judgements=report_nodes.judgements(made, rates),
        checks=(*report_nodes.checks(made), *map(_passed, ("test_ecc", "test_driver"))),
    )
    for change in changes:
        healthy = change(healthy)
    return healthy


def _passed(name: str) -> CheckResult:
    return CheckResult("test_health.py", name, f"{name}?", Verdict.PASS)


def cpu(name: str, *changes: Change) -> Report:
    """A node without a GPU."""
    healthy = replace(report(name), gpus=(), rates=(), judgements=(), platform=CPU)
    for change in changes:
        healthy = change(healthy)
    return healthy


def slow(factor: float, gpu: int = 1) -> Change:
    """One GPU that is slower by `factor` in all it computes, and holds to its gates."""

    def slowed(rate: Rate) -> Rate:
        return replace(rate, median=rate.median * factor) if rate.device == gpu else rate

    def change(given: Report) -> Report:
        judgements = (replace(one, rate=slowed(one.rate)) for one in given.judgements)
        rates = tuple(map(slowed, given.rates))
        return replace(given, rates=rates, judgements=tuple(judgements))

    return change


def answers(verdict: Verdict, reason: str, name: str = "test_ecc", remedy: str = "") -> Change:
    """One more check, which does not pass."""

    def change(given: Report) -> Report:
        check = CheckResult("test_health.py", name, f"{name}?", verdict, reason, remedy)
        others = (one for one in given.checks if one.name != name)
        return replace(given, checks=(*others, check))

    return change


def fails(reason: str = ECC, name: str = "test_ecc", remedy: str = "reset the GPU") -> Change:
    return answers(Verdict.FAIL, reason, name, remedy)


def open_(reason: str = "NVML did not answer", name: str = "test_driver") -> Change:
    return answers(Verdict.INCONCLUSIVE, reason, name, "look at nvidia-smi")


def version(name: str, value: str) -> Change:
    return lambda given: replace(given, versions=given.versions | {name: Fact(value)})


def flag(name: str, value: str) -> Change:
    """One flag more, as a user would append it."""
    more = EffectiveFlag(name, value, "XLA_FLAGS")
    text = f"{FLAGS.text} --{name}={value}"
    return lambda given: replace(given, xla_flags=XlaFlags(text, (*FLAGS.flags, more)))


def fell_back(given: Report) -> Report:
    """JAX on the CPU of a node with GPUs, as a missing plugin leaves it."""
    found = replace(CPU, expected="gpu", devices=(Device(0, "cpu", "cpu"),))
    return replace(given, platform=found, rates=(), judgements=())


def put(root: Path, name: str, content: Report | str | bytes) -> Path:
    """A node's folder with its smoke.json."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "smoke.json"
    if isinstance(content, Report):
        content = json.dumps(to_json(content), indent=1) + "\n"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def healthy(root: Path, names: Iterable[str], gpus: int = 2) -> None:
    for name in names:
        put(root, name, report(name, gpus))
