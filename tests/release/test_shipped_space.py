"""The shipped CPU space tuned for two workloads, whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from tune_real import tuned


@pytest.mark.parametrize("workload", ["mlp", "transformer"])
def test_shipped_space(workload: str, tmp_path: Path) -> None:
    found = tuned(f"benchmarks.steps:{workload}", tmp_path, measurements=4)
    assert 16 < found["programs"] < len(found["compiled"])
    assert len(found["measured"]) == 4
