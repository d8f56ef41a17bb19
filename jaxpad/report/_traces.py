"""traces.json: what the NVML sampler saw, in seconds since the run's start, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.nvml import Gap, GpmTrace, GpuTrace, Lost, Trace
from jaxpad.report._plain import Misfit, revive, to_plain

TRACES_SCHEMA = 1


def shift(trace: Trace, origin_s: float) -> Trace:
    """The trace with every time counted from `origin_s`, the run's start by the same clock."""

    def moved(times: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(time - origin_s for time in times)

    def gpm(found: GpmTrace) -> GpmTrace:
        return replace(found, time_s=moved(found.time_s))

    def gpu(one: GpuTrace) -> GpuTrace:
        lost = one.lost and Lost(one.lost.at_s - origin_s, one.lost.reason)
        return replace(one, time_s=moved(one.time_s), lost=lost, gpm=one.gpm.map(gpm))

    gaps = (Gap(gap.start_s - origin_s, gap.stop_s - origin_s, gap.why) for gap in trace.gaps)
    start, stop = moved((trace.start_s, trace.stop_s))
    gpus = tuple(map(gpu, trace.gpus))
    return replace(trace, start_s=start, stop_s=stop, gpus=gpus, gaps=tuple(gaps))


def traces_to_json(trace: Trace) -> dict[str, Any]:
    """The content of traces.json."""
    return {"schema": TRACES_SCHEMA, **to_plain(trace)}


def traces_from_json(data: Any) -> Trace:
    """The trace that `traces_to_json` gave.

    Raises UsageError for another schema version, for fields of another type, and for
    columns that are longer or shorter than their times.
    """
    if not isinstance(data, Mapping) or data.get("schema") != TRACES_SCHEMA:
        version = data.get("schema") if isinstance(data, Mapping) else None
        raise UsageError(
            f"these traces have schema {version!r} and this jaxpad reads schema {TRACES_SCHEMA}; "
            "read them with the jaxpad version that wrote them, or run the smoke suite again"
        )
    try:
        trace = revive(Trace, {n: v for n, v in data.items() if n != "schema"}, "traces")
        _even(trace)
    except Misfit as misfit:
        raise UsageError(
            f"not a traces.json of schema {TRACES_SCHEMA}: {misfit}; "
            "take the file as jaxpad wrote it, or run the smoke suite again"
        ) from None
    assert isinstance(trace, Trace)
    return trace


def _even(trace: Trace) -> None:
    for at, gpu in enumerate(trace.gpus):
        found = {f"columns.{name}": column for name, column in gpu.columns.items()}
        for name, column in found.items():
            if len(column) != len(gpu.time_s):
                samples = f"has {len(column)} samples for {len(gpu.time_s)} times"
                raise Misfit(f"traces.gpus[{at}].{name} {samples}")
