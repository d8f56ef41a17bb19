"""What both stages of a run on a cluster come to, in words, files and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from fleet_nodes import fails, healthy, put, report
from helpers import HOME
from jaxpad import fleet
from jaxpad.clusters import stages
from jaxpad.clusters.stages import Second, Told, Whole, some
from jaxpad.core.results import Verdict
from jaxpad.multi import MultiReport, NodeResult

NAMES = ("n0", "n1", "n2")
SCHEMA = json.loads((HOME / "jaxpad/fleet/fleet.schema.json").read_text())
WELL = NodeResult("n0", (0,), Verdict.PASS)
DEAD = NodeResult("n1", (1,), Verdict.FAIL, ("died: signal 11",))
SILENT = NodeResult("n2", (2,), Verdict.INCONCLUSIVE, ("rank 2 it wrote nothing",))


def said(verdict: Verdict, why: str, *nodes: NodeResult) -> Second:
    return Second(MultiReport(verdict, why, 3, nodes=nodes))


REFUSED = Second(None, "Slurm refuses the multi-process job: QOS limit")
PASSED = said(Verdict.PASS, "all is well", WELL)
DIED = said(Verdict.FAIL, "n1 died: signal 11", WELL, DEAD, SILENT)
NOBODY = said(Verdict.FAIL, "no single cause identified", WELL)
UNHEARD = said(Verdict.INCONCLUSIVE, "no process has written anything", SILENT)


@dataclass(frozen=True)
class Written:
    """A run, and what its files and its summary say."""

    whole: Whole
    json: dict[str, Any]
    page: str
    summary: str

    @property
    def verdicts(self) -> list[str]:
        return [node["verdict"] for node in self.json["nodes"]]


Write = Callable[..., Written]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put the two stages together and write the fleet; all three nodes pass the first."""

    def go(second: Second | None) -> Written:
        reports, out = tmp_path / "nodes", tmp_path / "out"
        if not reports.exists():
            healthy(reports, NAMES)
        whole = stages.whole(fleet.merge(reports), second, NAMES)
        fleet.write(whole.fleet, out, pictures=False)
        content = json.loads((out / "fleet.json").read_text())
        jsonschema.validate(content, SCHEMA)
        console = Console(file=StringIO(), width=200)
        fleet.summary(whole.fleet, console, "slurm", out)
        assert isinstance(console.file, StringIO)
        page = (out / "fleet.html").read_text()
        return Written(whole, content, page, console.file.getvalue())

    return go


@pytest.mark.parametrize(
    ("second", "code"),
    [(None, 0), (PASSED, 0), (REFUSED, 3), (UNHEARD, 3), (DIED, 1), (NOBODY, 1)],
    ids=["none", "passed", "refused", "unheard", "died", "nobody"],
)
def test_files_and_exit_code_agree(write: Write, second: Second | None, code: int) -> None:
    ran = write(second)
    assert ran.whole.verdict.exit_code == ran.json["exit_code"] == code
    assert ran.json["verdict"] == ran.whole.verdict.value
    assert f"exit code {code}" in ran.page
    assert ("multi-process run" in ran.page) is bool(code)


def test_run_that_could_not_start(write: Write) -> None:
    """The nodes pass all the same, and the page says what does not."""
    ran = write(REFUSED)
    assert ran.verdicts == ["pass"] * 3
    [problem] = ran.json["problems"]
    assert (problem["check"], problem["nodes"]) == ("multi-process run", list(NAMES))
    assert problem["reason"] == REFUSED.why
    headline = "Inconclusive: multi-process run on 3 nodes could not be judged"
    assert headline in ran.page
    assert f"{headline}." in ran.summary
    assert REFUSED.why in ran.page
    assert "Keep fleet.json" not in ran.summary


def test_node_that_is_to_blame(write: Write) -> None:
    ran = write(DIED)
    assert ran.verdicts == ["pass", "fail", "inconclusive"]
    assert ran.json["nodes"][1]["reasons"] == ["multi-process run: died: signal 11"]
    [problem] = ran.json["problems"]
    assert (problem["nodes"], problem["among"], problem["shared"]) == (["n1"], 3, False)
    assert "Fail: 1 of 3 nodes failed, none to drain" in ran.summary
    assert "multi-process run on n1: see what each process says" in ran.summary
    assert "Keep fleet.json" not in ran.summary


def test_nobody_is_to_blame(write: Write) -> None:
    """So it is the fleet's own, and drains nobody."""
    ran = write(NOBODY)
    assert ran.verdicts == ["pass"] * 3
    assert ran.json["problems"][0]["shared"]
    assert not ran.json["drain"]
    assert "Fail: multi-process run failed on 3 nodes" in ran.page
    assert "multi-process run on 3 of 3 nodes" in ran.summary


def test_it_comes_after_what_fails(tmp_path: Path) -> None:
    healthy(tmp_path, NAMES)
    put(tmp_path, "n3", report("n3", 2, fails()))
    found = stages.whole(fleet.merge(tmp_path), REFUSED, NAMES).fleet
    assert [one.check for one in found.problems] == [
        "test_health.py::test_ecc",
        "multi-process run",
    ]
    assert found.verdict is Verdict.FAIL
    assert [node.name for node in found.to_drain] == ["n3"]


def test_words_of_others_are_one_line(write: Write) -> None:
    ran = write(Second(None, "no\nway\x1b[31m" + "x" * 5000))
    [problem] = ran.json["problems"]
    assert problem["reason"].isprintable()
    assert len(problem["reason"]) <= 500


def test_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Waiting is told now and then, and only while something is left."""
    told = Told[list[str]](2, some, last=-100.0)
    told.waiting([])
    told.waiting(["n0", "n1", "n2", "n3", "n4"])
    told.waiting(["n0"])
    told.node("n0", "pass")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" s  ")[2] for line in lines] == [
        "n0, n1, n2, and 2 more",
        "[1/2] n0: pass",
    ]
