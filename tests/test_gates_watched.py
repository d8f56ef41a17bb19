"""What the sampler and a second look say of a run, and which GPUs JAX uses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gate_samples import evidence, node, trace
from jaxpad import gates
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict
from jaxpad.machine.facts import Survey
from jaxpad.nvml import Gap, GpuState, Lost, Snapshot, Trace, Xid
from jaxpad.smoke.runner import at_rest

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE


def with_gpu(index: int, **changes: Any) -> Trace:
    """A trace whose GPU of that index differs."""
    whole = trace(node())
    gpus = list(whole.gpus)
    gpus[index] = replace(gpus[index], **changes)
    return replace(whole, gpus=tuple(gpus))


@pytest.mark.parametrize(
    ("seen", "verdict", "words"),
    [
        (with_gpu(0), PASS, ""),
        (with_gpu(5, lost=Lost(3.0, "NVMLError_GpuIsLost: GPU is lost")), FAIL, "GPU 5"),
        (replace(with_gpu(0), error="stuck: an NVML call"), UNSURE, "stuck"),
        (replace(with_gpu(0), gaps=(Gap(1, 3.1, "GPU 1 took 2.05 s to answer"),)), UNSURE, "2.05"),
        (replace(with_gpu(0), gaps=(Gap(1, 3.1, "the thread had no turn"),)), PASS, ""),
        (replace(with_gpu(0), gaps=(Gap(1, 1.4, "GPU 1 took 0.35 s to answer"),)), PASS, ""),
        (
            with_gpu(2, absent={"temperature_celsius": "garbage: 65535 is outside -60 to 200"}),
            UNSURE,
            "GPU 2 temperature_celsius garbage: 65535",
        ),
        (with_gpu(2, absent={"temperature_celsius": "NVMLError_NotSupported: x"}), PASS, ""),
    ],
)
def test_stayed(seen: Trace, verdict: Verdict, words: str) -> None:
    found = gates.stayed(seen)
    assert found.verdict is verdict
    assert words in found.reason


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"slowed_ns": {"hw_thermal_slowdown": Reading(2_000_000_000)}}, FAIL),
        ({"slowed_ns": {"hw_power_brake_slowdown": Reading(150_000_000)}}, FAIL),
        ({"slowed_ns": {"hw_thermal_slowdown": Reading(50_000_000)}}, PASS),  # half a per cent
        ({"slowed_ns": {"sw_power_cap": Reading(9_000_000_000)}}, PASS),
        ({"slowed_ns": {"hw_thermal_slowdown": Reading(None, "NVMLError_NotSupported")}}, PASS),
    ],
)
def test_slowed_by_counter(changes: dict[str, Any], verdict: Verdict) -> None:
    found = gates.slowed(with_gpu(3, **changes), bounds.load())
    assert found.verdict is verdict
    assert ("GPU 3" in found.reason) is (verdict is FAIL)


def test_slowed_by_samples() -> None:
    seen = node()
    found = gates.slowed(trace(seen, gpu6={"throttle_bits": 0x8}), bounds.load())
    assert (found.verdict, found.reason[:20]) == (FAIL, "GPU 6: hardware slow")


def at_work(seen: Survey, **clocks: int) -> GpuState:
    """The first GPU at work: not idle, at its highest clocks but for `clocks`."""
    gpu = seen.snapshot.gpus[0]
    fast = {"sm_mhz": 1980, "memory_mhz": 2619} | clocks
    reasons: Reading[tuple[str, ...]] = Reading(())
    return replace(
        gpu,
        clocks=replace(gpu.clocks, **{name: Reading(mhz) for name, mhz in fast.items()}),
        throttle=replace(gpu.throttle, reasons=reasons),
    )


def held_by(gpu: GpuState, *reasons: str) -> GpuState:
    return replace(gpu, throttle=replace(gpu.throttle, reasons=Reading(reasons)))


def test_clocked() -> None:
    seen = node()
    fine, slow, dim = at_work(seen), at_work(seen, sm_mhz=1200), at_work(seen, memory_mhz=1593)

    def verdict(gpu: GpuState, **more: Any) -> Verdict:
        return gates.clocked(evidence(seen, loaded={0: gpu}, **more)).verdict

    assert verdict(fine) is PASS
    assert verdict(slow) is verdict(dim) is UNSURE
    assert verdict(slow, strict=True) is FAIL
    assert verdict(held_by(slow, "sw_power_cap")) is PASS  # normal at full power
    assert verdict(held_by(dim, "sw_power_cap")) is UNSURE
    assert verdict(held_by(fine, "applications_clocks_setting")) is UNSURE
    assert verdict(held_by(slow, "gpu_idle")) is PASS  # nothing ran there


def later(seen: Survey, **changes: Any) -> Snapshot:
    """A second look, in which the first GPU differs."""
    head, *rest = seen.snapshot.gpus
    return replace(seen.snapshot, gpus=(replace(head, **changes), *rest))


def test_counters() -> None:
    seen = node()
    gpu, before = seen.snapshot.gpus[0], seen.snapshot

    def verdict(after: Snapshot) -> Verdict:
        return gates.counters(before, after, 80).verdict

    ecc = replace(gpu.ecc, uncorrected_volatile=Reading(2))
    rows = replace(gpu.remapped_rows, uncorrectable=Reading(1))
    assert verdict(before) is PASS
    assert verdict(later(seen, ecc=ecc)) is verdict(later(seen, remapped_rows=rows)) is FAIL
    assert verdict(later(seen, pcie=replace(gpu.pcie, replays=Reading(500)))) is UNSURE
    assert verdict(later(seen, pcie=replace(gpu.pcie, replays=Reading(50)))) is PASS
    assert verdict(_logged(before, 79)) is FAIL
    assert verdict(_logged(before, 13)) is UNSURE
    old = _logged(before, 79)
    assert gates.counters(old, old, 80).verdict is PASS  # test_health.py has it


@pytest.mark.parametrize(
    ("name", "grown", "expected"),
    [
        ("crc_errors", 10**8, UNSURE),
        ("replay_errors", 7, PASS),
        ("symbol_errors", 10**9, UNSURE),
        ("failed_recoveries", 1, UNSURE),
    ],
)
def test_link_counters(name: str, grown: int, expected: Verdict) -> None:
    seen = node()
    link, *rest = seen.snapshot.gpus[0].nvlinks.value or ()

    def counted(number: int) -> Snapshot:
        told: dict[str, Any] = {name: Reading(number)}
        return later(seen, nvlinks=Reading((replace(link, **told), *rest)))

    assert gates.counters(counted(0), counted(grown), 80, 100).verdict is expected
    assert gates.counters(counted(grown), counted(0), 80, 100).verdict is PASS  # a reset


def test_countless() -> None:
    """A GPU that counts nothing is not applicable, unless the kernel's log was read."""
    seen = node()
    none: Reading[Any] = Reading(None, "NVMLError_NotSupported: x")
    gpu = seen.snapshot.gpus[0]
    bare = replace(
        gpu,
        ecc=replace(gpu.ecc, uncorrected_volatile=none),
        remapped_rows=replace(gpu.remapped_rows, uncorrectable=none),
        pcie=replace(gpu.pcie, replays=none),
        nvlinks=none,
    )
    before = replace(seen.snapshot, gpus=(bare,))
    assert gates.counters(before, before, 80).verdict is PASS
    unread = replace(before, kernel=replace(before.kernel, xids=none))
    assert gates.counters(unread, unread, 80).verdict is Verdict.NOT_APPLICABLE


