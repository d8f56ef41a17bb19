"""Real processes on this machine, JAX on the CPU with Gloo: healthy, and with each fault."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

import multi_ranks
from jaxpad import multi
from jaxpad.core.results import Verdict
from jaxpad.multi import Expected


def test_healthy(tmp_path: Path) -> None:
    ran = multi_ranks.run(tmp_path, ["none"] * 3, pairwise=True, json=True)
    assert ran.codes == (0, 0, 0), ran.logs
    assert (ran.report.verdict, ran.report.blame) == (Verdict.PASS, ())
    answers = {check.name: check.verdict for check in ran.report.checks}
    assert answers.pop("transport") is Verdict.NOT_APPLICABLE
    assert set(answers.values()) == {Verdict.PASS}
    assert len(answers) == 17
    assert {pair.nodes for pair in ran.report.pairs} == {("n0", "n1"), ("n0", "n2"), ("n1", "n2")}
    assert len(ran.report.rates) == 10
    assert all(rate.gb_per_s > 0 for rate in ran.report.rates)
    logs = multi.read_logs({f"pod-{at}": text for at, text in enumerate(ran.outputs)})
    assert [text.count("\n") for text in ran.outputs] == [1, 1, 1]
    assert multi.merge(logs, Expected(processes=3)) == ran.report
    assert json.loads(json.dumps(ran.report.to_json()))["exit_code"] == 0


def test_each_that_differs_is_named(tmp_path: Path) -> None:
    """A jaxlib, a profile, a flag, a clock; one is late, one slow, one has wrong numbers."""
    bounds = tmp_path / "bounds.toml"
    bounds.write_text("start_spread_most = 2.5")
    faults = ["none", "jaxlib and late", "profile and slow", "flags, clock and wrong"]
    ran = multi_ranks.run(tmp_path, faults, pairwise=True, thresholds=str(bounds))
    assert ran.codes == (1, 1, 1, 1)
    assert ran.report.verdict is Verdict.FAIL
    assert ran.blamed == {
        ("n1", "differs from its peers"),
        ("n1", "hung or late"),
        ("n2", "differs from its peers"),
        ("n2", "slow"),
        ("n3", "differs from its peers"),
        ("n3", "computed or received wrong numbers"),
    }
    why = " ".join(one.why for one in ran.report.blame)
    for words in ("0.9.9 on n1", "moe on n2", "--xla_other=true on n3", "n3 by +5", "all_to_all"):
        assert words in why
    assert [one.verdict for one in ran.report.nodes] == [Verdict.PASS] + [Verdict.FAIL] * 3
    slow = {one.why.partition(" ")[0] for one in ran.report.blame if one.fault == "slow"}
    assert slow == {"n2", "every"}  # it is late for collectives, and in every pair


def test_a_worker_killed(tmp_path: Path) -> None:
    ran = multi_ranks.run(tmp_path, ["none", "none", "killed", "none"], per_node=2, limit="20")
    assert ran.codes == (3, 3, 1, 3), ran.logs
    assert ran.blamed == {("n1", "died")}
    assert ran.report.blame[0].ranks == (2,)
    assert "SIGKILL" in ran.report.why
    assert [one.verdict for one in ran.report.nodes] == [Verdict.INCONCLUSIVE, Verdict.FAIL]


def test_killed_with_its_watcher(tmp_path: Path) -> None:
    """As when a node loses power: no end is written. Rank 0 is the coordinator, too."""
    ran = multi_ranks.run(tmp_path, ["killed with its watcher", "none", "none"], limit="20")
    assert ran.codes == (-signal.SIGKILL, 3, 3)
    assert ran.blamed == {("n0", "died")}
    assert "wrote nothing after" in ran.report.why


def test_hung_where_no_thread_can_run(tmp_path: Path) -> None:
    ran = multi_ranks.run(tmp_path, ["none", "hung", "none"], limit="4")
    assert ran.codes == (3, 3, 3)
    assert (ran.report.verdict, ran.blamed) == (Verdict.FAIL, {("n1", "hung or late")})
    assert "no progress for 4 s" in ran.report.why
    assert "Fatal Python error: Aborted" in ran.logs[1]  # with the stack of each thread


def test_an_error_of_its_own(tmp_path: Path) -> None:
    ran = multi_ranks.run(tmp_path, ["none", "none", "raises"], limit="20")
    assert ran.codes == (3, 3, 1)
    assert ran.blamed == {("n2", "ended with an error")}
    assert "the GPU is gone" in ran.report.why
    assert "Traceback" not in "".join(ran.logs)
    assert f"All that rank 2 said, tracebacks too: {tmp_path / 'log-2.txt'}" in ran.logs[2]
    assert "Traceback" in (tmp_path / "log-2.txt").read_text()


@pytest.mark.parametrize("rank", [0, 2])
def test_too_late(tmp_path: Path, rank: int) -> None:
    """The others give up; the coordinator itself may be the one."""
    faults = ["late" if one == rank else "none" for one in range(3)]
    ran = multi_ranks.run(tmp_path, faults, join="3")
    assert 0 not in ran.codes
    assert ran.report.verdict is Verdict.FAIL
    assert {one.node for one in ran.report.blame} == {f"n{rank}"}


def test_never_started(tmp_path: Path) -> None:
    """Nothing is known of its node, so it is no fail."""
    ran = multi_ranks.run(tmp_path, ["none", None, "none"], join="2")
    assert ran.codes == (3, 3)
    report = multi.merge(tmp_path, Expected(processes=3, nodes=("n0", "n1", "n2")))
    assert (report.verdict, report.blame[0].node) == (Verdict.INCONCLUSIVE, "n1")
    assert report.blame[0].fault is multi.Fault.NOT_STARTED


def test_cancelled(tmp_path: Path) -> None:
    """As at a job's time limit: each writes where it was, and the one behind is named."""
    processes = multi_ranks.start(tmp_path, ["none", "hung"], {})
    deadline = time.monotonic() + 60
    while not any("all_gather" in one.stage.detail for one in multi.read(tmp_path).records):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(1)
    for process in processes:
        process.terminate()
    ran = multi_ranks.finish(tmp_path, processes, 2)
    assert ran.codes == (143, 143)  # 128 and SIGTERM's number
    assert {one.state for one in ran.report.ranks} == {"cancelled"}
    assert ran.blamed == {("n1", "hung or late")}
