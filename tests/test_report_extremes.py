"""Numbers at the ends of what a float holds: no share, axis or clock of a report breaks on them."""

from __future__ import annotations

import io
import json
import math
import sys
from dataclasses import replace

from hypothesis import example, given, settings, strategies as st
from rich.console import Console

from jaxpad.core.reading import Reading
from jaxpad.core.results import Fact, Gpu, Judgement, Measurement, Rate, Report, Verdict
from jaxpad.nvml import Gap, GpmTrace, GpuTrace, Lost, Trace
from jaxpad.report import summary, thin, to_html, to_junit, traces_to_json
from properties import share
from test_report_samples import PASSED_GPU, check

MOST, LEAST = sys.float_info.max, 5e-324
FINITE = (0.0, LEAST, 1e-300, 1e-9, 1.0, 700.0, 1e15, 1e300, MOST, -LEAST, -1.0, -MOST)
finite = st.sampled_from(FINITE)
anything = finite | st.sampled_from((math.nan, math.inf, -math.inf))
seconds = st.sampled_from((0.0, LEAST, 0.5, 3.0, 3600.0, 1e9, 1e300, MOST))
rates = st.builds(
    Rate,
    st.sampled_from(["gemm", "copy"]),
    st.sampled_from(["bf16", "fp32", "1 GiB"]),
    st.none() | st.integers(0, 2),
    st.sampled_from(["gpu", "gpu", "cpu"]),
    st.booleans(),
    anything,
    anything,
    st.sampled_from(["TFLOP/s", "GB/s"]),
    st.integers(0, 9),
    seconds,
    seconds,
    st.none() | st.integers(0, 2),
    st.none() | finite,
)
judgements = st.builds(
    Judgement,
    rates,
    st.none() | st.integers(0, 2),
    st.sampled_from(Verdict),
    st.none() | finite,
    st.none() | finite,
    st.just("a source"),
    st.just("a reason"),
    st.just("a remedy"),
)
READINGS = (
    *("power.draw_watts", "power.enforced_limit_watts", "clocks.sm_mhz", "memory.used_bytes"),
    *("clocks.max_sm_mhz", "memory.total_bytes", "temperature.gpu_celsius"),
)
facts = st.dictionaries(
    st.sampled_from((*READINGS, "temperature.margin_celsius")),
    st.builds(Fact, anything.map(str) | st.just("4" * 400)),
)
gpus = st.builds(
    Gpu,
    st.integers(0, 2),
    st.just("a GPU"),
    st.just("h100-sxm"),
    st.none(),
    st.none(),
    st.lists(st.integers(0, 2), max_size=2).map(tuple),
    st.dictionaries(st.sampled_from(["bf16", "fp32", "memory"]), finite, min_size=2),
    facts,
)
reports = st.builds(
    lambda rates, judgements, gpus, checks, took: replace(
        PASSED_GPU,
        seconds=took,
        rates=tuple(rates),
        judgements=tuple(judgements),
        gpus=tuple(gpus),
        checks=tuple(checks),
    ),
    st.lists(rates, max_size=4),
    st.lists(judgements, max_size=4),
    st.lists(gpus, max_size=3),
    st.lists(
        st.builds(
            lambda name, took, began: check(f"test_{name}", seconds=took, began=began),
            st.sampled_from("abc"),
            seconds,
            st.none() | seconds,
        ),
        max_size=3,
    ),
    seconds,
)
COLUMNS = ("power_watts", "sm_mhz", "temperature_celsius", "throttle_bits", "utilisation_percent")


@st.composite
def gpu_traces(draw: st.DrawFn) -> GpuTrace:
    """Few samples; `longer` makes many of them."""
    times = sorted(draw(st.lists(anything_of_time, max_size=4)))
    values = [draw(st.lists(st.none() | finite, min_size=1, max_size=3)) for _ in COLUMNS]
    return GpuTrace(
        uuid=Reading(None, "not told"),
        pci_bus_id=Reading(None, "not told"),
        time_s=tuple(times),
        columns={
            name: tuple(found[at % len(found)] for at in range(len(times)))
            for name, found in zip(COLUMNS, values, strict=True)
        },
        absent={},
        lost=draw(st.none() | st.builds(Lost, anything_of_time, st.just("gone"))),
        energy_joules=Reading(draw(finite)),
        energy_s=draw(seconds),
        slowed_ns={"sw_power_cap": Reading(draw(st.sampled_from((0, 1, 10**18))))},
        gpm=Reading(GpmTrace(tuple(times), {"tensor_percent": tuple(times)}, {})),
    )


