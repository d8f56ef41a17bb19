"""Rates held to their peaks and their peers, and a shortfall explained before it is blamed."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import gate_samples as sample
from gate_samples import COPY, GEMM, evidence, node, rate, rates, trace
from jaxpad import gates
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import Judgement, Rate, Verdict
from jaxpad.gates import Evidence
from jaxpad.gpus import Figure
from jaxpad.machine.facts import Survey
from jaxpad.nvml import GpuState, Lost, Pcie

PASS, FAIL, UNSURE, NONE = (
    Verdict.PASS,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_APPLICABLE,
)
SLOW = 400.0  # below half of an H100's bf16 peak


def one(found: Rate, given: Evidence | None = None) -> Judgement:
    return gates.judge([found], given or evidence())[0]


def changed(part: str, **fields: Any) -> sample.Change:
    """A change of one part of a GPU's state."""
    return lambda gpu: replace(gpu, **{part: replace(getattr(gpu, part), **fields)})


def test_good_rate_passes() -> None:
    found = one(rate())
    assert (found.verdict, found.gpu) == (PASS, 0)
    assert (found.peak, found.gate) == (989.0, 494.5)
    assert "ml-engineering" in found.source


def test_ordinal_is_not_index() -> None:
    """CUDA counts the double's GPUs backwards: the blame goes by UUID."""
    seen = node()
    backwards = tuple(
        replace(device, ordinal=7 - device.ordinal) for device in seen.cuda.value or ()
    )
    found = one(rate(SLOW, ordinal=1), evidence(replace(seen, cuda=Reading(backwards))))
    assert (found.gpu, found.verdict) == (6, FAIL)


@pytest.mark.parametrize(
    ("program", "variant", "good", "unit", "peak"),
    [
        ("gemm", "fp8", 1400.0, "TFLOP/s", 1979.0),
        ("gemm", "fp32", 45.0, "TFLOP/s", 67.0),
        ("copy", "fp32", COPY, "GB/s", 3350.0),
        ("triad", "fp32", COPY, "GB/s", 3350.0),
        ("host_to_device", "", 50.0, "GB/s", 63.008),
        ("train", "bf16", 300.0, "TFLOP/s", 989.0),
    ],
)
def test_peak_of_program(program: str, variant: str, good: float, unit: str, peak: float) -> None:
    found = one(rate(good, program=program, variant=variant, unit=unit))
    assert (found.verdict, found.peak) == (PASS, peak)
    if found.gate:
        short = one(rate(0.4 * good, program=program, variant=variant, unit=unit))
        assert (short.verdict, short.gate) == (FAIL, found.gate)


def test_dtype_without_unit() -> None:
    found = one(rate(30.0), evidence(node("old-driver")))
    assert found.verdict is NONE
    assert "no unit of its own for bf16" in found.why


def test_collective_is_judged_by_its_largest() -> None:
    sizes = {"1 MiB": 40.0, "64 MiB": 300.0, "1 GiB": 360.0}
    same: dict[str, Any] = {
        "program": "all_reduce",
        "unit": "GB/s",
        "device": None,
        "ordinal": None,
    }
    found = gates.judge([rate(at, variant=size, **same) for size, at in sizes.items()], evidence())
    assert [each.verdict for each in found] == [NONE, NONE, PASS]
    assert (found[2].peak, found[2].gate) == (450.0, 225.0)
    swapped = {"1 GiB": 90.0, "64 MiB": 300.0}  # a smaller message does not excuse the largest
    found = gates.judge([rate(v, variant=size, **same) for size, v in swapped.items()], evidence())
    assert [each.verdict for each in found] == [FAIL, NONE]
    slow = gates.judge([rate(90.0, variant="1 GiB", **same)], evidence())
    assert slow[0].verdict is FAIL


def test_no_nvlink_no_gate() -> None:
    same: dict[str, Any] = {
        "program": "all_reduce",
        "unit": "GB/s",
        "device": None,
        "ordinal": None,
    }
    assert one(rate(5.0, **same), evidence(node("l4"))).verdict is NONE


@pytest.mark.parametrize("median", [0.0, -1.0, math.nan, math.inf])
def test_garbage_rate(median: float) -> None:
    assert one(rate(median)).verdict is UNSURE


@pytest.mark.parametrize("odd", [math.nan, math.inf, 0.0])
def test_garbage_is_nobodys_peer(odd: float) -> None:
    """The one that is no number is named; the healthy beside it do not fail for it."""
    found = gates.judge(rates([GEMM, GEMM, odd, GEMM]), evidence())
    assert [each.verdict for each in found] == [PASS, PASS, UNSURE, PASS]


