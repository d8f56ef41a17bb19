"""Who is to blame, from records alone."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from jaxpad import multi
from jaxpad.core.results import Verdict
from jaxpad.multi import Blame, Expected, Fault, Record
from jaxpad.multi.record import SHARED, Check, End, Identity, Stage

RIGHT = Check("all_reduce", Verdict.PASS, "right over 4 devices")
DONE = End("finished", "", 100.0)
VICTIM = End("died", "JAX ended it: UNAVAILABLE", 60.0, for_a_peer=True)
STOPPED = End("stopped", "no progress for 60 s", 60.0)
WAITS = Stage("correct", "all_gather with all", 9, 10.0, True)
OWN = Stage("correct", "all_gather: data of its own", 8, 10.0)


def record(rank: int, **changes: object) -> Record:
    one = Record(
        rank=rank,
        processes=4,
        node=f"n{rank}",
        pid=1,
        launcher="slurm",
        began=0.0,
        nodes=("n0", "n1", "n2", "n3"),
        identity=Identity({"jaxlib": "0.10.2"}, "base", "--xla_a=1"),
        stage=Stage("leave", "leave together", 20, 90.0, True),
        checks=(RIGHT,),
        end=DONE,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def four(**by_rank: dict[str, object]) -> list[Record]:
    """Four records; `r2={...}` changes the third."""
    return [record(rank, **by_rank.get(f"r{rank}", {})) for rank in range(4)]


def blamed(records: list[Record], **expected: int) -> list[tuple[str, Fault]]:
    report = multi.merge(records, Expected(**expected))  # type: ignore[arg-type]
    return [(one.node, one.fault) for one in report.blame]


def stuck(end: End) -> dict[str, object]:
    return {"stage": WAITS, "end": end}


def test_all_well() -> None:
    report = multi.merge(four())
    assert (report.verdict, report.blame, report.exit_code) == (Verdict.PASS, (), 0)
    assert report.summary[0].startswith("pass: 4 processes on 4 node(s)")


def test_an_end_without_an_answer_is_no_pass() -> None:
    report = multi.merge(four(r2={"checks": ()}))
    assert (report.verdict, report.blame) == (Verdict.INCONCLUSIVE, ())
    assert "n2" in report.why
    assert [one.verdict for one in report.nodes].count(Verdict.INCONCLUSIVE) == 1


def test_died_among_victims() -> None:
    dead = End("died", "was ended by SIGKILL (Killed)", 50.0)
    found = four(r0=stuck(VICTIM), r1=stuck(STOPPED), r2=stuck(dead), r3=stuck(VICTIM))
    assert blamed(found) == [("n2", Fault.DIED)]


def test_silent() -> None:
    found = four(r0=stuck(VICTIM), r1={"stage": WAITS, "end": None}, r2=stuck(VICTIM))
    assert blamed(found) == [("n1", Fault.DIED)]


def test_hung_is_the_one_behind() -> None:
    found = four(r0=stuck(STOPPED), r1=stuck(STOPPED), r2=stuck(VICTIM))
    found[3] = record(3, stage=OWN, end=STOPPED)
    assert blamed(found) == [("n3", Fault.HUNG)]


def test_all_hang_together() -> None:
    report = multi.merge([record(rank, **stuck(STOPPED)) for rank in range(4)])
    assert (report.verdict, report.blame) == (Verdict.FAIL, ())
    assert "all processes hang together" in report.why


def test_cancelled_together_is_inconclusive() -> None:
    end = End("cancelled", "SIGTERM told it to end", 60.0)
    report = multi.merge([record(rank, **stuck(end)) for rank in range(4)])
    assert (report.verdict, report.blame) == (Verdict.INCONCLUSIVE, ())


def test_missing_is_named_by_the_schedulers_list() -> None:
    found = four(r0=stuck(VICTIM), r1=stuck(VICTIM), r3=stuck(VICTIM))
    del found[2]
    report = multi.merge(found, Expected(processes=4))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.blame == (Blame("n2", (2,), Fault.NOT_STARTED, "it wrote nothing"),)
    assert [one.verdict for one in report.nodes] == [Verdict.INCONCLUSIVE] * 4


def test_an_error_of_its_own_is_worse_than_missing() -> None:
    """One that ended early may be why another never came."""
    broke = End("raised", "RuntimeError: no GPU", 5.0)
    found = four(r1={"stage": Stage("devices", "start", 4, 4.0), "end": broke})[:3]
    assert blamed(found, processes=4) == [("n1", Fault.RAISED)]


REACH = Stage("join", "reach the coordinator at n0:1", 2, 1.0)
MET = Stage("join", "wait for all 4 processes", 3, 1.0, True)


def test_one_does_not_reach_the_coordinator() -> None:
    late = End("raised", "CannotReach: does not answer within 60 s", 61.0, for_a_peer=True)
    found = [record(rank, stage=MET, end=VICTIM) for rank in range(4)]
    found[2] = record(2, stage=REACH, end=late)
    assert blamed(found) == [("n2", Fault.UNREACHED)]


def test_nobody_reaches_the_coordinator() -> None:
    late = End("raised", "CannotReach: does not answer within 60 s", 61.0, for_a_peer=True)
    found = [record(0, stage=MET, end=VICTIM)]
    found += [record(rank, stage=REACH, end=late) for rank in (1, 2, 3)]
    assert blamed(found) == [("n0", Fault.UNREACHED)]


def test_came_when_the_others_had_given_up() -> None:
    found = [record(rank, stage=MET, end=VICTIM) for rank in range(4)]
    found[1] = record(1, stage=replace(MET, since=70.0), end=replace(VICTIM, at=130.0))
    assert blamed(found) == [("n1", Fault.HUNG)]


def test_a_difference_is_seen_though_they_never_met() -> None:
    found = [record(rank, stage=MET, end=VICTIM) for rank in range(4)]
    other = Identity({"jaxlib": "0.9.9"}, "base", "--xla_a=1")
    found[3] = replace(found[3], identity=other)
    report = multi.merge(found)
    assert (report.verdict, report.blame[0].node) == (Verdict.FAIL, "n3")
    assert "jaxlib: 0.9.9 on n3 (rank 3); 0.10.2 on the others" in report.blame[0].why


def test_one_against_one_is_not_sure() -> None:
    other = {"identity": Identity({"jaxlib": "0.10.2"}, "moe", "--xla_a=1")}
    report = multi.merge([record(0, processes=2), record(1, processes=2, **other)])
    assert {one.node for one in report.blame} == {"n0", "n1"}
    assert not any(one.sure for one in report.blame)
    assert report.verdict is Verdict.INCONCLUSIVE


def test_what_the_caller_knows_better() -> None:
    found = four(r1={"platform": "cpu", "local_devices": 8})
    report = multi.merge(found, Expected(platform="gpu", devices=4))
    assert {one.node for one in report.blame} == {"n1"}
    assert report.verdict is Verdict.FAIL


def test_a_shared_failure_is_laid_to_the_odd_one() -> None:
    slow = Check("pairs", Verdict.FAIL, "every pair of n3 is slow", odd=(3,))
    report = multi.merge([record(rank, checks=(slow,)) for rank in range(4)])
    assert [(one.node, one.fault) for one in report.blame] == [("n3", Fault.SLOW)]
    assert [one.verdict for one in report.nodes] == [Verdict.PASS] * 3 + [Verdict.FAIL]


def test_another_run_in_the_folder_is_set_aside() -> None:
    found = four()
    found[0] = record(0, run="slurm 1.0", began=-50.0)
    report = multi.merge([replace(one, run=one.run or "slurm 2.0") for one in found])
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.blame[0].fault is Fault.NOT_STARTED
    assert "slurm 1.0" in report.aside[0].why


def test_more_ranks_than_expected_are_set_aside() -> None:
    assert [one.name for one in multi.merge(four(), Expected(processes=3)).aside] == ["rank-3.json"]


def test_json_and_summary_of_a_bad_run() -> None:
    wrong = Check("all_reduce", Verdict.FAIL, "3 of 8 elements are wrong", "run the node alone")
    report = multi.merge(four(r2={"checks": (wrong,)}))
    assert json.loads(json.dumps(report.to_json()))["blame"][0]["fault"] == str(Fault.WRONG)
    assert report.checks[0].reason == "on n2 (rank 2): 3 of 8 elements are wrong"
    assert any("run the node alone" in line for line in report.summary)


@pytest.mark.parametrize("name", SHARED)
def test_every_shared_check_fails_the_run(name: str) -> None:
    check = Check(name, Verdict.FAIL, "it is so")
    report = multi.merge([record(rank, checks=(check,)) for rank in range(4)])
    assert report.verdict is Verdict.FAIL
    assert report.blame == ()


def test_ten_thousand_processes() -> None:
    """In time that grows with their number."""
    names = tuple(f"n{at}" for at in range(1250))
    found = [
        record(rank, processes=10_000, node=names[rank // 8], nodes=names) for rank in range(9_990)
    ]
    report = multi.merge(found, Expected(processes=10_000))
    assert [one.node for one in report.blame] == ["n1248", "n1249"]
