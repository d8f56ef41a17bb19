"""traces.json: shifted, thinned, redacted, and read back as the same trace."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import report_nodes as nodes
from jaxpad.core.results import UsageError
from jaxpad.nvml import Lost, Trace
from jaxpad.report import TRACES_SCHEMA, redact, thin, traces_from_json, traces_to_json
from jaxpad.report.data import MOST
from test_report_samples import TRACES

LONG = nodes.trace(nodes.Node(gpus=2, slow=1, lost=0), hz=20.0)
every_trace = pytest.mark.parametrize("name", TRACES)


def through_text(trace: Trace) -> Any:
    return json.loads(json.dumps(traces_to_json(trace), allow_nan=False))


@every_trace
def test_comes_back(name: str) -> None:
    content = through_text(TRACES[name])
    assert content["schema"] == TRACES_SCHEMA
    assert traces_from_json(content) == TRACES[name]


@every_trace
def test_thin_twice_is_once(name: str) -> None:
    once = thin(TRACES[name])
    assert thin(once) == once
    assert traces_from_json(through_text(once)) == once


def test_thin_is_bounded_and_keeps_what_matters() -> None:
    assert len(LONG.gpus[1].time_s) > 10 * MOST
    for before, after in zip(LONG.gpus, thin(LONG).gpus, strict=True):
        assert len(after.time_s) <= MOST
        assert list(after.time_s) == sorted(after.time_s)
        for name in ("power_watts", "temperature_celsius", "utilisation_percent"):
            assert max(after.columns[name]) == round(max(before.columns[name]), 3)  # type: ignore[type-var, arg-type]
        assert min(after.columns["sm_mhz"]) == min(before.columns["sm_mhz"])  # type: ignore[type-var]
        ends = [before.columns["energy_joules"][at] for at in (0, -1)]
        assert [after.columns["energy_joules"][at] for at in (0, -1)] == [
            round(end or 0, 3) for end in ends
        ]


def test_thin_keeps_a_reason_seen_once() -> None:
    gpu = LONG.gpus[1]
    bits = list(gpu.columns["throttle_bits"])
    bits[4321] = 0x80
    told = replace(gpu, columns=gpu.columns | {"throttle_bits": tuple(bits)})
    found = thin(replace(LONG, gpus=(told,))).gpus[0]
    assert 0x80 in found.columns["throttle_bits"]
    assert len(found.time_s) <= MOST


def test_thin_takes_columns_of_nothing() -> None:
    gpu = LONG.gpus[1]
    none: dict[str, tuple[float | None, ...]] = {
        name: (None,) * len(gpu.time_s) for name in gpu.columns
    }
    found = thin(replace(LONG, gpus=(replace(gpu, columns=none),))).gpus[0]
    assert set(found.columns["power_watts"]) == {None}
    empty = replace(gpu, time_s=(), columns={})
    assert thin(replace(LONG, gpus=(empty,))).gpus[0].time_s == ()


def test_gpm_is_averaged() -> None:
    gpm = LONG.gpus[1].gpm.value
    assert gpm is not None
    found = thin(LONG).gpus[1].gpm.value
    assert found is not None
    assert len(found.time_s) <= MOST < len(gpm.time_s)
    assert set(found.metrics["tensor_percent"]) == {0.5}
    assert found.time_s[-1] == gpm.time_s[-1]


def test_since() -> None:
    moved = TRACES["lost GPU"].since(100.0)
    assert (moved.start_s, moved.stop_s) == (-100.0, 500.0)
    assert moved.gpus[3].lost == Lost(131.0, "NVMLError_GpuIsLost: GPU is lost")
    assert moved.gpus[0].time_s[0] == -100.0
    assert moved.gaps[0].start_s == 201.0
    assert moved.gaps[0].seconds == 8.5
    gpm = moved.gpus[0].gpm.value
    assert gpm is not None
    assert gpm.time_s[0] == -100.0


def test_uuids_are_redacted() -> None:
    found = redact(TRACES["healthy node"], user=None, home=None)
    assert found.gpus[1].uuid.value == "GPU-5c1a<redacted>"
    assert found.gpus[1].pci_bus_id == TRACES["healthy node"].gpus[1].pci_bus_id
    assert found.gpus[1].columns == TRACES["healthy node"].gpus[1].columns


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_other_version_is_refused(version: object) -> None:
    with pytest.raises(UsageError, match=r"have schema .* reads schema 1; read them with"):
        traces_from_json(traces_to_json(TRACES["hostile node"]) | {"schema": version})


@pytest.mark.parametrize("content", [{}, [], "text", None])
def test_other_json_is_refused(content: Any) -> None:
    with pytest.raises(UsageError, match="these traces have schema None"):
        traces_from_json(content)


BROKEN = {
    "traces.gaps is missing": lambda content: content.pop("gaps"),
    "traces.x is not a field": lambda content: content.update(x=1),
    r"traces.gpus\[0\].time_s\[2\] is 'soon'": lambda content: content["gpus"][0][
        "time_s"
    ].__setitem__(2, "soon"),
    r"traces.gpus\[1\].columns.sm_mhz has 599 samples for 600 times": lambda content: content[
        "gpus"
    ][1]["columns"]["sm_mhz"].pop(),
    r"traces.gpus\[0\].uuid.value is 7": lambda content: content["gpus"][0]["uuid"].update(value=7),
    r"traces.gpus\[1\].lost is not an object": lambda content: content["gpus"][1].update(lost=3),
}


@pytest.mark.parametrize(("sentence", "spoil"), BROKEN.items(), ids=BROKEN)
def test_broken_field_is_named(sentence: str, spoil: Any) -> None:
    content = through_text(TRACES["hostile node"])
    spoil(content)
    with pytest.raises(UsageError, match=sentence):
        traces_from_json(content)
