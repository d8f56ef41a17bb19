"""Throughput: how fast each device multiplies and moves, alone and with the others at work.

Here it is measured, and held to be right and steady; test_throughput_gates.py says whether
it is fast enough. Method and formulas: docs/throughput.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import pytest

from jaxpad import checks, throughput
from jaxpad.core.results import Rate
from jaxpad.throughput import Gemm, Program

DEVICES = jax.local_devices()
FIRST = DEVICES[0]
CAPABILITY = throughput.capability(FIRST)
SCALE = throughput.scale(FIRST.platform, min(map(throughput.free_bytes, DEVICES)))
HALF = throughput.half(FIRST.platform, CAPABILITY)  # bf16, or fp16 where there is no bf16
Filed = Callable[[Rate], None]


def gemm(dtype: str) -> Gemm:
    """The product for this device, or this check is not applicable."""
    why = throughput.why_not(dtype, FIRST.platform, CAPABILITY)
    if why:
        checks.not_applicable(why)
    return Gemm(dtype, SCALE.side if dtype in ("fp32", "tf32") else SCALE.narrow_side)


def several() -> None:
    """This check is not applicable on one device."""
    if len(DEVICES) < 2:
        checks.not_applicable(f"there is one device, {FIRST.device_kind}: it has no other to reach")


def measured(program: Program, rate: Filed) -> None:
    """Right numbers on every device, then a steady rate: one by one, and all at once."""
    throughput.verify(program, DEVICES)
    for together in (False, True):
        if together and (len(DEVICES) < 2 or program.spans):
            break
        rates = throughput.steadiest(partial(throughput.run, program, DEVICES, together=together))
        for one in rates:
            rate(one)
        throughput.steady(rates, DEVICES)


def test_wait_matters() -> None:
    """JAX may return before the device is done: the clock waits until the result is there."""
    throughput.waits(throughput.watched(gemm("fp32"), FIRST).take)


def test_gemm_scales() -> None:
    """Eight times the work takes longer: the clock sees the product, not its dispatch.

    A timer that does not wait for the result reports the same time for any size.
    """
    small, large = Gemm("fp32", SCALE.side // 2), Gemm("fp32", SCALE.side)
    takes = [throughput.watched(one, FIRST).take for one in (small, large)]
    throughput.scales(takes[0], takes[1], large.work / small.work)


def test_gemm_fp32(rate: Filed) -> None:
    """A product in float32, no digit given up, is right and runs at a steady rate."""
    measured(gemm("fp32"), rate)


def test_gemm_tf32(rate: Filed) -> None:
    """A product in TF32, float32 with 10 bits of mantissa, is right and steady."""
    measured(gemm("tf32"), rate)


def test_gemm_bf16(rate: Filed) -> None:
    """A product in bfloat16, what most models train in, is right and steady."""
    measured(gemm("bf16"), rate)


def test_gemm_fp16(rate: Filed) -> None:
    """A product in float16, summed in float32, is right and steady."""
    measured(gemm("fp16"), rate)


def test_gemm_fp8(rate: Filed) -> None:
    """A scaled product in 8-bit floats, summed in float32, is right and steady."""
    measured(gemm("fp8"), rate)


def test_copy(rate: Filed) -> None:
    """A vector larger than the caches moves at a steady rate, and arrives whole."""
    measured(throughput.Copy(SCALE.vector), rate)


def test_triad(rate: Filed) -> None:
    """STREAM's triad, two vectors read and one written, is right and steady."""
    measured(throughput.Triad(SCALE.vector), rate)


def test_host_to_device(rate: Filed) -> None:
    """Data from the host's memory arrives whole, at a steady rate."""
    measured(throughput.HostToDevice(SCALE.transfer), rate)


def test_device_to_host(rate: Filed) -> None:
    """Data comes back to the host whole, at a steady rate."""
    measured(throughput.DeviceToHost(SCALE.transfer), rate)


def test_device_to_device(rate: Filed) -> None:
    """Each device sends to the next one, over NVLink where there is one, or PCIe."""
    several()
    ids = tuple(int(device.id) for device in DEVICES)
    measured(throughput.DeviceToDevice(SCALE.transfer, ids), rate)


def test_attention(rate: Filed) -> None:
    """Attention gives each query its mean of the values, at a steady rate."""
    measured(throughput.Attention(HALF, *SCALE.attention), rate)


def test_train(rate: Filed) -> None:
    """A decoder's training step lowers the loss, the same on each device, at a steady rate."""
    dtype = "fp32" if FIRST.platform == "cpu" else HALF
    measured(throughput.Train(dtype, SCALE.batch, throughput.decoder(SCALE)), rate)


@pytest.mark.parametrize("size", SCALE.messages)
def test_all_reduce(size: int, rate: Filed) -> None:
    """Every device gets the sum of all devices' numbers."""
    several()
    measured(throughput.Collective("all_reduce", size, len(DEVICES)), rate)


@pytest.mark.parametrize("size", SCALE.messages)
def test_all_gather(size: int, rate: Filed) -> None:
    """Every device gets all devices' numbers, in order."""
    several()
    measured(throughput.Collective("all_gather", size, len(DEVICES)), rate)


@pytest.mark.parametrize("size", SCALE.messages)
def test_reduce_scatter(size: int, rate: Filed) -> None:
    """Every device gets its part of the sum."""
    several()
    measured(throughput.Collective("reduce_scatter", size, len(DEVICES)), rate)


@pytest.mark.parametrize("size", SCALE.messages)
def test_all_to_all(size: int, rate: Filed) -> None:
    """Every device gets its part of every other's numbers."""
    several()
    measured(throughput.Collective("all_to_all", size, len(DEVICES)), rate)


@pytest.mark.parametrize("size", SCALE.messages)
def test_permute(size: int, rate: Filed) -> None:
    """Every device gets the numbers of the one before it."""
    several()
    measured(throughput.Collective("permute", size, len(DEVICES)), rate)
