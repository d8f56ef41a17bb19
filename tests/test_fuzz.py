"""Whatever somebody may give to read: it is read, or refused with a sentence, and soon.

A hundred inputs each in CI, the same ones each time; JAXPAD_HYPOTHESIS=fuzz draws 5,000 new ones.
"""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from fleet_nodes import fails, report
from helpers import HOME
from jaxpad import gpus, profiles
from jaxpad.clusters import kube_follow, slurm_follow, slurm_plan
from jaxpad.clusters.kube_logs import Lost, pack, unpack
from jaxpad.clusters.request import Cluster
from jaxpad.core import bounds, hostlist, paths
from jaxpad.core.codec import loads
from jaxpad.core.results import UsageError
from jaxpad.effects import compilation, matrix
from jaxpad.fleet import digest
from jaxpad.fleet.untrusted import parse as parse_report
from jaxpad.health import kernel as health_kernel
from jaxpad.multi import network, record as records
from jaxpad.nvml import kernel_log, xid
from jaxpad.report import traces_from_json, traces_to_json
from jaxpad.tune import load_space
from test_health_kernel import LINES as KERNEL
from test_multi_parts import INFINIBAND, SOCKETS
from test_multi_read import ONE
from test_report_samples import TRACES

LIMIT_S = 10  # of one input, on a busy machine


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """A hang is a failure, and no hang of the tests."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# Texts that are nearly right: a good one with parts of it changed.

TOKENS = [
    *("=", "\n", '"', "'", "[", "]", "{", "}", "[[", "]]", ",", ".", ":", ";", "|", "-", "#", "\\"),
    *("\0", "\r", "\t", " ", "\x1b[2J", "\u202e", "\ufeff", "é", "\U0001d7d9", "\ud800", "٣"),
    *("nan", "-inf", "1e999", "-1", "0", "9" * 30, "9" * 5000, "0x", "true", "null", "1979-05-27"),
    *('""', "[]", "{}", "[[]]", "{a={}}", "'''", '"""', "x = 1\n", "[x]\n", "[[flag]]\n"),
    *("[" * 2000, "{" * 2000, "a." * 2000, "n[0-99999999]", "n[", "]", "\n" * 500, "x" * 5000),
]


def edits(good: str) -> st.SearchStrategy[str]:
    """`good`, with some parts taken away, doubled, moved, or with something else in their place."""
    place = st.integers(0, len(good))
    edit = st.tuples(place, st.integers(0, 40), st.sampled_from(TOKENS) | st.text(max_size=8))
    return st.lists(edit, min_size=1, max_size=6).map(partial(_edited, good))


def _edited(good: str, changes: list[tuple[int, int, str]]) -> str:
    for place, length, instead in changes:
        good = good[:place] + instead + good[place + length :]
    return good


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([-1, 0, 2**70, 1e308, "", "x" * 500, "pass", "NaN"])
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def spoilt(good: Any) -> st.SearchStrategy[Any]:
    """JSON data with values in it replaced, taken away or added."""
    step = st.tuples(st.lists(st.integers(0, 50), max_size=8), VALUES, st.booleans())
    return st.lists(step, min_size=1, max_size=3).map(partial(_spoilt, json.dumps(good)))


def _spoilt(good: str, steps: list[tuple[list[int], Any, bool]]) -> Any:
    data = json.loads(good)
    for path, value, gone in steps:
        data = _replaced(data, path, value, gone=gone)
    return data


def _replaced(data: Any, path: list[int], value: Any, *, gone: bool) -> Any:
    if not path or not isinstance(data, list | dict) or not data:
        return value
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key = keys[path[0] % len(keys)]
    if len(path) == 1 and gone:
        del data[key]
    else:
        data[key] = _replaced(data[key], path[1:], value, gone=gone)
    return data


# TOML files.


def _space(file: Path) -> object:
    return load_space(str(file), "cpu")


def _layers(file: Path) -> object:
    profile = profiles.load(file)
    return profiles.layers(profile), profiles.compose(profile, {}, "0.10.2")


