"""Rates and numbers of eight CPU devices, one of them at fault.

Faults enter through an argument. In a child, as eight devices want.
"""

from __future__ import annotations

import itertools as it
import json
import subprocess
import sys
from typing import Any

import pytest

from helpers import HOME, Answers, environ
from jaxpad import checks
from jaxpad.core.results import Rate, Verdict
from jaxpad.throughput import (
    KINDS,
    Attention,
    Collective,
    Copy,
    Gemm,
    Scale,
    Train,
    Triad,
    bus_factor,
    decoder,
    scale,
    steady,
    why_not,
)

MIB, GIB = 1 << 20, 1 << 30
EIGHT = """
import dataclasses, json
import jax
from jaxpad import checks
from jaxpad.throughput import *

jax.config.update("jax_num_cpu_devices", 8)
DEVICES = jax.devices()

def said(program, devices=DEVICES, **fault):
    try:
        verify(program, devices, disturb=Disturbance(**fault) if fault else None)
    except checks.Failed as failed:
        return [str(failed), failed.remedy]

def rates(program, **how):
    return [dataclasses.asdict(one) for one in run(program, DEVICES, batches=4, **how)]
"""
RATES = """
slow = Disturbance(device=3, slow=6.0)
copy = Copy(1 << 20)

def slowed(**how):
    # what else runs here can slow another device as much: taken again until it does not
    for _ in range(8):
        found = rates(copy, disturb=slow, **how)
        medians = [one["median"] for one in found]
        if medians[3] == min(medians) < sorted(medians)[4] / 2:
            break
    return found

print(json.dumps({
    "alone": rates(copy),
    "slow": slowed(),
    "together": rates(copy, together=True),
    "slow together": slowed(together=True),
    "one": rates(Collective("all_reduce", 1 << 20, 8)),
}))
"""
NUMBERS = """
gemm = Gemm("fp32", 128)
tiny = decoder(scale("cpu", 0))
programs = [
    gemm, Gemm("bf16", 128), Gemm("fp16", 128), Gemm("fp8", 128), Copy(1 << 20), Triad(1 << 20),
    HostToDevice(1 << 20), DeviceToHost(1 << 20), DeviceToDevice(1 << 20, (0, 1)),
    Attention("bf16", 1, 64, 2, 16),
]
print(json.dumps({
    "right": [said(program, DEVICES[:2]) for program in programs],
    "collectives": [said(Collective(kind, 1 << 20, 8)) for kind in KINDS],
    "nan": said(gemm, device=2, nan=True),
    "wrong": said(gemm, device=2, wrong=True),
    "first wrong": said(gemm, device=0, wrong=True),
    "one of two": said(gemm, DEVICES[:2], device=1, wrong=True),
    "copy": said(Copy(1 << 20), device=5, wrong=True),
    "loss": said(Train("fp32", 1, tiny), DEVICES[:2], device=1, nan=True),
    "reduced": said(Collective("all_reduce", 1 << 20, 8), device=1, wrong=True),
}))
"""
HANGS = """
import jax
from jaxpad.throughput import Copy, Disturbance, run
def test_hang():
    run(Copy(1 << 20), jax.devices(), disturb=Disturbance(device=0, hang=True))
def test_after(): pass
"""


def eight(script: str) -> Any:
    """What a script prints as JSON, on eight CPU devices."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", EIGHT + script],
        env=environ(JAX_PLATFORMS="cpu"),
        capture_output=True,
        text=True,
        timeout=200,
        cwd=HOME,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def rates() -> dict[str, list[Rate]]:
    told = eight(RATES)
    return {name: [Rate(**one) for one in found] for name, found in told.items()}


@pytest.fixture(scope="module")
def numbers() -> dict[str, Any]:
    found: dict[str, Any] = eight(NUMBERS)
    return found


def test_rate_of_each_device(rates: dict[str, list[Rate]]) -> None:
    for name, together in (("alone", False), ("together", True)):
        assert [one.device for one in rates[name]] == list(range(8))
        for one in rates[name]:
            assert (one.program, one.variant, one.unit) == ("copy", "fp32", "GB/s")
            assert (one.platform, one.ordinal, one.together) == ("cpu", None, together)
            assert one.batches >= 4
            assert one.median > 0


def test_rate_one_by_one(rates: dict[str, list[Rate]]) -> None:
    """A device begins when the one before it has ended."""
    alone = rates["alone"]
    assert all(one.stop_s <= next_.start_s for one, next_ in it.pairwise(alone))


def test_rate_all_at_once(rates: dict[str, list[Rate]]) -> None:
    """Some moment belongs to every device's batches."""
    together = rates["together"]
    assert max(one.start_s for one in together) < min(one.stop_s for one in together)


def test_slow_device_shows(rates: dict[str, list[Rate]]) -> None:
    for name in ("slow", "slow together"):
        medians = [one.median for one in rates[name]]
        assert min(medians) == medians[3], name
        assert medians[3] < sorted(medians)[4] / 2, name


def test_collective_is_one_rate(rates: dict[str, list[Rate]]) -> None:
    (one,) = rates["one"]
    assert (one.name, one.device, one.unit) == ("all_reduce 1 MiB", None, "GB/s")


