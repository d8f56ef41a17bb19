"""A recording of the double, played back by the double, is the same machine in disguise."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import nvml_double as double
from helpers import HOME
from jaxpad import nvml
from jaxpad.core import codec
from jaxpad.nvml import Snapshot

CODE = """
import sys
from pathlib import Path
from jaxpad.cli.node import nvml_record
from jaxpad.commands.machine import RecordOptions as Options
from jaxpad.core.results import UsageError
try:
    sys.exit(nvml_record(Options(out=Path(sys.argv[1]), json=sys.argv[2:] == ["--json"])))
except UsageError as error:
    sys.stderr.write(f"{error}\\n")
    sys.exit(2)
"""
DISGUISED = ("uuid", "serial", "pci_bus_id", "pid", "cluster_uuid")
MOVING = ("unix_s", "energy_joules", "slowed_ns", "kernel")


def record(variables: Mapping[str, str], out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", CODE, str(out), *more]
    return subprocess.run(argv, env=dict(variables), cwd=HOME, capture_output=True, text=True)


def same(seen: Any) -> Any:
    """A snapshot's plain data without what is disguised and what moves by itself."""
    if isinstance(seen, dict):
        kept = {key: value for key, value in seen.items() if key not in (*DISGUISED, *MOVING)}
        if "used_bytes" in kept and "name" in kept:  # a process
            del kept["name"]
        return {key: same(value) for key, value in kept.items()}
    return [same(each) for each in seen] if isinstance(seen, list) else seen


def played(path: Path) -> Snapshot:
    return nvml.ask(environ=double.environ(path))


@pytest.mark.parametrize(
    "scenario",
    [
        "healthy-h100-sxm",
        "recorded-h200",
        "a100-mig",
        "l4",
        "rtx-4090",
        "gb200",
        "wsl",
        "old-driver",
        "garbage",
        "lost-before",
    ],
)
def test_round_trip(scenario: str, tmp_path: Path) -> None:
    out = tmp_path / "recording.toml"
    done = record(double.environ(scenario), out)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [out]
    before, after = double.seen(scenario), played(out)
    assert same(codec.to_plain(after)) == same(codec.to_plain(before))


def test_disguise(tmp_path: Path) -> None:
    """Nothing of the machine's names is left, and what was the same still is."""
    record(double.environ("healthy-h100-sxm"), tmp_path / "one.toml")
    text = (tmp_path / "one.toml").read_text().lower()
    for word in ("5c1ab3", "16540230", "4711", "python", ":3b:", ":7b:"):
        assert word not in text
    seen = played(tmp_path / "one.toml")
    uuids = [gpu.identity.uuid.value for gpu in seen.gpus]
    pids = [[each.pid for each in gpu.processes.compute.value or ()] for gpu in seen.gpus]
    assert len(set(uuids)) == 8
    assert pids == [[1000]] * 8
    assert (seen.gpus[0].processes.compute.value or ())[0].name.value == "process-0"


def test_cuda_order_is_kept(tmp_path: Path) -> None:
    """CUDA's and NVML's names of one GPU are disguised alike."""
    record(double.environ("healthy-h100-sxm"), tmp_path / "one.toml")
    variables = double.environ(tmp_path / "one.toml")
    cuda, seen = nvml.cuda_devices(variables), played(tmp_path / "one.toml")
    found = nvml.match(range(8), cuda, seen)
    assert [each.gpu.index if each.gpu else None for each in found] == list(range(7, -1, -1))
    assert {each.by for each in found} == {"UUID"}


def test_json(tmp_path: Path) -> None:
    done = record(double.environ("l4"), tmp_path / "none", "--json")
    told = json.loads(done.stdout)
    assert told["gpu"]["0"]["Name"] == "NVIDIA L4"
    assert list(tmp_path.iterdir()) == []


def test_is_toml(tmp_path: Path) -> None:
    record(double.environ("a100-mig"), tmp_path / "one.toml")
    found = tomllib.loads((tmp_path / "one.toml").read_text())
    assert found["gpu"]["1"]["RemappedRows"] == [1, 0, 0, 0]
    assert found["gpu"]["0"]["mig"]["1"]["GpuInstanceId"] == 2


@pytest.mark.parametrize("scenario", ["not-loaded", "mismatch", "no-permission", "crashes"])
def test_no_driver(scenario: str, tmp_path: Path) -> None:
    done = record(double.environ(scenario), tmp_path / "one.toml")
    assert done.returncode == 2
    assert done.stderr.startswith("nothing to record, as NVML does not answer here (")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    done = record(double.environ("l4"), tmp_path / "none/one.toml")
    assert done.returncode == 2
    assert "name another file with --out" in done.stderr
    assert done.stderr.count("\n") == 1
