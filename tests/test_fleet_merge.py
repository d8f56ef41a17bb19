"""One verdict for many nodes: whom to drain, what most share, who differs, who is missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fleet_nodes import (
    ECC,
    cpu,
    fails,
    fell_back,
    flag,
    healthy,
    open_,
    put,
    report,
    slow,
    version,
)
from jaxpad import fleet
from jaxpad.core import bounds
from jaxpad.core.results import Measurement, UsageError, Verdict
from jaxpad.fleet import Fleet, Node
from jaxpad.fleet.model import PEERS

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
N5 = [f"n{at}" for at in range(5)]


def node(found: Fleet, name: str) -> Node:
    return next(each for each in found.nodes if each.name == name)


def test_healthy(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    found = fleet.merge(tmp_path, expected=N5)
    assert found.verdict is PASS
    assert found.verdict.exit_code == 0
    assert [each.name for each in found.nodes] == N5
    told = (found.problems, found.outliers, found.drift, found.set_aside, found.to_drain)
    assert told == ((), (), (), (), ())


def test_one_broken_node_is_drained(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    put(tmp_path, "n3", report("n3", 2, fails()))
    found = fleet.merge(tmp_path)
    assert found.verdict is FAIL
    (drained,) = found.to_drain
    assert (drained.name, drained.drain) == ("n3", f"test_health.py::test_ecc: {ECC}")
    assert drained.remedies == ("reset the GPU",)


def test_several_failures_are_one_reason(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    more = [fails(f"reason {letter}", f"test_{letter}") for letter in "ab"]
    put(tmp_path, "n3", report("n3", 2, fails(), *more))
    (drained,) = fleet.merge(tmp_path).to_drain
    assert drained.drain == f"test_health.py::test_ecc: {ECC} (and 2 other checks)"
    assert len(drained.reasons) == 3


@pytest.mark.parametrize(("broken", "shared"), [(1, 0), (2, 0), (3, 1), (5, 1)])
def test_what_most_nodes_share_drains_nobody(broken: int, shared: int, tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    for name in N5[:broken]:
        put(tmp_path, name, report(name, 2, fails("flag xla_gpu_x is not known", "test_flags")))
    found = fleet.merge(tmp_path)
    assert found.verdict is FAIL
    assert len(found.shared) == shared
    assert len(found.to_drain) == (0 if shared else broken)


def test_shared_is_more_than_half(tmp_path: Path) -> None:
    """Two of five fail: their own, though the same. Three of five: the fleet's."""
    healthy(tmp_path, N5)
    for name in N5[:2]:
        put(tmp_path, name, report(name, 2, fails()))
    found = fleet.merge(tmp_path)
    assert [each.name for each in found.to_drain] == ["n0", "n1"]
    (problem,) = found.problems
    assert (problem.nodes, problem.among, problem.shared) == (("n0", "n1"), 5, False)
    put(tmp_path, "n2", report("n2", 2, fails()))
    found = fleet.merge(tmp_path)
    assert found.to_drain == ()
    assert found.shared[0].nodes == ("n0", "n1", "n2")
    assert node(found, "n0").verdict is FAIL
    assert "so do most nodes" in node(found, "n0").reasons[0]


def test_check_that_applies_only_where_it_fails(tmp_path: Path) -> None:
    """Two broken GPUs of many nodes are not what most share, whoever else was asked."""
    healthy(tmp_path, N5)
    for name in N5[:2]:
        put(tmp_path, name, report(name, 2, fails("Xid 79: GPU 1 fell off the bus", "test_xid")))
    assert len(fleet.merge(tmp_path).to_drain) == 2


