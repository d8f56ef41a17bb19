"""What is counted when the smoke suite is run again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import repeat_smoke
from benchmarks.repeat_smoke import Ended, Odd, busy_loops, lines, main, read, summary

WAITS = "test_throughput.py::test_wait_matters"
SLOW = Odd(WAITS, "fail", "4.3 of 6.9 ms")
UNSURE = Odd(WAITS, "inconclusive", "too busy to tell")
RUNS = [
    Ended(0, 1.5, 30.0, "pass"),
    Ended(2, 4.0, 60.0, "fail", (SLOW,)),
    Ended(0, 1.0, 30.0, "pass"),
    Ended(2, 3.5, 60.0, "fail", (SLOW, Odd("test_jit.py::test_compile_value", "fail", "2 == 1"))),
    Ended(0, 1.2, 30.0, "inconclusive", (UNSURE,)),
]


def report(verdict: str, *checks: str) -> dict[str, Any]:
    """A smoke.json, as far as it is read: one check for each verdict."""
    rows = [
        {"file": "test_a.py", "name": f"test_{n}", "verdict": one, "reason": f"reason {n}"}
        for n, one in enumerate(checks)
    ]
    return {"verdict": verdict, "checks": rows}


def test_only_what_did_not_pass_is_read() -> None:
    assert read(report("pass", "pass", "not applicable"), 0) == ("pass", ())
    verdict, odd = read(report("fail", "pass", "fail", "inconclusive"), 1)
    assert verdict == "fail"
    assert odd == (
        Odd("test_a.py::test_1", "fail", "reason 1"),
        Odd("test_a.py::test_2", "inconclusive", "reason 2"),
    )


def test_a_run_without_a_report_is_no_pass() -> None:
    assert read({}, 0) == ("no report, exit code 0", ())
    assert not Ended(0, 1.0, 1.0, read({}, 0)[0]).passed


def test_an_exit_code_that_contradicts_is_no_pass() -> None:
    assert not Ended(0, 1.0, 1.0, read(report("pass", "pass"), 1)[0]).passed


def test_runs_are_counted() -> None:
    found = summary(RUNS)
    assert (found["runs"], found["beside busy loops"], found["load"]) == (5, 2, [1.0, 4.0])
    assert found["verdicts"] == {"pass": 2, "fail": 2, "inconclusive": 1}
    waits = found["checks"][WAITS]
    assert (waits["times"], waits["beside busy loops"]) == (3, 2)
    assert waits["reasons"] == ["fail: 4.3 of 6.9 ms", "inconclusive: too busy to tell"]
    assert list(found["checks"]) == [WAITS, "test_jit.py::test_compile_value"]


def test_summary_is_said() -> None:
    first, *rest = lines(summary(RUNS))
    assert first == "5 runs, 2 beside busy loops, load 1 to 4: 2 pass, 2 fail, 1 inconclusive"
    assert rest[:2] == [f"{WAITS}: 3 times, 2 beside busy loops", "  fail: 4.3 of 6.9 ms"]


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("inconclusive", 1)])
def test_exit_code(
    verdict: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every second run is beside the loops; one that did not pass is enough for a 1."""
    asked: list[int] = []

    def once(busy: int, _keep: Path | None) -> Ended:
        asked.append(busy)
        return Ended(busy, 1.0, 1.0, verdict if len(asked) == 3 else "pass")

    monkeypatch.setattr(repeat_smoke, "once", once)
    assert main(["--runs", "4", "--busy", "3"]) == code
    assert asked == [0, 3, 0, 3]
    told = capsys.readouterr()
    assert told.out.startswith("4 runs, 2 beside busy loops, load 1 to 1: ")
    assert "2/4: pass in 1 s beside 3 busy loops, load 1\n" in told.err


def test_busy_loops_end() -> None:
    before = _children()  # a daemon or a cluster of other tests of this process
    with busy_loops(2):
        began = _children() - before
        assert len(began) == 2
    assert not _children() & began


def test_busy_loops_end_with_their_parent() -> None:
    """Killed before it could stop them, the lane leaves no loop behind."""
    code = "import os; from benchmarks import repeat_smoke as r\nwith r.busy_loops(1): os._exit(0)"
    held = subprocess.Popen(
        [sys.executable, "-c", code], cwd=repeat_smoke.HOME, stdout=subprocess.PIPE
    )
    held.communicate(timeout=300)  # the loop holds the pipe too: both have ended
    assert held.returncode == 0


def _children() -> set[int]:
    """The processes that this one started and that run."""
    text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
    return set(map(int, text.split()))
