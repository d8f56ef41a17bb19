"""What lies on an edge: each bound, count and order at the value that decides."""

from __future__ import annotations

import dataclasses
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from fleet_nodes import put
from gate_samples import GEMM, evidence, node, rate, rates, trace
from jaxpad import fleet, gates
from jaxpad.core.reading import Reading, absent
from jaxpad.core.results import Verdict, overall
from jaxpad.flags import in_effect
from jaxpad.flags.in_effect import Expected
from jaxpad.nvml import Ecc, GpuTrace, Pcie, Trace
from jaxpad.smoke import child as smoke_child
from jaxpad.smoke.runner import at_rest
from jaxpad.tune.model import Candidate, End, Measured, Ratio
from jaxpad.tune.page import best_so_far
from test_fleet_hostile import GOOD
from test_gates import unconfirmed
from test_health_machine import H100, first, judged, seen

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def healthy() -> Any:
    return seen(H100).gpus[0]


@pytest.mark.parametrize(("errors", "verdict"), [(0, PASS), (1, FAIL)])
def test_one_uncorrected_error_is_too_many(errors: int, verdict: Verdict) -> None:
    ecc: Ecc = replace(healthy().ecc, uncorrected_volatile=Reading(errors))
    assert judged(first(seen(H100), ecc=ecc))["ecc"].verdict is verdict


@pytest.mark.parametrize(("lanes", "verdict"), [(16, PASS), (15, FAIL), (8, FAIL)])
def test_every_lane_counts_at_work(lanes: int, verdict: Verdict) -> None:
    pcie: Pcie = replace(healthy().pcie, width=Reading(lanes), max_width=Reading(16))
    throttle = replace(healthy().throttle, reasons=Reading(()))
    found = judged(first(seen(H100), pcie=pcie, throttle=throttle))
    assert found["pcie"].verdict is verdict


@pytest.mark.parametrize(("margin", "verdict"), [(1, PASS), (0, FAIL)])
def test_no_margin_left_is_too_hot(margin: int, verdict: Verdict) -> None:
    heat = replace(healthy().temperature, margin_celsius=Reading(margin))
    assert judged(first(seen(H100), temperature=heat))["temperature"].verdict is verdict


def test_a_gpu_that_does_not_answer_is_asked_nothing_else() -> None:
    silent = _silent(healthy())
    whole = seen(H100)
    found = judged(replace(whole, gpus=(silent, *whole.gpus[1:])))
    assert found["answers"].verdict is UNSURE
    assert "ecc" not in found


def _silent(value: Any) -> Any:
    """The same with every reading gone."""
    if isinstance(value, Reading):
        return absent("NVMLError_Timeout: no answer")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: _silent(getattr(value, each.name)) for each in fields(value)}
        return replace(value, **parts)
    if isinstance(value, dict):
        return {name: _silent(each) for name, each in value.items()}
    return tuple(map(_silent, value)) if isinstance(value, tuple) else value


# Gates.


def test_a_peak_is_held_to_the_last_figure() -> None:
    gate = gates.judge([rate()], evidence())[0].gate
    assert gate
    assert gates.judge([rate(gate)], evidence())[0].verdict is PASS
    assert gates.judge([rate(gate * 0.99)], evidence())[0].verdict is not PASS


def test_peers_are_held_to_the_last_figure() -> None:
    least = evidence().bounds["peer_least"].value
    good, bad = least * GEMM * 1.001, least * GEMM * 0.99
    for slow, verdict in ((good, PASS), (bad, FAIL)):
        found = gates.judge(rates([GEMM] * 7 + [slow]), evidence())
        assert found[7].verdict is verdict


def at_times(whole: Trace, times: tuple[float, ...], **columns: tuple[float, ...]) -> Trace:
    """The trace with other times for its samples, and other values in some columns."""

    def change(gpu: GpuTrace) -> GpuTrace:
        kept = {name: (*values, *values)[: len(times)] for name, values in gpu.columns.items()}
        return replace(gpu, time_s=times, columns=kept | columns)

    return replace(whole, gpus=tuple(map(change, whole.gpus)))


@pytest.mark.parametrize(("step_s", "verdict"), [(1.4, PASS), (1.6, UNSURE), (1.9, UNSURE)])
def test_a_run_of_holes_is_not_watched(step_s: float, verdict: Verdict) -> None:
    times = tuple(step_s * tick for tick in range(int(10 / step_s) + 1))
    whole = replace(trace(node()), period_s=0.1)
    assert gates.stayed(at_times(whole, times)).verdict is verdict


def test_the_larger_of_counter_and_samples_counts() -> None:
    """A counter that was read late has seen little of what the samples saw."""
    whole = trace(node(), gpu3={"throttle_bits": 0x40})
    late = replace(whole.gpus[3], slowed_ns={"hw_thermal_slowdown": Reading(1_000_000)})
    seen_late = replace(whole, gpus=(*whole.gpus[:3], late, *whole.gpus[4:]))
    found = gates.slowed(seen_late, evidence().bounds)
    assert (found.verdict, found.reason[:5]) == (FAIL, "GPU 3")


