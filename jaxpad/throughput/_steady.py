"""Whether a rate is one: batches that agree with each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from jaxpad import checks
from jaxpad.results import Rate
from jaxpad.shares import ratio

TAKINGS = 3


def steadiest(take: Callable[[], Sequence[Rate]]) -> Sequence[Rate]:
    """The rates, taken again up to TAKINGS times where they swing; the steadiest of them."""
    found = [take()]
    while len(found) < TAKINGS and _swing(found[-1]) >= 1:
        found.append(take())
    return min(found, key=_swing)


def _swing(rates: Sequence[Rate]) -> float:
    """The spread of the worst rate of a GPU, in medians of it; only GPUs are asked.

    Infinite where either is no number or the median is 0: such a rate is taken again.
    """
    shares = [ratio(rate.spread, rate.median) for rate in rates if rate.platform != "cpu"]
    return max((math.inf if share is None else share for share in shares), default=0.0)


def steady(rates: Sequence[Rate], devices: Sequence[Any]) -> None:
    """Raises checks.Inconclusive where half the batches are further apart than their median.

    Such a rate says more of what else ran than of the device. Only GPUs are asked: a CPU's
    cores are shared with whatever else runs, and its spread is in the report.
    """
    kinds = {device.id: device.device_kind for device in devices}
    swinging = [
        f"device {rate.device} ({kinds[rate.device]}) by {rate.spread:.3g} of {rate.median:.3g}"
        if rate.device is not None
        else f"all devices by {rate.spread:.3g} of {rate.median:.3g}"
        for rate in rates
        if rate.platform != "cpu" and not rate.spread < rate.median  # NaN is no steady rate
    ]
    if swinging:
        raise checks.Inconclusive(
            f"{rates[0].name} swings between batches: {', '.join(swinging)} {rates[0].unit}",
            "see that nothing else uses the device or the CPU, then run it again",
        )
