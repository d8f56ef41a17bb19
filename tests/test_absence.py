"""Absence is not evidence: no judge of a collection passes for having seen nothing."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from gate_samples import evidence, node, trace
from jaxpad import fleet, gates, multi
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict, lack
from jaxpad.gates import judging, watched
from jaxpad.machine.facts import Survey
from jaxpad.multi import network
from jaxpad.multi.record import End, Pair, Rate, Record
from jaxpad.nvml import Gap, Port, Snapshot, Trace

OPEN = Verdict.INCONCLUSIVE
EMPTY = Trace(0.5, 0.0, 0.0, None, (), ())
UNREAD: Reading[Any] = Reading(None, "NVMLError_Timeout: x")


def unseen() -> Survey:
    """A node of which nothing was seen."""
    seen = node()
    return replace(seen, snapshot=replace(seen.snapshot, gpus=()), cuda=Reading(()))


def nothing() -> dict[str, Callable[[], Any]]:
    """Each judge with nothing at all; a judge that is missing here fails the walk."""
    seen, limits = unseen(), bounds.load()
    return {
        "stayed": lambda: gates.stayed(EMPTY),
        "slowed": lambda: gates.slowed(EMPTY, limits),
        "clocked": lambda: gates.clocked(evidence(seen)),
        "counters": lambda: gates.counters(seen.snapshot, seen.snapshot, 80),
        "all_ours": lambda: gates.all_ours(seen, 0),
        "all_used": lambda: gates.all_used(seen, ()),
        "of_judgements": lambda: gates.of_judgements(()),
        "of_findings": lambda: gates.of_findings(()),
        "transport": lambda: network.transport(network.Transport(), (), 2),
        "bandwidth": lambda: network.bandwidth(None, (), 0, 2, limits["network_least"]),
    }


def judges(module: ModuleType) -> set[str]:
    """The public functions of a module that answer with a verdict."""
    found = inspect.getmembers(module, inspect.isfunction)
    return {
        name
        for name, one in found
        if not name.startswith("_")
        and one.__module__ == module.__name__
        and one.__annotations__.get("return") == "Answer"
    }


def test_every_judge_with_nothing() -> None:
    table = nothing()
    assert set(table) == set.union(*map(judges, (judging, watched, network)))
    for name, judge in table.items():
        found = judge()
        verdict = found[0] if isinstance(found, tuple) else found.verdict
        assert verdict in (OPEN, Verdict.NOT_APPLICABLE), name
        assert found[1] if isinstance(found, tuple) else found.reason, name


def test_fleet_of_nothing(tmp_path: Path) -> None:
    assert fleet.merge(tmp_path).verdict is OPEN


def test_multi_of_nothing(tmp_path: Path) -> None:
    silent = Record(0, 1, "n0", 1, "slurm", 0.0, end=End("finished", "", 1.0))
    for seen in ((), tmp_path, (silent,)):
        assert multi.merge(seen).verdict is OPEN
    assert multi.merge((silent,), multi.Expected(processes=2)).verdict is OPEN


def test_multi_of_what_is_no_number() -> None:
    """It is nobody's peer, and no pass."""
    nan, limits = math.nan, bounds.load()
    pairs = [Pair(("a", "b"), 1, 40.0), Pair(("a", "c"), 1, 40.0), Pair(("b", "c"), 1, nan)]
    assert network.slow(pairs, 0.7).pairs == (pairs[2],)
    assert network.slow([replace(one, gb_per_s=nan) for one in pairs], 0.7).pairs
    known: Reading[Any] = Reading("ACTIVE")
    port = Port("mlx5_0", 1, known, known, Reading(400.0), Reading("InfiniBand"))
    for rate in (None, Rate("all_reduce", 1 << 30, nan, 20)):
        assert network.bandwidth(rate, [port], 8, 2, limits["network_least"])[0] is OPEN


def test_lack() -> None:
    assert lack("GPU", ()) == "no GPU was seen"
    assert lack("GPU", (1,), 2) == "only 1 of 2: GPU"
    assert lack("GPU", (1,)) == ""


def changed(at: int, **changes: Any) -> Trace:
    whole = trace(node())
    gpus = list(whole.gpus)
    gpus[at] = replace(gpus[at], **changes)
    return replace(whole, gpus=tuple(gpus))


FULL = trace(node())
UNTOLD = {"throttle_bits": (None,) * 21}


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(FULL, gpus=()), "no GPU"),
        (replace(FULL, error="stuck: an NVML call"), "stuck"),
        (changed(3, time_s=(), columns=dict.fromkeys(FULL.gpus[0].columns, ())), "of GPU 3"),
        (replace(FULL, stop_s=61.0), "was not sampled"),
        (replace(FULL, stop_s=61.0, gaps=(Gap(1.0, 61.0, "no turn"),)), "was not sampled"),
    ],
)
def test_unwatched(seen: Trace, words: str) -> None:
    for found in (gates.stayed(seen), gates.slowed(seen, bounds.load())):
        assert found.verdict is OPEN
        assert words in found.reason
        assert found.remedy


def test_slowed_by_nothing_known() -> None:
    seen = changed(2, columns={**FULL.gpus[2].columns, **UNTOLD}, slowed_ns={})
    assert gates.slowed(seen, bounds.load()).verdict is OPEN
    assert gates.stayed(seen).verdict is Verdict.PASS


def test_clocked_without_a_clock() -> None:
    gpu = node().snapshot.gpus[0]
    dark = replace(gpu, clocks=replace(gpu.clocks, sm_mhz=UNREAD))
    assert gates.clocked(evidence(loaded={0: dark})).verdict is OPEN


def test_a_set_clock_that_was_seen_counts_without_the_others() -> None:
    """What is absent of one reading does not hide a fault that another tells."""
    gpu = node().snapshot.gpus[0]
    held = replace(gpu.throttle, reasons=Reading(("applications_clocks_setting",)))
    dark = replace(gpu, throttle=held, clocks=replace(gpu.clocks, sm_mhz=UNREAD))
    assert "clocks are set" in gates.clocked(evidence(loaded={0: dark})).reason


def second(change: str) -> Snapshot:
    """A second look that saw less than the first."""
    seen = node().snapshot
    head, *rest = seen.gpus
    blind = replace(head, ecc=replace(head.ecc, uncorrected_volatile=UNREAD))
    return {
        "none": replace(seen, gpus=()),
        "one fewer": replace(seen, gpus=tuple(rest)),
        "unreadable": replace(seen, gpus=(blind, *rest)),
        "log": replace(seen, kernel=replace(seen.kernel, xids=UNREAD)),
    }[change]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("none", "no GPU"),
        ("one fewer", "GPU 0 is not listed"),
        ("unreadable", "GPU 0 does not tell its uncorrected ECC errors"),
        ("log", "kernel's log"),
    ],
)
def test_second_look_sees_less(change: str, words: str) -> None:
    found = gates.counters(node().snapshot, second(change), 80)
    assert found.verdict is OPEN
    assert words in found.reason
