"""Judging a snapshot, and the bounds it is held to: no driver, no child."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nvml_double as double
from jaxpad import health, nvml
from jaxpad.core import bounds
from jaxpad.core.host import GpuEvidence
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict
from jaxpad.health import Facts
from jaxpad.nvml import Snapshot
from test_health_machine import H100, SHOWN, Machine, first, judged, seen


@pytest.mark.parametrize(
    "scenario", [H100, "recorded-h200", "a100-mig", "l4", "rtx-4090", "gb200", "wsl"]
)
def test_well(scenario: str) -> None:
    found = judged(seen(scenario))
    assert {one.verdict for one in found.values()} == {Verdict.PASS, Verdict.NOT_APPLICABLE}


def test_same_findings_each_time() -> None:
    snapshot = seen("garbage")
    given = (snapshot, health.describe(snapshot), bounds.load(), SHOWN)
    assert health.judge(*given) == health.judge(*given)


@pytest.mark.parametrize(
    ("scenario", "question"),
    [
        ("rtx-4090", "ecc"),
        ("rtx-4090", "rows"),
        ("l4", "nvlink"),
        ("l4", "mig"),
        ("l4", "fabric"),
        ("l4", "pages"),
        ("old-driver", "rows"),
        ("a100-mig", "rows"),  # the parent of slices
        ("l4", "peers"),
        ("recorded-h200", "nvlink"),  # passed through to a virtual machine
        ("recorded-h200", "fabric"),
    ],
)
def test_not_applicable_where_the_model_has_none(scenario: str, question: str) -> None:
    assert judged(seen(scenario))[question].verdict is Verdict.NOT_APPLICABLE


UNSUPPORTED: Reading[Any] = Reading(None, "NVMLError_NotSupported: Not Supported")


@pytest.mark.parametrize(
    ("scenario", "part", "fields", "question"),
    [
        (H100, "ecc", ("enabled", "pending"), "ecc"),
        (H100, "remapped_rows", ("pending", "failed"), "rows"),
        (H100, "throttle", ("reasons",), "slowdown"),
        (H100, "power", ("enforced_limit_watts",), "power"),
        (H100, "pcie", ("width",), "pcie"),
    ],
)
def test_absent_where_the_model_has_it(
    scenario: str, part: str, fields: tuple[str, ...], question: str
) -> None:
    """Inconclusive for a GPU we know; for one we do not, not applicable."""
    snapshot = seen(scenario)
    kept = getattr(snapshot.gpus[0], part)
    less = first(snapshot, **{part: replace(kept, **dict.fromkeys(fields, UNSUPPORTED))})
    assert judged(less)[question].verdict is Verdict.INCONCLUSIVE
    unknown = judged(less, described=[None] * 8)[question]
    assert unknown.verdict is Verdict.NOT_APPLICABLE


def test_links_absent_where_the_model_has_them() -> None:
    assert judged(first(seen(H100), nvlinks=UNSUPPORTED))["nvlink"].verdict is Verdict.INCONCLUSIVE


def test_unknown_gpu_is_held_to_no_description() -> None:
    found = judged(seen(H100), described=[None] * 8)
    assert found["nvlink"].verdict is Verdict.PASS
    assert "not known" in found["nvlink"].seen
    assert found["memory"].bound == ""
    assert "does not describe" in found["answers"].seen


def links_down(snapshot: Snapshot, virtualisation: str = "none") -> Snapshot:
    def down(gpu: Any) -> Any:
        links = tuple(replace(link, active=Reading(False)) for link in gpu.nvlinks.value)
        modes = replace(gpu.modes, virtualisation=Reading(virtualisation))
        return replace(gpu, nvlinks=Reading(links), modes=modes)

    return replace(snapshot, gpus=tuple(map(down, snapshot.gpus)))


def test_links_of_one_gpu_alone() -> None:
    alone = seen(H100)
    alone = links_down(replace(alone, gpus=alone.gpus[:1]))
    assert judged(alone)["nvlink"].verdict is Verdict.NOT_APPLICABLE


def test_links_in_a_virtual_machine() -> None:
    assert judged(links_down(seen(H100)))["nvlink"].verdict is Verdict.FAIL
    guest = judged(links_down(seen(H100), "passthrough"))["nvlink"]
    assert guest.verdict is Verdict.INCONCLUSIVE


def test_lost_gpu_is_asked_no_more() -> None:
    found = health.judge(
        double.seen("lost-before"), (None,) * 8, bounds.load(), replace(SHOWN, up_s=1.0)
    )
    assert [one.name for one in found if one.gpu == 1] == ["answers"]


@pytest.mark.parametrize("scenario", ["not-loaded"])
def test_no_gpu(scenario: str) -> None:
    """A library without a driver or a GPU, as in an image on a laptop."""
    found = judged(seen(scenario), Facts())
    assert {one.verdict for one in found.values()} == {Verdict.NOT_APPLICABLE}
    assert judged(seen(scenario), Facts(), expect=8)["count"].verdict is Verdict.FAIL
    assert judged(seen(scenario), SHOWN)["driver"].verdict is Verdict.FAIL


def test_expected_gpus_of_a_silent_driver() -> None:
    """A driver that hangs hides how many there are: no fail."""
    hung: Reading[Any] = Reading(None, "TimeoutExpired: no answer within 7 s")
    snapshot = replace(seen("not-loaded"), gpu_count=hung, driver_version=hung)
    for facts in (Facts(), SHOWN):
        found = judged(snapshot, facts, expect=8)
        assert found["driver"].verdict is Verdict.INCONCLUSIVE
        assert found["count"].verdict is Verdict.NOT_APPLICABLE


def test_driver_of_two_versions() -> None:
    loaded = Facts(GpuEvidence((), ("/dev/nvidia0",), "575.57.08"))
    found = judged(seen("l4"), loaded)["driver"]
    assert (found.verdict, "575.57.08" in found.seen) == (Verdict.FAIL, True)


def test_idle_node_passes() -> None:
    assert judged(seen("l4"), idle=True)["busy"].verdict is Verdict.PASS
    assert judged(seen("rtx-4090"), idle=True)["busy"].verdict is Verdict.PASS  # a display only
    assert judged(seen("wsl"), idle=True)["busy"].verdict is Verdict.INCONCLUSIVE  # not told


def test_question_that_trips() -> None:
    """A state that is odd beyond what we thought of silences no other question."""
    odd = first(seen("l4"), pcie=None, fabric=None)
    found = judged(odd)
    assert found["pcie"].verdict is Verdict.INCONCLUSIVE
    assert "report" in found["pcie"].remedy
    assert found["ecc"].verdict is Verdict.PASS


def test_about_a_jobs_own() -> None:
    snapshot = seen(H100)
    found = health.judge(snapshot, health.describe(snapshot), bounds.load(), SHOWN)
    assert {one.gpu for one in health.about(found, {0, 3})} == {None, 0, 3}


def test_old_xid_by_age(tmp_path: Path) -> None:
    """`xid_hours_most` looks away from an Xid that is older; 0 does not look at all."""
    laid, file = Machine(tmp_path), tmp_path / "own.toml"
    laid.xid(48)
    laid.log.write_text(laid.log.read_text().replace("6000000", "0"))
    snapshot = replace(seen("l4"), kernel=nvml.kernel(laid.sysfs, laid.log))
    up = replace(SHOWN, up_s=7200.0)
    verdicts = []
    for hours in ("inf", "3", "1", "0"):
        file.write_text(f"xid_hours_most = {hours}\n")
        found = health.judge(snapshot, (None,), bounds.load(file), up)
        verdicts.append(next(one.verdict for one in found if one.name == "xid"))
    fail, pass_, none = Verdict.FAIL, Verdict.PASS, Verdict.NOT_APPLICABLE
    assert verdicts == [fail, fail, pass_, none]


def test_findings_are_plain() -> None:
    """What a hook or a fleet report may write down."""
    for one in judged(seen(H100)).values():
        assert {type(value) for value in dataclasses.astuple(one)} <= {
            str, int, float, Verdict, type(None)
        }  # fmt: skip


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (Reading(0), Verdict.PASS),
        (Reading(5), Verdict.PASS),  # of the IMEX domain
        (Reading(6), Verdict.FAIL),
        (Reading(7), Verdict.FAIL),
        (UNSUPPORTED, Verdict.NOT_APPLICABLE),
        (Reading(None, "NVMLError_InvalidArgument: Invalid Argument"), Verdict.NOT_APPLICABLE),
        (Reading(None, "NVMLError_Unknown: Unknown Error"), Verdict.INCONCLUSIVE),
    ],
)
def test_recovery_action(told: Reading[Any], expected: Verdict) -> None:
    """Drivers that do not know the field say so; any other error is no answer."""
    snapshot = seen(H100)
    modes = replace(snapshot.gpus[0].modes, recovery_action=told)
    assert judged(first(snapshot, modes=modes))["recovery"].verdict is expected


@pytest.mark.parametrize(
    ("mask", "expected", "words"),
    [
        (0x0, Verdict.PASS, "completed"),
        (0xAA, Verdict.PASS, "completed"),
        (0x51AA, Verdict.PASS, "completed"),  # configured, in a partition, connected
        (0xA9, Verdict.FAIL, "less bandwidth"),
        (0x9A, Verdict.FAIL, "unhealthy route"),
        (0xA6, Verdict.INCONCLUSIVE, "routes"),
        (0x6A, Verdict.INCONCLUSIVE, "access timeout"),
        (0x2AA, Verdict.FAIL, "GUID"),
        (0x3AA, Verdict.FAIL, "chassis"),
        (0x4AA, Verdict.FAIL, "no partition"),
        (0x5AA, Verdict.FAIL, "too few NVLinks"),
        (0x6AA, Verdict.FAIL, "firmware"),
        (0x7AA, Verdict.FAIL, "location"),
        (0x8AA, Verdict.FAIL, "GPU state"),
        (0xFAA, Verdict.FAIL, "reason 15"),
        (0x21AA, Verdict.FAIL, "in no partition"),
        (0x91AA, Verdict.INCONCLUSIVE, "disconnected"),
    ],
)
def test_fabric_mask(mask: int, expected: Verdict, words: str) -> None:
    """Each field of nvml.h's NVML_GPU_FABRIC_HEALTH_MASK, two bits or four."""
    snapshot = seen(H100)
    told = replace(snapshot.gpus[0].fabric, health_mask=Reading(mask))
    found = judged(first(snapshot, fabric=told))["fabric"]
    assert found.verdict is expected
    assert words in found.seen