def test_faster_than_its_peak() -> None:
    found = one(rate(2000.0))
    assert found.verdict is UNSURE
    assert "physically implausible" in found.why


def test_cpu_is_held_to_nothing() -> None:
    found = one(rate(0.05, platform="cpu", ordinal=None))
    assert (found.verdict, found.gpu, found.gate) == (NONE, None, None)


def test_device_that_nvml_does_not_list() -> None:
    found = one(rate(ordinal=9))
    assert found.verdict is UNSURE
    assert "has no 9" in found.why


# Reasons for a shortfall --------------------------------------------------------------------


def held(index: int = 0, **columns: float) -> Evidence:
    """A node whose GPU of that index had these readings while the program ran."""
    seen = node()
    return evidence(seen, trace(seen, **{f"gpu{index}": dict(columns)}))


def lost() -> Evidence:
    seen = node()
    whole = trace(seen)
    first = replace(whole.gpus[0], lost=Lost(3.0, "NVMLError_GpuIsLost: GPU is lost"))
    return evidence(seen, replace(whole, gpus=(first, *whole.gpus[1:])))


def capped(gpu: GpuState) -> GpuState:
    return changed("power", enforced_limit_watts=Reading(400.0))(gpu)


@pytest.mark.parametrize(
    ("given", "verdict", "why"),
    [
        (lost(), FAIL, "lost in mid-run"),
        (held(throttle_bits=0x40), FAIL, "hardware thermal slowdown"),
        (held(throttle_bits=0x80), FAIL, "power brake"),
        (held(throttle_bits=0x20), FAIL, "software thermal slowdown"),
        (evidence(node(gpu0=capped)), UNSURE, "capped at 400 of 700 W"),
        (held(sm_mhz=1200.0), UNSURE, "SM clock is at 1200 of 1980"),
        (held(memory_mhz=1593.0), UNSURE, "memory clock is at 1593 of 2619"),
        (evidence(node("healthy-h100-sxm")), UNSURE, "another process computes on it"),
        (held(sm_mhz=1000.0, throttle_bits=0x4), PASS, "its power limit keeps it at 1000"),
        (held(sm_mhz=1900.0, throttle_bits=0x4), FAIL, "nothing that NVML tells"),
        (evidence(), FAIL, "nothing that NVML tells"),
    ],
)
def test_shortfall_is_explained(given: Evidence, verdict: Verdict, why: str) -> None:
    found = one(rate(SLOW), given)
    assert found.verdict is verdict, found
    assert why in found.why
    assert bool(found.remedy) is (verdict is not PASS)


def test_a_swinging_rate_fails_no_gpu() -> None:
    """What is short by less than its batches are apart may have been held up; a GPU is not told."""
    swings = one(rate(SLOW, spread=GEMM), evidence())
    assert swings.verdict is UNSURE
    assert f"its batches differ by {GEMM:.3g} TFLOP/s, more than it falls short by" in swings.why
    assert "nothing else uses the CPU" in swings.remedy
    for spread in (0.01 * SLOW, math.nan):  # and what is no number excuses nothing
        assert one(rate(SLOW, spread=spread), evidence()).verdict is FAIL


def test_narrow_link_is_to_blame() -> None:
    def narrow(gpu: GpuState) -> GpuState:
        return replace(gpu, pcie=replace(gpu.pcie, width=Reading(4)))

    seen = node()
    given = evidence(seen, loaded={0: narrow(seen.snapshot.gpus[0])})
    slow = rate(12.0, program="host_to_device", variant="", unit="GB/s")
    found = one(slow, given)
    assert (found.verdict, found.why) == (FAIL, "its PCIe link has x4 of x16 lanes")
    assert "reseat" in found.remedy
    assert one(replace(slow, together=True), given).verdict is NONE


def test_strict_fails_what_was_set() -> None:
    given = evidence(node(gpu0=capped))
    assert one(rate(SLOW), replace(given, strict=True)).verdict is FAIL
    assert one(rate(), replace(given, strict=True)).verdict is PASS