def test_dead_drivers_are_of_no_kind_of_their_own(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    for name in N5[:2]:
        dead = report(name, 2, fails("NVML: Driver Not Loaded", "test_driver"), fell_back)
        put(tmp_path, name, replace(dead, gpus=()))
    assert len(fleet.merge(tmp_path).to_drain) == 2


def test_kind_that_shares_a_failure_in_a_mixed_fleet(tmp_path: Path) -> None:
    """All L4 of a fleet with more H100 fail alike: it is theirs, and drains none of them."""
    healthy(tmp_path, N5)
    for name in ("n7", "n8"):
        given = report(name, 2, fails("flag xla_gpu_x is not known", "test_flags"))
        gpus = tuple(replace(gpu, name="NVIDIA L4", description="l4") for gpu in given.gpus)
        put(tmp_path, name, replace(given, gpus=gpus))
    found = fleet.merge(tmp_path)
    assert found.to_drain == ()
    own = [each for each in found.problems if each.check != PEERS]
    assert [(each.among, each.shared) for each in own] == [(2, True)]


def test_shared_failure_and_an_own_one(tmp_path: Path) -> None:
    missing = fails("jax-cuda13-plugin is not installed", "test_plugin")
    for name in N5:
        put(tmp_path, name, report(name, 2, missing, fell_back))
    put(tmp_path, "n4", report("n4", 2, missing, fails()))
    found = fleet.merge(tmp_path)
    assert [each.name for each in found.to_drain] == ["n4"]
    assert found.to_drain[0].drain == f"test_health.py::test_ecc: {ECC}"
    assert [problem.shared for problem in found.problems] == [True, False]


def test_one_node_alone_shares_nothing(tmp_path: Path) -> None:
    put(tmp_path, "n0", report("n0", 2, fails()))
    found = fleet.merge(tmp_path)
    assert [each.name for each in found.to_drain] == ["n0"]


@pytest.mark.parametrize(
    "reason",
    [
        "GPU {at} has {at}3 uncorrected errors",
        "n{at}: 0000:{at}b:00.0 took {at}.25 s",
        "GPU-{at}a2b<redacted> is not there",
        "pointer 0x{at}fe on n{at}.example.org",
    ],
)
def test_numbers_do_not_tell_reasons_apart(reason: str, tmp_path: Path) -> None:
    for at, name in enumerate(N5):
        put(tmp_path, name, report(name, 2, fails(reason.format(at=at))))
    (problem,) = fleet.merge(tmp_path).problems
    assert len(problem.nodes) == 5
    assert problem.shared


def test_words_do_tell_reasons_apart(tmp_path: Path) -> None:
    for name, word in zip(N5, ("rows", "ecc", "fan", "nvlink", "power"), strict=True):
        put(tmp_path, name, report(name, 2, fails(f"{word} is broken")))
    found = fleet.merge(tmp_path)
    assert len(found.to_drain) == len(found.problems) == 5


def test_inconclusive_never_drains(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    put(tmp_path, "n1", report("n1", 2, open_()))
    found = fleet.merge(tmp_path)
    assert (found.verdict, found.to_drain) == (OPEN, ())
    assert node(found, "n1").reasons == ("test_health.py::test_driver: NVML did not answer",)


def test_fail_outranks_missing(tmp_path: Path) -> None:
    put(tmp_path, "n0", report("n0", 2, fails()))
    found = fleet.merge(tmp_path, expected=("n0", "n1"))
    assert found.verdict is FAIL


def test_missing_is_inconclusive(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    (tmp_path / "n9").mkdir()
    found = fleet.merge(tmp_path, expected=(*N5, "n10"))
    assert found.verdict is OPEN
    assert found.verdict.exit_code == 3
    missing = {each.name: each.reasons for each in found.nodes if each.state == "missing"}
    assert missing == {
        "n9": ("its folder holds no smoke.json",),
        "n10": ("no report of it came",),
    }
    assert [each.name for each in found.nodes][-2:] == ["n9", "n10"]


def test_not_tested_has_its_reason(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    found = fleet.merge(tmp_path, expected=N5, not_tested={"n7": "busy\x1b[31m with\njob 12"})
    absent = node(found, "n7")
    assert (absent.state, absent.verdict) == ("not tested", OPEN)
    assert absent.reasons == ("not tested: busy with job 12",)
    assert found.verdict is OPEN


@pytest.mark.parametrize(("change", "verdict"), [(fails(), FAIL), (open_(), OPEN)])
def test_not_tested_in_full_keeps_what_is_known(
    change: object, verdict: Verdict, tmp_path: Path
) -> None:
    put(tmp_path, "n0", report("n0", 2, change))  # type: ignore[arg-type]
    found = fleet.merge(tmp_path, not_tested={"n0": "time limit"})
    (one,) = found.nodes
    assert (one.verdict, one.reasons[0]) == (verdict, "not tested: time limit")
    assert bool(one.drain) is (verdict is FAIL)


def test_no_report_at_all(tmp_path: Path) -> None:
    found = fleet.merge(tmp_path)
    assert (found.verdict, found.nodes) == (OPEN, ())


def test_no_check_was_run(tmp_path: Path) -> None:
    put(tmp_path, "n0", replace(report("n0"), checks=()))
    (one,) = fleet.merge(tmp_path).nodes
    assert (one.verdict, one.reasons) == (OPEN, ("no check was run",))


def test_unexpected_node_is_told(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    found = fleet.merge(tmp_path, expected=N5[:4])
    assert (found.unexpected, found.verdict) == (("n4",), PASS)


@pytest.mark.parametrize("name", ["", "..", "n0/..", "n 0", "$(reboot)", "-n0", "n0\n"])
def test_expected_name_that_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no node's name: give a host name of letters"):
        fleet.merge(tmp_path, expected=(name,))
    with pytest.raises(UsageError, match="is no node's name"):
        fleet.merge(tmp_path, not_tested={name: "busy"})


def test_slow_gpu_is_found(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    put(tmp_path, "n2", report("n2", 2, slow(0.85)))
    found = fleet.merge(tmp_path)
    places = {(each.node, each.place, each.slow) for each in found.outliers}
    assert places == {("n2", "GPU 1", True)}
    one = node(found, "n2")
    assert (one.verdict, one.drain) == (OPEN, "")
    assert one.reasons[0].startswith("GPU 1 is slower than its peers in 24 numbers, most in ")
    assert "% below the median" in one.reasons[0]
    assert found.verdict is OPEN


def test_slow_node_of_four(tmp_path: Path) -> None:
    healthy(tmp_path, N5[:3], 1)
    put(tmp_path, "n3", report("n3", 1, slow(0.7, gpu=0)))
    assert {each.node for each in fleet.merge(tmp_path).outliers} == {"n3"}


def test_fast_gpu_is_told_only(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    put(tmp_path, "n2", report("n2", 2, slow(1.2)))
    found = fleet.merge(tmp_path)
    assert {(each.node, each.slow) for each in found.outliers} == {("n2", False)}
    assert found.verdict is PASS


def test_small_difference_blames_nobody(tmp_path: Path) -> None:
    """All the others are the same to the last digit: the MAD is 0, and 5 % are 5 %."""
    for name in N5:
        put(tmp_path, name, replace(report("n0", 1), node=name, seconds=float(name[1:])))
    put(tmp_path, "n9", replace(report("n0", 1, slow(0.95, gpu=0)), node="n9"))
    assert fleet.merge(tmp_path).outliers == ()
    put(tmp_path, "n9", replace(report("n0", 1, slow(0.85, gpu=0)), node="n9"))
    outliers = fleet.merge(tmp_path).outliers
    assert {each.node for each in outliers} == {"n9"}
    assert {each.deviations for each in outliers} == {None}


def test_two_others_are_too_few(tmp_path: Path) -> None:
    healthy(tmp_path, N5[:2], 1)
    put(tmp_path, "n2", report("n2", 1, slow(0.5, gpu=0)))
    found = fleet.merge(tmp_path)
    assert (found.outliers, found.distributions) == ((), ())


def test_half_of_the_fleet_slow_blames_nobody(tmp_path: Path) -> None:
    healthy(tmp_path, N5[:2], 2)
    for name in ("n2", "n3"):
        put(tmp_path, name, report(name, 2, slow(0.7, 0), slow(0.7, 1)))
    assert fleet.merge(tmp_path).outliers == ()


def test_other_model_is_no_peer(tmp_path: Path) -> None:
    """An L4 is slower than H100s, and no outlier among them."""
    healthy(tmp_path, N5)
    given = report("n9", 2, slow(0.1, 0), slow(0.1, 1))
    gpus = tuple(replace(gpu, name="NVIDIA L4", description="l4") for gpu in given.gpus)
    put(tmp_path, "n9", replace(given, gpus=gpus))
    found = fleet.merge(tmp_path)
    assert not [each for each in found.outliers if each.place]
    assert [each.name for each in found.drift] == ["GPUs"]


def test_undescribed_gpu_goes_by_its_name(tmp_path: Path) -> None:
    for name in N5:
        given = report(name, 2, *([slow(0.5)] if name == "n1" else []))
        put(
            tmp_path,
            name,
            replace(given, gpus=tuple(replace(g, description=None) for g in given.gpus)),
        )
    assert {each.model for each in fleet.merge(tmp_path).outliers} == {"NVIDIA H100 80GB HBM3"}


def test_measured_temperature_is_told_only(tmp_path: Path) -> None:
    for name in N5:
        given = report(name, 2)
        heat = Measurement("temperature of GPU 1", 90 if name == "n3" else 41 + int(name[1]), "°C")
        checks = (replace(given.checks[0], measurements=(heat,)), *given.checks[1:])
        put(tmp_path, name, replace(given, checks=checks))
    found = fleet.merge(tmp_path)
    (one,) = found.outliers
    assert (one.node, one.place, one.what, one.slow) == ("n3", "GPU 1", "temperature", False)
    assert found.verdict is PASS


def test_huge_numbers_have_a_median(tmp_path: Path) -> None:
    for name in N5:
        given = report(name, 1)
        number = Measurement("odd", 1.7e308 if name != "n3" else -1.7e308)
        checks = (replace(given.checks[0], measurements=(number,)), *given.checks[1:])
        put(tmp_path, name, replace(given, checks=checks))
    found = fleet.merge(tmp_path)
    assert found.verdict is PASS
    assert [each.median for each in found.distributions if each.what == "odd"] == [1.7e308]


def test_cpu_nodes(tmp_path: Path) -> None:
    for name in N5:
        put(tmp_path, name, cpu(name))
    assert fleet.merge(tmp_path).verdict is OPEN  # only a number says that it is meant
    assert fleet.merge(tmp_path, gpus=0).verdict is PASS


def test_bounds_can_be_changed(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    put(tmp_path, "n2", report("n2", 2, slow(0.85)))
    file = tmp_path / "mine.toml"
    file.write_text("outlier_distance_least = 0.5\n")
    found = fleet.merge(tmp_path, bounds=bounds.load(file))
    assert found.outliers == ()
    assert any("mine.toml, instead of 0.1" in rule for rule in found.rules)


def test_drift(tmp_path: Path) -> None:
    healthy(tmp_path, N5)
    put(tmp_path, "n1", report("n1", 2, version("driver", "570.124.06")))
    put(tmp_path, "n3", report("n3", 2, flag("xla_gpu_graph_level", "0")))
    put(tmp_path, "n4", replace(report("n4"), profile=None, environment={"NCCL_DEBUG": "INFO"}))
    found = fleet.merge(tmp_path)
    told = {each.name: (each.majority, each.count, each.others) for each in found.drift}
    assert told["driver"] == ("570.86.15", 4, (fleet.Difference("570.124.06", ("n1",)),))
    assert told["flag xla_gpu_graph_level"][0] == "not set"
    assert told["flag xla_gpu_graph_level"][2] == (fleet.Difference("0", ("n3",)),)
    assert told["profile"][0] == "base"
    assert told["variable NCCL_DEBUG"][2] == (fleet.Difference("INFO", ("n4",)),)
    assert found.verdict is PASS


def test_no_majority_is_told_as_it_is(tmp_path: Path) -> None:
    for at, name in enumerate(N5):
        put(tmp_path, name, report(name, 1, version("jax", f"0.{at // 2}")))
    (drift,) = fleet.merge(tmp_path).drift
    assert (drift.count, len(drift.others)) == (2, 2)


def test_setting_of_each_node_its_own_is_no_drift(tmp_path: Path) -> None:
    for at in range(60):
        name = f"n{at}"
        put(tmp_path, name, replace(report(name, 1), environment={"JAX_CACHE": f"/tmp/{name}"}))
    assert fleet.merge(tmp_path).drift == ()
