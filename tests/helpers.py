"""What several tests of the toolkit share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.core.results import CheckResult
from jaxpad.smoke import collection

HOME = Path(__file__).resolve().parent.parent
STEERING = ("XLA_", "JAX_", "JAXPAD_", "PYTEST_", "CUDA_", "NVIDIA_")
Answers = Callable[..., dict[str, CheckResult]]
GPU_FILES = ("test_health.py", "test_throughput_gates.py", "test_watched.py")
# What wants a GPU, or a second device.
NOT_HERE = {"test_driver_recent", "test_memory_limit", "test_gemm_tf32", "test_device_to_device"}
NOT_HERE |= {"test_all_reduce", "test_all_gather", "test_reduce_scatter", "test_all_to_all"}
NOT_HERE |= {"test_permute"} | {
    check.name for check in collection.collect(HOME / "smoke_tests") if check.file.name in GPU_FILES
}


def environ(**added: str) -> dict[str, str]:
    """This process's environment without what would steer the code under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(STEERING)}
    ours = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(HOME)}
    return kept | ours | added


def gone(pid: int, limit_s: float = 10.0) -> bool:
    """Whether a process ends soon; one that nobody waits for is a zombie."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def quick(limit_s: float, call: Callable[[], object]) -> None:
    """Call it until it took less than that, three times at most.

    A busy machine is late now and then, what became slow is every time.
    """
    took: list[float] = []
    while not took or took[-1] >= limit_s:
        assert len(took) < 3, f"late three times: {took}"
        begun = time.monotonic()
        call()
        took.append(time.monotonic() - begun)


@dataclass(frozen=True)
class SmokeRun:
    """What `jaxpad smoke` left behind."""

    code: int
    stderr: str
    report: dict[str, Any]

    def check(self, name: str) -> dict[str, Any]:
        """The result of the check of that function name."""
        found: dict[str, Any] = next(c for c in self.report["checks"] if c["name"] == name)
        return found

    def verdicts(self, file: str = "") -> dict[str, str]:
        """Verdict by check, of one file or of all."""
        checks = self.report["checks"]
        return {c["name"]: c["verdict"] for c in checks if c["file"].startswith(file)}


def smoke_argv(out: Path, *options: str) -> list[str]:
    """The command a user gives, in this Python."""
    return [sys.executable, "-m", "jaxpad", "smoke", "--out", str(out), *options]


def smoke(out: Path, *options: str, wrap: Sequence[str] = (), **added: str) -> SmokeRun:
    """Run `jaxpad smoke` with `options` and `added` variables, `wrap` before the command."""
    argv = [*wrap, *smoke_argv(out, *options)]
    done = subprocess.run(argv, env=environ(**added), capture_output=True, text=True, cwd=HOME)
    written = out / "smoke.json"
    report = json.loads(written.read_text()) if written.exists() else {}
    return SmokeRun(done.returncode, done.stderr, report)
