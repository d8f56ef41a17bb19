"""What processes wrote is read with nothing trusted."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jaxpad import multi
from jaxpad.core.results import Verdict
from jaxpad.multi import Expected, Record
from jaxpad.multi.process import _keeper
from jaxpad.multi.record import Check, Clock, End, Identity, Stage, keep, text

ONE = Record(
    rank=1,
    processes=2,
    node="n1",
    pid=7,
    launcher="slurm",
    began=1.5,
    arrived=2.5,
    identity=Identity({"jax": "0.10.2"}, None, "--xla_a=1"),
    stage=Stage("leave", "leave together", 9, 3.0, True),
    checks=(Check("clock", Verdict.PASS, "well"),),
    clock=Clock(-0.001, 0.001),
    end=End("finished", "", 4.0),
)


def test_there_and_back(tmp_path: Path) -> None:
    keep(tmp_path, ONE)
    assert multi.read(tmp_path) == multi.Gathered((ONE,))
    assert [file.name for file in tmp_path.iterdir()] == ["rank-1.json"]
    assert multi.read_logs({"pod": f"a line\n{multi.MARK}{text(ONE)}\nmore"}).records == (ONE,)


def changed(**fields: object) -> str:
    return json.dumps(json.loads(text(ONE)) | fields)


HOSTILE = {
    "no JSON": "{",
    "no object": "[]",
    "nothing": "",
    "another schema": changed(schema=99),
    "nested deeply": "[" * 100_000,
    "nested deeply in a field": text(ONE)[:-1] + ', "x": ' + "[" * 100_000,
    "a huge number": changed(pid=10**4000),
    "a huge float": changed(began=1e300),
    "no number": text(ONE).replace("1.5", "NaN"),
    "a truth for a number": changed(pid=True),
    "a field too many": changed(more=1),
    "a long text": changed(launcher="x" * 100_000),
    "another rank": changed(rank=0),
    "no such rank": changed(rank=1, processes=1),
    "a node that is none": changed(node="n1; scontrol update"),
    "a node with an escape": changed(node="n\x1b[31m"),
    "a stage that is none": changed(stage=json.loads(text(ONE))["stage"] | {"name": "x"}),
    "too large": " " * (5 << 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_is_set_aside(tmp_path: Path, name: str) -> None:
    (tmp_path / "rank-1.json").write_text(HOSTILE[name])
    found = multi.read(tmp_path)
    assert found.records == ()
    assert found.aside[0].name == "rank-1.json"
    assert found.aside[0].why.isprintable()
    assert len(found.aside[0].why) < 200
    keep(tmp_path, replace(ONE, rank=0, node="n0"))
    report = multi.merge(tmp_path, Expected(processes=2))
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.aside == found.aside


def test_links_pipes_and_folders_are_set_aside(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text(text(ONE))
    out = tmp_path / "out"
    out.mkdir()
    (out / "rank-1.json").symlink_to(real)
    os.mkfifo(out / "rank-2.json")
    (out / "rank-3.json").mkdir()
    (out / "rank-x.json").write_text("not ours")
    found = multi.read(out)
    assert found.records == ()
    assert [one.name for one in found.aside] == ["rank-1.json", "rank-2.json", "rank-3.json"]


def test_control_characters_are_shown_as_none(tmp_path: Path) -> None:
    keep(tmp_path, replace(ONE, checks=(Check("clock", Verdict.FAIL, "a\x1b[2Jb\nc"),)))
    (record,) = multi.read(tmp_path).records
    assert record.checks[0].reason == "a\ufffd[2Jb c"


def test_no_folder(tmp_path: Path) -> None:
    report = multi.merge(tmp_path / "none", Expected(processes=2))
    assert (report.verdict, report.why) == (
        Verdict.INCONCLUSIVE,
        "no process has written anything",
    )


def test_a_rank_twice_in_logs() -> None:
    line = f"{multi.MARK}{text(ONE)}"
    found = multi.read_logs({"a": line, "b": line})
    assert len(found.records) == 1
    assert found.aside[0].why == "rank 1 has already spoken"


def test_a_folder_that_is_gone_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _keeper(tmp_path / "gone")(ONE)
    assert "cannot be written" in capsys.readouterr().err