TOML: dict[str, tuple[str, Callable[[Path], object]]] = {
    "profile": ("configs/profiles/fsdp-hopper.toml", _layers),
    "GPU": ("configs/gpus/h100-sxm.toml", gpus.load),
    "bounds": ("configs/health.toml", bounds.load),
    "space": ("configs/tune/cpu.toml", _space),
    "project": ("configs/project.toml", paths.read),
}
PROJECT = 'name = "x"\nbase = "wheels"\ngpus = ["l4"]\n[workloads]\nmine = "a.b:c"\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@cache
def good_toml(name: str) -> str:
    if name == "bounds":
        return "".join(f"{one.name} = {one.value}\n" for one in bounds.load().values())
    file = HOME / TOML[name][0]
    return file.read_text(encoding="utf-8") if file.exists() else PROJECT


@pytest.mark.parametrize("name", TOML)
@given(data=st.data())
def test_toml(name: str, folder: Path, data: st.DataObject) -> None:
    text = data.draw(edits(good_toml(name)))
    file = folder / f"{name}.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with soon(), contextlib.suppress(UsageError):
        TOML[name][1](file)


@given(st.sampled_from(sorted(bounds.load())), VALUES)
def test_bound_of_any_value(folder: Path, name: str, value: Any) -> None:
    (folder / "bound.toml").write_text(f"{name} = {_toml(value)}\n", encoding="utf-8")
    with soon(), contextlib.suppress(UsageError):
        found = bounds.load(folder / "bound.toml")
        assert found[name].value >= 0


def _toml(value: Any) -> str:
    """A JSON value as TOML has it; what TOML cannot hold is a mistake of its own."""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(k)} = {_toml(v)}' for k, v in value.items())}}}"
    return json.dumps(value)


# Reports, traces, records of processes, matrices, cache entries: JSON.


def _read_report(text: str) -> object:
    data = text.encode("utf-8", "surrogatepass")
    return digest.digest("n0", parse_report(data), data, lambda value: value)


def _read_traces(text: str) -> object:
    with contextlib.suppress(ValueError, RecursionError):
        return traces_from_json(loads(text))
    return None


