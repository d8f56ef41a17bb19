"""What is read from the end of a CI run."""

from __future__ import annotations

import pytest

from benchmarks.ci_time import lanes

LOG = """=== smoke 3.11: bash -euc python3 -m jaxpad.bootstrap smoke
all             3 s
=== lanes
smoke 3.11      60 s  passed
test 3.11     1200 s  passed
lint           100 s  passed
all           1360 s
"""


def test_lanes_are_read() -> None:
    assert lanes(LOG) == {"smoke 3.11": 60, "test 3.11": 1200, "lint": 100, "all": 1360}


@pytest.mark.parametrize(
    "log", [LOG.replace("100 s  passed", "100 s  exit code 1"), "", "=== lanes\n"]
)
def test_a_failed_run_is_no_measurement(log: str) -> None:
    with pytest.raises(ValueError, match="no whole run"):
        lanes(log)
