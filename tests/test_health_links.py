"""Set clocks, links, pairs, names and counters: judged by themselves and beside the peers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaxpad import health
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict
from jaxpad.nvml import BusGpu, Snapshot
from test_health_judge import UNSUPPORTED
from test_health_machine import H100, SHOWN, first, judged, seen

SET, IDLE = "applications_clocks_setting", "gpu_idle"


@pytest.mark.parametrize(
    ("reasons", "now", "own", "default", "expected"),
    [
        ((), 1755, 1980, 1980, Verdict.PASS),
        ((SET,), 1200, None, None, Verdict.INCONCLUSIVE),
        ((SET,), 1200, 1980, 1980, Verdict.INCONCLUSIVE),  # locked below what is set
        ((SET,), 1980, None, None, Verdict.PASS),
        ((SET,), 1410, 1410, 1410, Verdict.PASS),  # the board's own
        ((SET, "sw_power_cap"), 1300, 1410, 1410, Verdict.PASS),
        ((SET, IDLE), 345, None, None, Verdict.INCONCLUSIVE),
        ((SET, IDLE), 345, 1410, 1410, Verdict.PASS),
        ((IDLE,), 345, 1200, 1980, Verdict.INCONCLUSIVE),
        ((IDLE,), 345, 1980, 1410, Verdict.PASS),  # raised to the highest
        ((IDLE,), 345, None, None, Verdict.PASS),
    ],
)
def test_clocks(
    reasons: tuple[str, ...], now: int, own: int | None, default: int | None, expected: Verdict
) -> None:
    gpu = seen(H100).gpus[0]
    clocks = replace(
        gpu.clocks,
        sm_mhz=Reading(now),
        set_graphics_mhz=Reading(own) if own else UNSUPPORTED,
        default_graphics_mhz=Reading(default) if default else UNSUPPORTED,
    )
    throttle = replace(gpu.throttle, reasons=Reading(reasons))
    found = judged(first(seen(H100), clocks=clocks, throttle=throttle))["clocks"]
    assert found.verdict is expected, found
    assert ("-rgc" in found.remedy) is (expected is Verdict.INCONCLUSIVE)


def test_memory_clock_set() -> None:
    gpu = seen(H100).gpus[0]
    found = judged(first(seen(H100), clocks=replace(gpu.clocks, set_memory_mhz=Reading(1593))))
    assert found["clocks"].verdict is Verdict.INCONCLUSIVE
    assert "memory clock set to 1593 of 2619 MHz" in found["clocks"].seen


def test_clocks_meant(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("clock_limit_least = 0.6\n")
    gpu = seen(H100).gpus[0]
    capped = first(seen(H100), clocks=replace(gpu.clocks, set_graphics_mhz=Reading(1200)))
    found = health.judge(capped, health.describe(capped), bounds.load(file), SHOWN)
    assert {one.verdict for one in found if one.name == "clocks"} == {Verdict.PASS}


def counted(snapshot: Snapshot, gpu: int, link: int, **errors: int) -> Snapshot:
    """One link of one GPU with these errors."""
    gpus = list(snapshot.gpus)
    links = list(gpus[gpu].nvlinks.value or ())
    told: dict[str, Any] = {name: Reading(number) for name, number in errors.items()}
    links[link] = replace(links[link], **told)
    gpus[gpu] = replace(gpus[gpu], nvlinks=Reading(tuple(links)))
    return replace(snapshot, gpus=tuple(gpus))


@pytest.mark.parametrize(
    ("gpus", "errors", "expected"),
    [
        (8, {"crc_errors": 10**8}, Verdict.INCONCLUSIVE),
        (8, {"replay_errors": 10**8}, Verdict.INCONCLUSIVE),
        (8, {"recovery_errors": 505}, Verdict.INCONCLUSIVE),
        (8, {"symbol_errors": 10**9}, Verdict.INCONCLUSIVE),
        (8, {"failed_recoveries": 1}, Verdict.INCONCLUSIVE),
        (8, {"crc_errors": 100}, Verdict.PASS),
        (1, {"crc_errors": 10**8}, Verdict.INCONCLUSIVE),  # beside its own links
    ],
)
def test_link_errors(gpus: int, errors: dict[str, int], expected: Verdict) -> None:
    whole = seen(H100)
    found = judged(counted(replace(whole, gpus=whole.gpus[:gpus]), 0, 5, **errors))
    assert found["nvlink errors"].verdict is expected
    assert ("link 5: " in found["nvlink errors"].seen) is (expected is not Verdict.PASS)


def test_all_links_of_one_gpu() -> None:
    odd = seen(H100)
    for link in range(18):
        odd = counted(odd, 0, link, crc_errors=10**6)
    found = judged(odd)["nvlink errors"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "and 15 more" in found.seen


def pairs(snapshot: Snapshot, codes: dict[str, int], **changes: Any) -> Snapshot:
    told = {index: Reading(code) for index, code in codes.items()}
    return first(snapshot, peer_links=told, **changes)


NONE = dict.fromkeys(map(str, range(1, 8)), 5)


def test_pairs() -> None:
    whole = seen(H100)
    assert judged(pairs(whole, NONE))["p2p"].verdict is Verdict.FAIL
    one = judged(pairs(whole, NONE | dict.fromkeys("1234567", 0) | {"5": 2}))["p2p"]
    assert (one.verdict, "GPU 5 (GPU not supported)" in one.seen) == (Verdict.FAIL, True)
    assert judged(pairs(whole, {}))["p2p"].verdict is Verdict.NOT_APPLICABLE


BUS = tuple(BusGpu(f"0000:{n}b:00.0", Reading(True)) for n in range(9))


def test_pairs_of_a_board_with_bridges() -> None:
    """Not every pair is joined there, and a partner may be another's."""
    whole, unknown = seen(H100), [None] * 8
    some = judged(pairs(whole, NONE | {"1": 0}), described=unknown)["p2p"]
    assert (some.verdict, "reaches 1 of 7" in some.seen) == (Verdict.PASS, True)
    assert judged(pairs(whole, NONE | {"1": 0}))["p2p"].verdict is Verdict.FAIL
    assert judged(pairs(whole, NONE), described=unknown)["p2p"].verdict is Verdict.FAIL
    hidden = replace(SHOWN, container="docker")
    assert judged(pairs(whole, NONE), hidden, described=unknown)["p2p"].verdict is Verdict.PASS
    more = replace(whole, kernel=replace(whole.kernel, gpus=Reading(BUS)))
    assert judged(pairs(more, NONE), described=unknown)["p2p"].verdict is Verdict.PASS