def _read_matrix(folder: Path, text: str) -> object:
    (folder / "matrix.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    return matrix.read(folder / "matrix.json")


@cache
def good_json(name: str) -> Any:
    return {
        "report": lambda: json.loads(_report_text()),
        "traces": lambda: traces_to_json(TRACES["hostile node"]),
        "record": lambda: json.loads(records.text(ONE)),
        "matrix": _few_rows,
    }[name]()


def _report_text() -> str:
    from jaxpad.report import to_json

    return json.dumps(to_json(report("n0", 2, fails("broken"))))


def _few_rows() -> Any:
    content = json.loads((HOME / "configs/xla/matrix.json").read_text(encoding="utf-8"))
    lists = ("builds", "cells", "effects")
    return content | {name: content[name][:2] for name in lists}


JSON = ("report", "traces", "record", "matrix")


def _read_json(name: str, text: str, folder: Path) -> object:
    readers: dict[str, Callable[[str], object]] = {
        "report": _read_report,
        "traces": _read_traces,
        "record": lambda text: records._record(text),
        "matrix": partial(_read_matrix, folder),
    }
    with soon(), contextlib.suppress(UsageError):
        return readers[name](text)
    return None


@pytest.mark.parametrize("name", JSON)
@given(data=st.data())
def test_json_of_another_shape(name: str, folder: Path, data: st.DataObject) -> None:
    _read_json(name, json.dumps(data.draw(spoilt(good_json(name)))), folder)


def test_report_without_its_verdict() -> None:
    with pytest.raises(UsageError, match="it says 'None' where its checks come to 'fail'"):
        _read_report(json.dumps({k: v for k, v in good_json("report").items() if k != "verdict"}))


@pytest.mark.parametrize("name", JSON)
@given(data=st.data())
def test_json_of_other_letters(name: str, folder: Path, data: st.DataObject) -> None:
    _read_json(name, data.draw(edits(json.dumps(good_json(name)))), folder)


# What other programs print.


def _of_kernel(text: str) -> object:
    found = kernel_log.xids(text)
    health_kernel.hardware(found)
    return [xid.action(each.code, each.text) for each in found], kernel_log.said(text)


def _of_sinfo(text: str) -> object:
    return slurm_plan.choose(slurm_plan.parse(text), Cluster(), (), ())


def _of_kubectl(text: str) -> object:
    kube_follow.reasons(text)
    return kube_follow.parse(text)


SINFO = "n0|idle|gpu:h100:8(S:0-1)|batch*|none\nn1|down*|(null)|batch*|Not responding\n"
SQUEUE = "12|RUNNING|None\n13|PENDING|Resources\n"
EVENTS = {
    "items": [
        {
            "type": "Warning",
            "reason": "FailedScheduling",
            "message": "0/3 nodes",
            "lastTimestamp": "2026-01-01T00:00:00Z",
            "metadata": {
                "name": "jaxpad-0-abc",
                "annotations": {"batch.kubernetes.io/job-completion-index": "0"},
            },
            "spec": {"nodeName": "gpu-a"},
            "status": {
                "phase": "Failed",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "x"}],
                "containerStatuses": [
                    {"name": "jaxpad", "state": {"terminated": {"exitCode": 137, "reason": "E"}}}
                ],
            },
        }
    ]
}
XIDS = (
    "[ 12.5] NVRM: Xid (PCI:0000:0b:00): 94, pid=1, Contained",
    "6,99,1234567,-;NVRM: Xid (PCI:0000:0b:00 GPU-I:05): 145, RLW_REMAP Nonfatal XC0 i0 (0x1)",
    f"NVRM: Xid (PCI:0000:0b:00): {'9' * 5000}, pid=1",
    "NVRM: Xid (PCI:0b:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Reboot)",
)
LINES_OF: dict[str, tuple[str, Callable[[str], object]]] = {
    "kernel log": ("\n".join([*XIDS, *(str(line[0]) for line in KERNEL)]), _of_kernel),
    "NCCL log": (INFINIBAND + SOCKETS, network.parse),
    "sinfo": (SINFO, _of_sinfo),
    "squeue": (SQUEUE, slurm_follow.parse),
    "kubectl": (json.dumps(EVENTS), _of_kubectl),
    "pod's log": ("\n".join(pack('{"a": 1}' * 50)), unpack),
    "node list": ("n[0-3,7],gpu-[001-010]-x", hostlist.expand),
}
REFUSALS = (UsageError, Lost, kube_follow.Refused)


@pytest.mark.parametrize("name", LINES_OF)
@given(data=st.data())
def test_what_others_print(name: str, data: st.DataObject) -> None:
    good, read = LINES_OF[name]
    with soon(), contextlib.suppress(*REFUSALS):
        read(data.draw(edits(good)))


@given(spoilt(EVENTS))
def test_kubectl_of_another_shape(answer: Any) -> None:
    with soon(), contextlib.suppress(*REFUSALS):
        _of_kubectl(json.dumps(answer))


@given(st.sampled_from(sorted(LINES_OF)), st.sampled_from(TOKENS), st.integers(1, 20_000))
@settings(max_examples=max(1, settings().max_examples // 2))
def test_one_thing_without_end(name: str, token: str, times: int) -> None:
    """A pattern that goes back and forth in a long line would take minutes."""
    good, read = LINES_OF[name]
    line = good.splitlines()[0]
    with soon(), contextlib.suppress(*REFUSALS):
        read(line[: len(line) // 2] + (token * times)[:200_000] + line[len(line) // 2 :])


@given(st.data())
def test_cache_entry(data: st.DataObject) -> None:
    """Believed as it was kept, or not at all."""
    with pytest.MonkeyPatch.context() as patched:
        entry = data.draw(spoilt({"message": "x"}) | st.just(good_json("record")))
        patched.setattr(compilation, "get", lambda _: entry)
        found = compilation.stored("key")
        assert found is None or found.message == entry["message"]
        assert found is None or asdict(found)