def test_rows_are_judged_wherever_the_driver_tells_them() -> None:
    """Boards for workstations with error correction replace rows, too."""
    snapshot = seen("rtx-4090")
    rows = replace(snapshot.gpus[0].remapped_rows, pending=Reading(True), failed=Reading(False))
    found = judged(first(snapshot, remapped_rows=rows))["rows"]
    assert found.verdict is Verdict.FAIL
    assert "one waits" in found.seen


def test_vgpu_guest_is_not_held_to_the_board() -> None:
    """The size is the profile's; what the host keeps for itself is not broken."""
    whole = seen(H100)
    gpu = whole.gpus[0]
    guest = first(
        whole,
        modes=replace(gpu.modes, virtualisation=Reading("vgpu")),
        memory=replace(gpu.memory, total_bytes=Reading(8 * 10**9)),
        temperature=replace(gpu.temperature, gpu_celsius=UNSUPPORTED),
        power=replace(gpu.power, enforced_limit_watts=UNSUPPORTED),
        pcie=replace(gpu.pcie, width=UNSUPPORTED),
        ecc=replace(gpu.ecc, enabled=UNSUPPORTED),
        remapped_rows=replace(gpu.remapped_rows, pending=UNSUPPORTED, failed=UNSUPPORTED),
        nvlinks=UNSUPPORTED,
    )
    found = judged(replace(guest, gpus=guest.gpus[:1]))
    for question in ("memory", "temperature", "power", "pcie", "ecc", "rows", "nvlink"):
        assert found[question].verdict is Verdict.NOT_APPLICABLE, found[question]


@pytest.mark.parametrize(("now", "slot", "words"), [(1, 5, "1 of 5"), (3, 3, "the slot has 3")])
def test_pcie_generation(now: int, slot: int, words: str) -> None:
    snapshot = seen(H100)
    link = replace(
        snapshot.gpus[0].pcie,
        generation=Reading(now),
        max_generation=Reading(slot),
        gpu_max_generation=Reading(5),
    )
    found = judged(first(snapshot, pcie=link))["pcie"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert words in found.seen