def test_numbers_right(numbers: dict[str, Any]) -> None:
    assert numbers["right"] == [None] * 10
    assert numbers["collectives"] == [None] * len(KINDS)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("nan", "gemm fp32 gave wrong numbers on device 2 (cpu): 1 of 16384 entries are not f"),
        ("wrong", "gemm fp32 gave wrong numbers on device 2 (cpu): unlike other devices, entry ["),
        ("first wrong", "gemm fp32 gave wrong numbers on device 0 (cpu): unlike other devices, e"),
        ("copy", "copy fp32 gave wrong numbers on device 5 (cpu): entry ["),
        ("loss", "train fp32 gave wrong numbers on device 1 (cpu): 1 of 8 entries are not finite"),
        ("reduced", "all_reduce 1 MiB gave wrong numbers on device 0, 1, 2, 3, 4, 5, 6, 7 (cpu): "),
    ],
)
def test_numbers_wrong(fault: str, words: str, numbers: dict[str, Any]) -> None:
    """The device is named, no other, and so is what to do."""
    message, remedy = numbers[fault]
    assert message.startswith(words)
    assert "jaxpad health" in remedy


def test_wrong_in_collective_names_place(numbers: dict[str, Any]) -> None:
    assert "on device 5 of 8, entry [" in numbers["reduced"][0]


def test_of_two_either_may_be_wrong(numbers: dict[str, Any]) -> None:
    assert numbers["one of two"][0].endswith("; of two, either may be at fault")


def test_hang_is_ended(answers: Answers) -> None:
    found = answers(HANGS, limit=8.0)
    assert found["test_hang"].verdict is Verdict.FAIL
    assert "no answer within 8 s" in found["test_hang"].reason
    assert "measure.py" in found["test_hang"].output  # where it stood
    assert found["test_after"].verdict is Verdict.PASS


def rate(median: float, spread: float, device: int | None, platform: str = "gpu") -> Rate:
    return Rate("copy", "fp32", device, platform, False, median, spread, "GB/s", 9, 0.0, 1.0)


class Named:
    """A device, as far as a message needs one."""

    id = 1
    device_kind = "H100"


def test_swinging_rate_is_inconclusive() -> None:
    steady([rate(10, 9, 1), rate(10, 9, None), rate(10, 12, 1, "cpu")], [Named()])
    with pytest.raises(checks.Inconclusive, match=r"device 1 \(H100\) by 12 of 10 GB/s"):
        steady([rate(10, 12, 1)], [Named()])
    with pytest.raises(checks.Inconclusive, match="all devices by 12 of 10 GB/s"):
        steady([rate(10, 12, None)], [Named()])
    with pytest.raises(checks.Inconclusive, match="swings between batches"):
        steady([rate(10, float("nan"), 1)], [Named()])


def test_work() -> None:
    """FLOP and bytes of one call, worked out by hand."""
    assert Gemm("bf16", 8192).work == pytest.approx(1.099511627776)
    assert Gemm("bf16", 8192).intensity == pytest.approx(2 * 8192 / 6)
    assert Gemm("fp8", 8192).intensity == pytest.approx(2 * 8192 / 4)
    assert Copy(GIB).work == pytest.approx(2.147483648)
    assert Triad(GIB).work == pytest.approx(3.221225472)
    assert Attention("bf16", 4, 2048).work == pytest.approx(4 * 64 * 2048**2 * 128 / 1e12)


def test_train_flops() -> None:
    """PaLM's formula: 6 N + 12 L W S for a token."""
    train = Train("bf16", 8)
    assert train.parameters == 4 * (4 + 8) * 2048**2 + 8192 * 2048
    token = 6 * train.parameters + 12 * 4 * 2048 * 1024
    assert train.work == pytest.approx(8 * 1024 * token / 1e12)


@pytest.mark.parametrize("kind", KINDS)
def test_bus_bandwidth(kind: str) -> None:
    """The factors of nccl-tests' PERFORMANCE.md for eight ranks."""
    factor = {"all_reduce": 1.75, "permute": 1.0}.get(kind, 0.875)
    assert bus_factor(kind, 8) == factor
    assert Collective(kind, 64 * MIB, 8).work == pytest.approx(64 * MIB * factor / 1e9)


def test_sizes_follow_free_memory() -> None:
    large, half, small = (scale("gpu", free * GIB) for free in (60, 5, 2))
    assert (large.side, half.side, small.side) == (8192, 4096, 2048)
    assert (large.vector, large.messages[-1]) == (512 * MIB, GIB)
    for one, free in ((large, 60), (half, 5), (small, 2)):
        assert needed(one) < free * GIB * 0.9


def needed(one: Scale) -> int:
    """The most that a program holds: operands, and four results in flight beside the next."""
    gemm = 4 * one.side**2 * (2 + 5)
    batch, sequence, heads, _ = one.attention
    scores = batch * heads * sequence**2 * (4 + 2)  # temporaries of one call at a time
    return max(gemm, 7 * one.vector, scores, 6 * one.messages[-1])


@pytest.mark.parametrize(
    ("dtype", "capability", "words"),
    [
        ("bf16", "7.5", "bf16 needs compute capability 8.0, this GPU has 7.5"),
        ("fp8", "8.6", "fp8 needs compute capability 8.9, this GPU has 8.6"),
        ("fp8", "", "fp8 needs compute capability 8.9, this GPU has one that JAX does not tell"),
        ("fp8", "12.0", ""),
        ("fp16", "7.0", ""),
    ],
)
def test_dtype_needs(dtype: str, capability: str, words: str) -> None:
    assert why_not(dtype, "gpu", capability) == words


def test_decoder_of_scale() -> None:
    assert decoder(scale("cpu", 0)).layers == 2
    assert decoder(scale("gpu", 60 * GIB)).layers == 4