def test_a_power_cap_of_a_third_of_the_time_does_not_excuse_a_low_clock() -> None:
    """Held in most samples, not in some: then the clock is low for another reason."""
    seen_node = node()
    whole = trace(seen_node, gpu0={"sm_mhz": 1200.0})
    capped = tuple(4.0 if tick % 3 == 0 else 0.0 for tick in range(21))
    gpu = replace(whole.gpus[0], columns=whole.gpus[0].columns | {"throttle_bits": capped})
    given = evidence(seen_node, replace(whole, gpus=(gpu, *whole.gpus[1:])))
    found = gates.judge([rate(400.0)], given)[0]
    assert (found.verdict, "SM clock is at 1200 of 1980" in found.why) == (UNSURE, True)


def test_heat_in_a_tenth_of_the_samples_is_the_cause() -> None:
    seen_node = node()
    whole = trace(seen_node)
    hot = tuple(64.0 if tick % 10 == 5 else 0.0 for tick in range(21))
    gpu = replace(whole.gpus[0], columns=whole.gpus[0].columns | {"throttle_bits": hot})
    given = evidence(seen_node, replace(whole, gpus=(gpu, *whole.gpus[1:])))
    found = gates.judge([rate(400.0)], given)[0]
    assert (found.verdict, "thermal slowdown" in found.why) == (FAIL, True)


def test_an_unconfirmed_peak_is_no_ceiling() -> None:
    """A rate above a peak that somebody confirmed cannot be; above another, the peak is wrong."""
    most = gates.judge([rate()], evidence())[0].peak
    assert most
    assert gates.judge([rate(1.2 * most)], evidence())[0].verdict is UNSURE
    given = evidence(unconfirmed(node()))
    assert gates.judge([rate(1.2 * most)], given)[0].verdict is PASS


def test_alone_and_together_are_not_peers() -> None:
    """The rate of a GPU alone says nothing of one that works while all others do."""
    alone, together = rates([GEMM] * 7), rates([0.8 * GEMM] * 8, together=True)
    found = gates.judge([*alone, *together], evidence())
    assert {each.verdict for each in found} == {PASS}


def test_a_short_look_is_no_rest() -> None:
    idle = {f"gpu{at}": {"utilisation_percent": 0.0} for at in range(8)}
    whole = trace(node(), **idle)
    assert at_rest(whole)
    assert not at_rest(at_times(whole, (0.0, 0.5)))


# How a process ended, whose report it is, which measurement counts.


@pytest.mark.parametrize(("code", "verdict"), [(-9, UNSURE), (-15, FAIL), (-11, FAIL)])
def test_only_a_kill_is_somebody_elses(code: int, verdict: Verdict) -> None:
    assert smoke_child._death(smoke_child.Ending(code), 60)[0] is verdict


def test_only_what_was_measured_to_its_end_is_the_best() -> None:
    done = Measured(Candidate(), "a", End.MEASURED, Ratio(1.1, 1.09, 1.11))
    stopped = Measured(Candidate(), "b", End.STOPPED, Ratio(1.5, 1.4, 1.6))
    assert best_so_far([stopped, done, stopped]) == [1.0, 1.1, 1.1]


def test_a_flag_is_outweighed_by_all_of_it() -> None:
    """A later flag sets one of its options; without it the other would be as it is by default."""
    touched = (frozenset({"a", "b"}), frozenset({"a"}))
    whole = {"a": "2", "b": "1"}
    alone = ({"a": "1", "b": "1"}, {"a": "2", "b": "0"})
    none = {"a": "0", "b": "0"}
    partly = Expected(none, whole, alone, ({"a": "2", "b": "0"}, {"a": "1", "b": "1"}))
    wholly = replace(partly, without=(whole, {"a": "1", "b": "1"}))
    assert not in_effect._is_outweighed(0, touched, partly)
    assert in_effect._is_outweighed(0, touched, wholly)
    assert not in_effect._is_outweighed(0, (touched[0], frozenset({"c"})), wholly)


def test_of_two_that_own_one_report_neither_is_kept(tmp_path: Path) -> None:
    """One node's folder under its short and its full name: nobody knows which run it was."""
    for name in ("n0", "n0.cluster"):
        put(tmp_path, name, GOOD)
    aside = {each.folder for each in fleet.merge(tmp_path).set_aside}
    assert aside == {"n0", "n0.cluster"}


# One verdict for many.

ORDER = (FAIL, UNSURE, PASS, Verdict.NOT_APPLICABLE)


@pytest.mark.parametrize("worse", range(4))
def test_order_of_verdicts(worse: int) -> None:
    """Each outranks all behind it, in whatever order they come."""
    for other in ORDER[worse:]:
        assert overall([ORDER[worse], other]) is ORDER[worse]
        assert overall([other, ORDER[worse]]) is ORDER[worse]