def _logged(seen: Snapshot, code: int) -> Snapshot:
    xids = (Xid(100.0, "0000:0b:00.0", code, "words"),)
    return replace(seen, kernel=replace(seen.kernel, xids=Reading(xids)))


def test_all_used() -> None:
    seen = node()
    assert gates.all_used(seen, range(8)).verdict is PASS
    seven = gates.all_used(seen, range(7))
    assert (seven.verdict, seven.reason) == (
        FAIL,
        "NVML counts 8 GPUs and JAX uses 7: not GPU 7",
    )
    assert gates.all_used(given(seen), (0, 1)).verdict is PASS
    assert gates.all_used(given(seen), (0,)).verdict is FAIL
    assert gates.all_used(replace(given(seen), hiding=None), (0, 1)).verdict is FAIL
    assert gates.all_used(seen, (9,)).verdict is UNSURE


def given(seen: Survey) -> Survey:
    """The node as CUDA_VISIBLE_DEVICES=2,3 shows it: CUDA counts those from 0."""
    kept = [replace(each, ordinal=each.ordinal - 2) for each in (seen.cuda.value or ())[2:4]]
    ours = replace(seen, cuda=Reading(tuple(kept)), hiding="CUDA_VISIBLE_DEVICES")
    assert ours.visible == {2, 3}
    return ours


def test_findings_are_of_visible_gpus() -> None:
    """A neighbour's broken GPU is not this job's to report."""
    broken = node(
        gpu5=lambda gpu: replace(gpu, ecc=replace(gpu.ecc, uncorrected_volatile=Reading(3)))
    )
    assert gates.of_findings(broken.findings(bounds.load())).verdict is FAIL
    assert gates.of_findings(given(broken).findings(bounds.load())).verdict is PASS


def test_log_that_we_may_not_read_is_left_out() -> None:
    """A user's smoke run is no worse for it; jaxpad health, run as root, insists."""
    seen = node()
    unread: Reading[Any] = Reading(None, "PermissionError: [Errno 1] Operation not permitted")
    kernel = replace(seen.snapshot.kernel, xids=unread)
    seen = replace(seen, snapshot=replace(seen.snapshot, kernel=kernel))
    found = {one.name: one for one in seen.findings(bounds.load()) if one.gpu in (None, 0)}
    assert found["xid"].verdict is found["kernel log"].verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("columns", "rests"),
    [
        ({"utilisation_percent": 0.0}, True),
        ({"utilisation_percent": 60.0}, False),
        ({"utilisation_percent": None, "temperature_celsius": None}, True),
    ],
)
def test_at_rest(columns: dict[str, float | None], rests: bool) -> None:
    each: dict[str, dict[str, float | None]] = {
        f"gpu{index}": {"utilisation_percent": 0.0} for index in range(8)
    }
    assert at_rest(trace(node(), **(each | {"gpu3": columns}))) is rests


def test_cooling_is_not_at_rest() -> None:
    cool = {"utilisation_percent": 0.0}
    seen = trace(node(), **{f"gpu{index}": cool for index in range(8)})
    falling = (*(70.0,) * 15, *(70.0 - step for step in range(6)))
    columns = {**seen.gpus[0].columns, "temperature_celsius": falling}
    warm = replace(seen.gpus[0], columns=columns)
    assert at_rest(seen)
    assert not at_rest(replace(seen, gpus=(warm, *seen.gpus[1:])))
    lost = replace(warm, lost=Lost(3.0, "NVMLError_GpuIsLost: GPU is lost"))
    assert at_rest(replace(seen, gpus=(lost, *seen.gpus[1:])))
