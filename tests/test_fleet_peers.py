"""A report of a part of a node, of another time or of another make is named, never a pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from fleet_nodes import Change, cpu, healthy, put, report
from jaxpad import fleet
from jaxpad.core.results import COUNT, CheckResult, Report, Verdict
from jaxpad.fleet.text import KEEP, steps

OPEN, FAIL = Verdict.INCONCLUSIVE, Verdict.FAIL
NAMES = [f"n{at}" for at in range(6)]


def other_model(given: Report) -> Report:
    gpus = (replace(gpu, name="NVIDIA L4", description="l4") for gpu in given.gpus)
    return replace(given, gpus=tuple(gpus))


def same_bus(given: Report) -> Report:
    return replace(given, gpus=tuple(replace(g, pci_bus_id="0000:0b:00.0") for g in given.gpus))


def dated(year: int) -> Change:
    return lambda given: replace(given, started=f"{year}-05-04T12:00:00+00:00")


def one_check(given: Report) -> Report:
    return replace(given, checks=given.checks[:1])


def by_k(given: Report) -> Report:
    return replace(given, command=("jaxpad", "smoke", "-k", "test_jit"))


@pytest.mark.parametrize(
    ("odd", "gpus", "verdict", "words"),
    [
        (cpu("n9"), None, OPEN, "only the CPU"),
        (cpu("n9"), 2, FAIL, "0 of 2 GPUs"),
        (report("n9", 1), None, OPEN, "1 GPUs where most nodes have 2"),
        (report("n9", 1), 2, FAIL, "1 of 2 GPUs"),
        (report("n9", 2, other_model), None, OPEN, "l4"),
        (report("n9", 2, same_bus), None, FAIL, "bus id"),
        (report("n9", 2, dated(2019)), None, OPEN, "2019-05-04"),
        (report("n9", 2, dated(2099)), None, OPEN, "2099-05-04"),
        (report("n9", 2, one_check), None, OPEN, "only some checks"),
        (report("n9", 2, by_k), None, OPEN, "only some checks"),
    ],
)
def test_named_first(
    odd: Report, gpus: int | None, verdict: Verdict, words: str, tmp_path: Path
) -> None:
    healthy(tmp_path, NAMES)
    put(tmp_path, "n9", odd)
    found = fleet.merge(tmp_path, gpus=gpus)
    assert found.verdict is verdict
    assert [each.name for each in found.nodes if each.verdict is not Verdict.PASS] == ["n9"]
    first = steps(found)[0].text
    assert "n9" in first
    assert words in first


@pytest.mark.parametrize("change", [dated(2019), dated(2099), by_k])
def test_all_nodes_alike(change: Change, tmp_path: Path) -> None:
    for name in NAMES:
        put(tmp_path, name, report(name, 2, change))
    found = fleet.merge(tmp_path)
    assert {each.verdict for each in found.nodes} == {OPEN}
    assert found.to_drain == ()


def test_one_gpu_node_and_one_of_cpus(tmp_path: Path) -> None:
    put(tmp_path, "a", report("a", 1))
    put(tmp_path, "b", cpu("b"))
    assert {n.name: n.verdict for n in fleet.merge(tmp_path).nodes}["b"] is OPEN


def test_empty_folder_has_a_next_step(tmp_path: Path) -> None:
    found = fleet.merge(tmp_path)
    assert found.verdict is OPEN
    assert KEEP not in [step.text for step in steps(found)]
    with Console(quiet=True).capture():
        fleet.summary(found, Console(quiet=True), "slurm")


def fewer(given: Report) -> Report:
    """As a node says itself where `smoke --expect` was given."""
    file, _, name = COUNT.partition("::")
    found = CheckResult(file, name, "Every GPU is there.", FAIL, "7 GPU(s), 8 expected")
    return replace(given, checks=(*given.checks, found))


@pytest.mark.parametrize("names", [["n9"], NAMES])
def test_what_a_node_says_of_its_count_is_first(names: list[str], tmp_path: Path) -> None:
    healthy(tmp_path, NAMES)
    for name in names:
        put(tmp_path, name, report(name, 2, fewer))
    found = fleet.merge(tmp_path)
    assert found.verdict is FAIL
    first, *others = steps(found)
    assert "7 GPU(s), 8 expected" in first.text
    assert not any("test_count" in step.text for step in others if "alike" in step.text)