def test_pairs_of_a_fabric_that_starts() -> None:
    """After a boot the fabric is late: no node is drained for it."""
    gpu = seen(H100).gpus[0]
    late = replace(gpu.fabric, state=Reading("in_progress"))
    found = judged(pairs(seen(H100), NONE, fabric=late))
    assert found["p2p"].verdict is found["fabric"].verdict is Verdict.INCONCLUSIVE
    unmanaged = replace(SHOWN, unmanaged=True)
    assert judged(pairs(seen(H100), NONE), unmanaged)["p2p"].verdict is Verdict.INCONCLUSIVE


def test_pairs_with_a_sliced_gpu() -> None:
    """A GPU that is cut into slices reaches nobody, by design."""
    whole = seen(H100)
    gpus = list(pairs(whole, NONE | dict.fromkeys("123456", 0)).gpus)
    gpus[7] = replace(gpus[7], mig=replace(gpus[7].mig, enabled=Reading(True)))
    assert judged(replace(whole, gpus=tuple(gpus)))["p2p"].verdict is Verdict.PASS


def test_slice_in_a_container() -> None:
    """The parent's memory and processes are kept from who has a slice of it."""
    refused: Reading[Any] = Reading(None, "NVMLError_NoPermission: Insufficient Permissions")
    whole = seen("a100-mig")
    gpu = whole.gpus[0]
    memory = replace(gpu.memory, total_bytes=refused, used_bytes=refused)
    kept = first(whole, memory=memory, processes=replace(gpu.processes, compute=refused))
    found = judged(kept, idle=True)
    for question in ("memory", "busy"):
        assert found[question].verdict is Verdict.NOT_APPLICABLE


