"""The sampler, in a child over the double: rate, deltas, and faults in mid-run."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

import nvml_double as double
from jaxpad.core import codec
from jaxpad.nvml import GpuTrace, Trace

CODE = """
import json, time
from jaxpad import nvml
sampler = nvml.Sampler(**{options})
with sampler:
    begun = time.monotonic()
    time.sleep({seconds})
    worked = time.monotonic() - begun
print(json.dumps([nvml.to_plain(sampler.trace()), worked]))
"""


def traced(
    scenario: str, seconds: float = 0.7, changes: Mapping[str, Any] | None = None, **options: Any
) -> tuple[Trace, float]:
    """The trace of so many seconds of work, and how long the work took."""
    code = CODE.format(options={"period_s": 0.02} | options, seconds=seconds)
    told, worked = double.python(double.environ(scenario, changes), code)
    return codec.revive(Trace, told, "trace"), worked


@functools.cache
def well() -> Trace:
    return traced("healthy-h100-sxm", 1.0, gpm_period_s=0.15)[0]


def test_rate() -> None:
    """Near 50 Hz on every GPU; a busy machine may cost some ticks, or many in one of three runs."""
    counts = []
    for _ in range(3):
        trace, _ = traced("healthy-h100-sxm", 1.0, gpm_period_s=0.15)
        assert trace.error is None
        counts.append([len(gpu.time_s) for gpu in trace.gpus])
        if [30 < count < 56 for count in counts[-1]] == [True] * 8:
            return
    raise AssertionError(f"three times: {counts}")


def test_times_grow() -> None:
    for gpu in well().gpus:
        assert all(a < b for a, b in itertools.pairwise(gpu.time_s))
        assert well().start_s <= gpu.time_s[0] <= gpu.time_s[-1] <= well().stop_s


def test_columns() -> None:
    gpu = well().gpus[2]
    assert {name: column[0] for name, column in gpu.columns.items()} | {"energy_joules": 0} == {
        "power_watts": 689.4,
        "energy_joules": 0,
        "sm_mhz": 1755,
        "memory_mhz": 2619,
        "temperature_celsius": 58,
        "throttle_bits": 4,
        "used_bytes": 66071822336,
        "utilisation_percent": 100,
    }
    assert {len(column) for column in gpu.columns.values()} == {len(gpu.time_s)}
    assert gpu.absent == {}


def test_mean_power_by_energy() -> None:
    gpu = well().gpus[0]
    assert gpu.mean_watts.value == pytest.approx(689, rel=0.01)
    assert gpu.energy_s == pytest.approx(1, rel=0.5)


def test_slowed() -> None:
    gpu = well().gpus[0]
    assert gpu.slowed_ns["sw_power_cap"].value == pytest.approx(0.9e9 * gpu.energy_s, rel=0.05)
    assert gpu.slowed_ns["hw_thermal_slowdown"].value == 0


def test_gpm() -> None:
    found = well().gpus[7].gpm.value
    assert found
    assert found.metrics["sm_utilisation_percent"][0] == 97.5
    assert found.metrics["nvlink_sent_mib_per_s"][0] == 85100
    apart = [b - a for a, b in itertools.pairwise(found.time_s)]
    assert 3 <= len(found.time_s) <= 7
    assert min(apart) > 0.1


def test_gpm_metric_absent() -> None:
    """Each metric has a return code of its own."""
    trace, _ = traced("gb200", gpm_period_s=0.15)
    found = trace.gpus[0].gpm.value
    assert found
    assert set(found.metrics["fp64_percent"]) == {None}
    assert found.absent["fp64_percent"].startswith("NVMLError_NotSupported")
    assert "sm_utilisation_percent" not in found.absent


def test_no_gpm() -> None:
    trace, _ = traced("l4", 0.3)
    assert "Hopper and newer" in (trace.gpus[0].gpm.reason or "")


def test_gpm_not_wanted() -> None:
    trace, _ = traced("healthy-h100-sxm", 0.3, gpm_period_s=None)
    assert trace.gpus[0].gpm.error == "not asked"


@functools.cache
def lost() -> Trace:
    return traced("lost")[0]


def lost_gpu() -> GpuTrace:
    return lost().gpus[1]


def test_lost_in_mid_run() -> None:
    gpu = lost_gpu()
    assert gpu.lost
    assert gpu.lost.reason.startswith("NVMLError_GpuIsLost")
    assert 0 < gpu.lost.at_s - gpu.time_s[0] < 0.6
    assert gpu.lost.at_s > gpu.time_s[-1]


def test_lost_keeps_what_was_before() -> None:
    assert len(lost_gpu().time_s) > 3
    assert lost_gpu().mean_watts.value == pytest.approx(689, rel=0.02)


def test_lost_leaves_the_others() -> None:
    others = [gpu for gpu in lost().gpus if gpu is not lost_gpu()]
    assert [gpu.lost for gpu in others] == [None] * 7
    assert min(len(gpu.time_s) for gpu in others) > len(lost_gpu().time_s)


def test_lost_before_start() -> None:
    trace, _ = traced("lost-before", 0.2)
    assert trace.gpus[1].lost
    assert trace.gpus[1].time_s == ()
    assert trace.gpus[1].energy_joules.error == "NVMLError_GpuIsLost"
    assert len(trace.gpus[2].time_s) > 3


def test_slow_call_is_a_gap() -> None:
    """Two seconds in one call: a gap with its culprit, and work that was not held up."""
    trace, worked = traced("slow-call", 2.8)
    gap = max(trace.gaps, key=lambda each: each.seconds)
    assert gap.seconds == pytest.approx(2, abs=0.4)
    assert gap.why.startswith("GPU 1 took 2.")
    assert worked < 3.3
    assert trace.gpus[0].mean_watts.value == pytest.approx(689, rel=0.02)


def test_wraps() -> None:
    """Both counters pass 32 bits within the run."""
    gpu = traced("wraps", 1.5)[0].gpus[0]
    joules = [joules or 0 for joules in gpu.columns["energy_joules"]]
    assert min(joules) < joules[0]
    assert gpu.mean_watts.value == pytest.approx(72, rel=0.02)
    assert gpu.slowed_ns["sw_power_cap"].value == pytest.approx(0.9e9 * gpu.energy_s, rel=0.05)


def test_old_driver() -> None:
    """Older calls stand in; throttle counters are read at start and stop."""
    gpu = traced("old-driver")[0].gpus[0]
    assert gpu.absent == {}
    assert (gpu.columns["throttle_bits"][0], gpu.columns["used_bytes"][0]) == (1, 314572800)
    assert gpu.mean_watts.value == pytest.approx(42, rel=0.02)
    assert gpu.slowed_ns["sw_thermal_slowdown"].value == pytest.approx(0.35e9, rel=0.5)
    assert gpu.slowed_ns["sw_power_cap"].value == 0
    assert gpu.slowed_ns["reliability"].value is None


def test_wsl() -> None:
    gpu = traced("wsl", 0.3)[0].gpus[0]
    assert set(gpu.columns["utilisation_percent"]) == {None}
    assert gpu.absent["utilisation_percent"].startswith("NVMLError_Unknown")
    assert gpu.columns["power_watts"][0] == 24.7
    assert gpu.energy_joules.value is None
    assert gpu.absent["energy_joules"].startswith("NVMLError_")


def test_garbage() -> None:
    gpu = traced("garbage", 0.3)[0].gpus[0]
    assert set(gpu.columns["temperature_celsius"]) == {None}
    assert gpu.absent["temperature_celsius"].startswith("garbage: 65535")
    assert set(gpu.columns["power_watts"]) == {None}
    assert gpu.energy_joules.value is None


def test_no_nvml() -> None:
    trace, worked = traced("not-loaded", 0.1)
    assert (trace.error or "").startswith("NVMLError_DriverNotLoaded")
    assert (trace.gpus, worked < 1) == ((), True)


def test_hang_at_start() -> None:
    """The work goes on without samples."""
    trace, worked = traced("hangs", 0.1, patience_s=0.5)
    assert (trace.error or "").startswith("stuck")
    assert worked < 1


def test_hang_at_stop() -> None:
    changes = {"1.slow.at_s": 0.1, "1.slow.for_s": 600}
    trace, _ = traced("healthy-h100-sxm", 0.3, changes, patience_s=0.5)
    assert (trace.error or "").startswith("stuck")
    assert trace.gaps[-1].why.startswith("GPU 1 has not answered for ")
    assert len(trace.gpus[0].time_s) > 1


def test_an_error_of_the_work_comes_through() -> None:
    code = """
import json
from jaxpad import nvml
sampler = nvml.Sampler()
try:
    with sampler:
        raise ValueError("of the work")
except ValueError as error:
    print(json.dumps([str(error), len(sampler.trace().gpus)]))
"""
    assert double.python(double.environ("l4"), code) == ["of the work", 1]