anything_of_time = seconds | st.sampled_from((-1.0, -MOST))
traces = st.builds(
    Trace,
    seconds,
    anything_of_time,
    anything_of_time,
    st.none(),
    st.lists(gpu_traces(), max_size=2).map(tuple),
    st.lists(st.builds(Gap, anything_of_time, anything_of_time, st.just("slow")), max_size=2).map(
        tuple
    ),
)


def timed(median: float = 1.0, unit: str = "TFLOP/s", intensity: float | None = None) -> Rate:
    about = ("gemm", "bf16", 0, "gpu", True)
    return Rate(*about, median, 0.0, unit, 3, 0.0, 1.0, 0, intensity)


def held(peak: float, gate: float = 1.0, median: float = 1.0) -> Report:
    judged = Judgement(timed(median), 0, Verdict.FAIL, peak, gate, "a source", "a reason", "fix")
    return replace(PASSED_GPU, judgements=(judged,))


def under(peaks: dict[str, float], rate: Rate) -> Report:
    """A report with a roofline."""
    gpu = Gpu(0, "a GPU", "h100-sxm", None, None, (0,), peaks)
    return replace(PASSED_GPU, gpus=(gpu,), rates=(rate,))


def sampled(times: tuple[float, ...], value: float, stop_s: float = 3.0) -> Trace:
    columns: dict[str, tuple[float | None, ...]] = dict.fromkeys(COLUMNS, (value,) * len(times))
    none: Reading[GpmTrace] = Reading(None, "not asked")
    gpu = GpuTrace(
        uuid=Reading(None, "not told"),
        pci_bus_id=Reading(None, "not told"),
        time_s=times,
        columns=columns,
        absent={},
        lost=None,
        energy_joules=Reading(None, "not told"),
        energy_s=0.0,
        slowed_ns={},
        gpm=none,
    )
    return Trace(0.1, 0.0, stop_s, None, (gpu,), ())


QUIET = sampled((0.0, 1.0), 1.0)
ENDLESS = check("test_endless", seconds=MOST, began=MOST)


@example(held(LEAST), QUIET)
@example(held(1.0, median=MOST), QUIET)
@example(replace(PASSED_GPU, checks=(ENDLESS, ENDLESS)), QUIET)
@example(under({"memory": LEAST, "bf16": 1.0}, timed(intensity=1e-9)), QUIET)
@example(under({"memory": 1.0, "bf16": 0.0}, timed(intensity=1.0)), QUIET)
@example(PASSED_GPU, sampled((0.0, 1.0), MOST))
@example(replace(PASSED_GPU, checks=(check(measurements=(Measurement("n", 10**400),)),)), QUIET)
@given(reports, traces)
def test_no_number_costs_the_report(report: Report, trace: Trace) -> None:
    """Every word of page, terminal and junit.xml; the pictures have a test of their own."""
    assert "</html>" in to_html(report, trace, pictures=False)
    summary(report, Console(file=io.StringIO(), width=100))
    assert "</testsuites>" in to_junit(report)


def longer(gpu: GpuTrace, many: int) -> GpuTrace:
    """So many samples more that they are thinned."""
    times = sorted([*gpu.time_s, *map(float, range(many))])
    columns = {
        name: tuple(column[at % len(column)] if column else None for at in range(len(times)))
        for name, column in gpu.columns.items()
    }
    return replace(gpu, time_s=tuple(times), columns=columns)


@example(sampled((-MOST, MOST), 1.0), 700)
@example(sampled((0.0, 1.0), MOST), 0)
@given(traces, st.sampled_from([0, 700]))
def test_no_sample_breaks_the_thinning(trace: Trace, many: int) -> None:
    thinned = thin(replace(trace, gpus=tuple(longer(gpu, many) for gpu in trace.gpus)))
    text = json.dumps(traces_to_json(thinned), allow_nan=False)
    assert json.loads(text)["schema"] == 1
    assert all(len(gpu.time_s) <= 600 for gpu in thinned.gpus)


@example(held(LEAST), QUIET)
@example(held(-1.0, -MOST), QUIET)
@example(under({"memory": 1.0, "bf16": LEAST}, timed(intensity=1.0)), QUIET)
@example(PASSED_GPU, sampled((0.0, MOST), MOST))
@example(PASSED_GPU, sampled((0.0, 1.0), 1.0, stop_s=1e300))
@settings(max_examples=share(25))  # pictures take a tenth of a second
@given(reports, traces)
def test_no_number_costs_a_picture(report: Report, trace: Trace) -> None:
    assert "Not drawn" not in to_html(report, trace)