@pytest.mark.parametrize("name", ["uuid", "pci_bus_id"])
def test_gpus_of_one_name(name: str) -> None:
    whole = seen(H100)
    own: dict[str, Any] = {name: getattr(whole.gpus[3].identity, name)}
    found = judged(first(whole, identity=replace(whole.gpus[0].identity, **own)))["count"]
    assert found.verdict is Verdict.FAIL
    assert "GPUs 0, 3 with one" in found.seen


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sram_exceeded": Reading(True)}, Verdict.FAIL),
        ({"sram_uncorrected": Reading(5)}, Verdict.INCONCLUSIVE),
        ({"sram_uncorrected": Reading(4)}, Verdict.PASS),
        ({"sram_uncorrected": Reading(50), "sram_exceeded": Reading(False)}, Verdict.PASS),
        ({"uncorrected_aggregate": Reading(5)}, Verdict.INCONCLUSIVE),
        ({"uncorrected_aggregate": Reading(5), "sram_uncorrected": Reading(0)}, Verdict.PASS),
    ],
)
def test_sram(changes: dict[str, Any], expected: Verdict) -> None:
    snapshot = seen(H100)
    found = judged(first(snapshot, ecc=replace(snapshot.gpus[0].ecc, **changes)))["ecc"]
    assert found.verdict is expected, found


def test_errors_that_replaced_rows_explain() -> None:
    gpu = seen(H100).gpus[0]
    rows = replace(gpu.remapped_rows, uncorrectable=Reading(5))
    old = replace(gpu.ecc, uncorrected_aggregate=Reading(5))
    assert judged(first(seen(H100), ecc=old, remapped_rows=rows))["ecc"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("reason", "seconds", "expected"),
    [
        ("hw_thermal_slowdown", 300, Verdict.PASS),
        ("hw_thermal_slowdown", 301, Verdict.INCONCLUSIVE),
        ("hw_power_brake_slowdown", 301, Verdict.INCONCLUSIVE),
        ("sw_thermal_slowdown", 3600, Verdict.PASS),
        ("sw_power_cap", 10**6, Verdict.PASS),
    ],
)
def test_slowed_before(reason: str, seconds: int, expected: Verdict) -> None:
    gpu = seen(H100).gpus[0]
    slowed = gpu.throttle.slowed_ns | {reason: Reading(seconds * 10**9)}
    found = judged(first(seen(H100), throttle=replace(gpu.throttle, slowed_ns=slowed)))["slowdown"]
    assert found.verdict is expected
    assert (str(seconds) in found.seen) is (expected is Verdict.PASS and "slowdown" in reason)


def test_slowed_before_without_reasons() -> None:
    """What one reading lacks does not hide what another tells."""
    gpu = seen(H100).gpus[0]
    slowed = gpu.throttle.slowed_ns | {"hw_thermal_slowdown": Reading(3600 * 10**9)}
    throttle = replace(gpu.throttle, slowed_ns=slowed, reasons=UNSUPPORTED)
    found = judged(first(seen(H100), throttle=throttle))["slowdown"]
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "60 min" in found.seen


def wearing(own: tuple[int, int], usual: int) -> Verdict:
    """How the first GPU is judged with these rows, correctable and not, beside seven others."""

    def with_rows(gpu: Any, correctable: int, uncorrectable: int) -> Any:
        told = {"correctable": Reading(correctable), "uncorrectable": Reading(uncorrectable)}
        return replace(gpu, remapped_rows=replace(gpu.remapped_rows, **told))

    whole = seen(H100)
    head, *rest = whole.gpus
    gpus = (with_rows(head, *own), *(with_rows(gpu, usual, 0) for gpu in rest))
    return judged(replace(whole, gpus=gpus))["rows"].verdict


@pytest.mark.parametrize(
    ("own", "usual", "expected"),
    [
        ((32, 0), 0, Verdict.PASS),
        ((33, 0), 0, Verdict.INCONCLUSIVE),
        ((0, 33), 0, Verdict.INCONCLUSIVE),
        ((100, 0), 10, Verdict.PASS),
        ((101, 0), 10, Verdict.INCONCLUSIVE),
        ((0, 512), 0, Verdict.INCONCLUSIVE),
        ((0, 513), 0, Verdict.FAIL),
        ((0, 513), 513, Verdict.FAIL),
    ],
)
def test_rows_beside_the_peers(own: tuple[int, int], usual: int, expected: Verdict) -> None:
    assert wearing(own, usual) is expected


@pytest.mark.parametrize(("own", "expected"), [(1000, Verdict.PASS), (1001, Verdict.INCONCLUSIVE)])
def test_link_errors_beside_the_peers(own: int, expected: Verdict) -> None:
    """Where most links count 100, ten times that is unusual."""
    whole = seen(H100)
    for gpu in range(8):
        for link in range(18):
            whole = counted(whole, gpu, link, crc_errors=100)
    assert judged(counted(whole, 0, 5, crc_errors=own))["nvlink errors"].verdict is expected