def test_threshold_is_told(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("gemm_least = 0.3\n")
    found = one(rate(SLOW), replace(evidence(), bounds=bounds.load(file)))
    assert found.verdict is PASS
    assert "own.toml, instead of 0.5" in found.source


# GPUs that are sliced, not described, or described without a source ------------------------------


def test_slice_is_held_to_its_share() -> None:
    seen = node("a100-mig")
    first = (seen.snapshot.gpus[0].mig.devices.value or ())[0]
    share = (first.sm_count.value or 0) / 108
    found = one(rate(0.8 * 312 * share), evidence(seen))
    assert found.verdict is PASS
    assert found.peak == pytest.approx(312 * share)
    assert "slice" in found.why
    assert one(rate(0.3 * 312 * share), evidence(seen)).verdict is FAIL


def nameless(gpu: GpuState) -> GpuState:
    return changed("identity", pci_device_id=Reading("0xFFFF10DE"), name=Reading("H9000"))(gpu)


def test_unknown_gpu() -> None:
    given = evidence(node(gpu0=nameless))
    assert one(rate(), given).verdict is UNSURE
    copied = rate(COPY, program="copy", variant="fp32", unit="GB/s")
    found = one(copied, given)
    assert found.verdict is PASS
    assert found.peak == pytest.approx(3352.32)  # 2619 MHz x 2 x 5120 bits
    assert "derived" in found.source
    assert one(replace(copied, median=900.0), given).verdict is UNSURE


def unconfirmed(seen: Survey) -> Survey:
    """The same node, its model's bf16 peak without a source."""
    model = seen.described[0]
    assert model is not None
    peaks = {**model.peak, "bf16": Figure(989.0, None)}
    seen.__dict__["described"] = (replace(model, peak=peaks), *seen.described[1:])
    return seen


def test_unconfirmed_peak_fails_nobody() -> None:
    given = evidence(unconfirmed(node()))
    assert one(rate(), given).verdict is PASS
    found = one(rate(SLOW), given)
    assert (found.verdict, found.why) == (UNSURE, "its peak is unconfirmed")
    assert one(rate(SLOW), replace(given, strict=True)).verdict is FAIL


# Peers -------------------------------------------------------------------------------------


def test_one_slow_of_eight() -> None:
    """Above its own gate, and too slow for the others."""
    medians = [GEMM, GEMM + 3, GEMM - 4, 0.85 * GEMM, GEMM + 1, GEMM, GEMM - 2, GEMM]
    found = gates.judge(rates(medians), evidence())
    assert [each.verdict for each in found] == [PASS] * 3 + [FAIL] + [PASS] * 4
    assert "85 % of its peers' median" in found[3].why
    answer = gates.of_judgements(found)
    assert (answer.verdict, answer.verdict.exit_code) == (FAIL, 1)
    assert answer.reason.startswith("GPU 3 gemm bf16")


def test_power_limit_that_all_have_excuses_nobody() -> None:
    given = held(3, sm_mhz=1300.0, throttle_bits=0x4)
    found = gates.judge(rates([GEMM] * 3 + [0.8 * GEMM] + [GEMM] * 4), given)
    assert found[3].verdict is FAIL


def test_of_two_that_differ() -> None:
    found = gates.judge(rates([GEMM, 0.8 * GEMM]), evidence())
    assert [each.verdict for each in found] == [PASS, UNSURE]


def test_peers_are_of_one_program_and_way() -> None:
    alone, together = rates([GEMM] * 8), rates([0.8 * GEMM] * 8, together=True)
    assert {each.verdict for each in gates.judge([*alone, *together], evidence())} == {PASS}


def test_program_without_peak_is_held_to_peers() -> None:
    same: dict[str, Any] = {"program": "device_to_device", "variant": "", "unit": "GB/s"}
    found = gates.judge(rates([300.0] * 7 + [150.0], **same), evidence())
    assert [each.verdict for each in found] == [PASS] * 7 + [FAIL]


def test_no_judgement_is_no_pass() -> None:
    assert gates.of_judgements([]).verdict is UNSURE


def test_missing_readings_do_not_excuse() -> None:
    """WSL and old drivers tell little: a slow GPU there is still slow."""
    silent = dict.fromkeys(sample.AT_WORK)
    seen = node()
    found = one(rate(SLOW), evidence(seen, trace(seen, gpu0=silent)))
    assert found.verdict is FAIL
    seen = node(gpu0=lambda gpu: replace(gpu, pcie=Pcie(*(sample.NONE,) * 6)))
    moved = rate(12.0, program="host_to_device", variant="", unit="GB/s")
    assert one(moved, evidence(seen)).verdict is NONE


@pytest.mark.parametrize("garbage", [0.0, math.nan, math.inf])
def test_peer_without_a_rate_blames_nobody(garbage: float) -> None:
    found = gates.judge(rates([GEMM, garbage, garbage]), evidence())
    assert [each.verdict for each in found] == [PASS, UNSURE, UNSURE]
