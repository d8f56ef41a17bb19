"""What disturbs a turn on a GPU, over the double of the driver's library."""

from __future__ import annotations

from typing import Any

import pytest

import nvml_double as double

H100 = "healthy-h100-sxm"  # eight GPUs at work, one program on each
THERMAL, CAPPED = 0x40, 0x4  # hw_thermal_slowdown, sw_power_cap (nvml.h)
ASK = """
import json, time
from jaxpad.tune.measure import watched
with watched([%d]) as watch:
    time.sleep(0.5)
    print(json.dumps([watch.programs(), watch.disturbed(60, %d)]))
"""


def seen(gpu: int, ours: int, changes: dict[str, Any], scenario: str = H100) -> Any:
    return double.python(double.environ(scenario, changes), ASK % (gpu, ours))


@pytest.mark.parametrize(
    ("gpu", "ours", "changes", "said"),
    [
        (0, 1, {}, ""),
        (0, 2, {}, ""),  # a driver that tells of fewer than there are
        (0, 0, {}, "shared the GPU with 1 other program"),
        (0, 1, {"0.CurrentClocksEventReasons": CAPPED}, ""),
        (0, 1, {"0.CurrentClocksEventReasons": THERMAL}, "was slowed down by the GPU"),
        (0, 1, {"1.CurrentClocksEventReasons": THERMAL}, ""),  # another's trouble
        (1, 1, {"1.CurrentClocksEventReasons": THERMAL}, "was slowed down by the GPU"),
    ],
)
def test_disturbed(gpu: int, ours: int, changes: dict[str, Any], said: str) -> None:
    programs, why = seen(gpu, ours, changes)
    assert programs == 1
    assert why.startswith(said)
    assert bool(why) == bool(said)


def test_idle_and_none() -> None:
    """A recorded H200 at rest has no program; without a driver nothing is known."""
    assert seen(0, 0, {}, "recorded-h200") == [0, ""]
    assert seen(0, 0, {}, "not-loaded") == [0, ""]


WATCHED = """
import json
from jaxpad.tune.measure import gpus_of
from jaxpad.tune.model import Step
print(json.dumps(gpus_of(Step("dense", "gpu"))))
"""


def test_which_gpus() -> None:
    """The first of CUDA's order, which is not NVML's; where CUDA does not tell, all."""
    assert double.python(double.environ(H100), WATCHED) == [7]
    assert double.python(double.environ(H100, {"cuda.count": 0}), WATCHED) == list(range(8))
