"""The command: files, lines to paste, metrics, exit codes, and what a mistake is told."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fleet_nodes import fails, flag, healthy, open_, put, report, slow, version
from helpers import HOME, environ
from jaxpad import fleet
from jaxpad.cli import fleet as cli_fleet
from jaxpad.commands.machine import FleetOptions
from jaxpad.core.results import UsageError, Verdict
from test_health_told import parsed
from tools import docs

PAGE = HOME / "docs/fleet.md"


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fleet with one of everything."""
    root = tmp_path_factory.mktemp("reports")
    healthy(root, [f"n{at}" for at in range(6)])
    put(root, "n6", report("n6", 2, fails("it's broken; $(reboot)\n<b>bold</b>")))
    put(root, "n7", report("n7", 2, slow(0.8), flag("xla_gpu_x", "1")))
    put(root, "n8", report("n8", 2, open_(), version("jaxlib", "0.9")))
    put(root, "n9", "{")
    (root / "n10").symlink_to("/etc")
    (root / "bad\nname").mkdir()
    (root / "n11").mkdir()
    return root


def run(*options: str, **added: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "fleet", *options]
    return subprocess.run(argv, env=environ(**added), cwd=HOME, capture_output=True, text=True)


def test_all_is_told(mixed: Path, tmp_path: Path) -> None:
    textfile = tmp_path / "fleet.prom"
    options = ("--reports", str(mixed), "--out", str(tmp_path / "out"), "--expect", "n[0-12]")
    done = run(*options, "--scheduler", "slurm", "--textfile", str(textfile), COLUMNS="200")
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "Fail: 1 of 13 nodes failed, 1 to drain." in lines
    assert lines[-1] == (
        "scontrol update NodeName=n6 State=DRAIN "
        "'Reason=jaxpad: test_health.py::test_ecc: it_s broken; _(reboot) _b_bold_/b_'"
    )
    for words in (
        "set aside: 'bad name': a node's name is a host name",
        "set aside: n10: it is a symbolic link, not a folder",
        "n7, GPU 1 is slower than its peers in 24 numbers",
        "differs: jaxlib: 0.10.2 on 8 nodes; 0.9 on n8",
        "Find out why there is no report: 2 nodes, n[11-12]",
    ):
        assert words in done.stdout
    metrics = parsed(textfile.read_text())
    assert metrics["jaxpad_fleet_exit_code"] == [({}, 1.0)]
    assert ({"verdict": "pass"}, 6.0) in metrics["jaxpad_fleet_nodes"]
    assert metrics["jaxpad_fleet_node_failed"] == [({"node": "n6"}, 1.0)]
    assert metrics["jaxpad_fleet_node_to_drain"] == [({"node": "n6"}, 1.0)]
    assert metrics["jaxpad_fleet_slow_nodes"] == [({}, 1.0)]
    assert ({"node": "n12"}, 1.0) in metrics["jaxpad_fleet_node_inconclusive"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "fleet.html",
        "fleet.json",
    ]


def test_json_is_the_file(mixed: Path, tmp_path: Path) -> None:
    done = run("--reports", str(mixed), "--out", str(tmp_path), "--json")
    printed, written = json.loads(done.stdout), json.loads((tmp_path / "fleet.json").read_text())
    assert printed == written
    assert written["drain"][0]["kubernetes"] == "kubectl cordon n6"
    assert done.returncode == written["exit_code"] == 1


def test_json_keeps_to_the_schema(mixed: Path) -> None:
    schema = docs.schema("fleet/fleet")
    jsonschema.Draft202012Validator.check_schema(schema)
    found = fleet.merge(mixed, expected=("n0",), not_tested={"n99": "busy"})
    content = json.loads(json.dumps(fleet.to_json(found), allow_nan=False))
    jsonschema.validate(content, schema)
    assert all(content[part] for part in ("drain", "set_aside", "problems", "outliers", "drift"))


def test_docs_have_the_schema() -> None:
    begin, end = "<!-- fleet: begin (invoke docs) -->\n", "<!-- fleet: end -->\n"
    _, _, rest = PAGE.read_text().partition(begin)
    assert rest.partition(end)[0] == docs.fields_table("fleet/fleet"), "renew it with invoke docs"


@pytest.mark.parametrize(
    ("changes", "code"), [((), 0), ((fails(),), 1), ((open_(),), 3)], ids=["pass", "fail", "open"]
)
def test_exit_codes(changes: Any, code: int, tmp_path: Path) -> None:
    put(tmp_path / "reports", "n0", report("n0", 1, *changes))
    options = FleetOptions(reports=str(tmp_path / "reports"), out=tmp_path / "out")
    assert cli_fleet.fleet_command(options) == code


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ((), "--reports is missing: give the folder"),
        (("--reports", "nowhere"), "--reports nowhere: No such file or directory; give"),
        (
            ("--reports", "docs", "--scheduler", "lsf"),
            "unknown scheduler 'lsf': expected slurm or kubernetes",
        ),
        (("--reports", "docs", "--expect", "n[0-"), "a bracket is not closed"),
        (("--reports", "docs", "--thresholds", "nowhere"), "nowhere: cannot be read (No such file"),
        (("--reports", "docs", "--out", "/proc/x"), "cannot write the report to /proc/x"),
        (("--reports", "docs", "--out", "/dev/null"), "cannot write the report to /dev/null"),
    ],
)
def test_mistake_is_one_sentence(options: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    out = () if "--out" in options else ("--out", str(tmp_path))
    done = run(*options, *out)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_textfile_is_for_node_exporter(tmp_path: Path) -> None:
    healthy(tmp_path / "reports", ["n0"], 1)
    options = FleetOptions(
        reports=str(tmp_path / "reports"), out=tmp_path, textfile=Path("fleet.txt")
    )
    with pytest.raises(UsageError, match=r"reads only names that end in \.prom"):
        cli_fleet.fleet_command(options)


@pytest.mark.parametrize(
    ("programs", "scheduler"),
    [((), "slurm"), (("kubectl",), "kubernetes"), (("kubectl", "scontrol"), "slurm")],
)
def test_scheduler_is_the_one_found(
    programs: tuple[str, ...], scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in programs:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli_fleet._scheduler("") == scheduler


def test_lines_are_never_run(mixed: Path, tmp_path: Path) -> None:
    for name in ("scontrol", "kubectl"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    run("--reports", str(mixed), "--out", str(tmp_path / "out"), PATH=path)
    assert not (tmp_path / "ran").exists()


def test_files_are_whole_or_not_there(
    mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fleet.merge(mixed)
    old = {path: path.read_bytes() for path in fleet.write(found, tmp_path).values()}
    write_text = Path.write_text

    def full(path: Path, text: str, **options: Any) -> int:
        if "fleet.html" in path.name:
            raise OSError(28, "No space left on device")
        return write_text(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageError, match="no space for the report"):
        fleet.write(fleet.merge(mixed, expected=("n0",)), tmp_path)
    assert {path: path.read_bytes() for path in old} == old
    assert len(list(tmp_path.iterdir())) == 2


def test_out_inside_the_reports_is_no_node(tmp_path: Path) -> None:
    """The next merge does not take the folder for a node."""
    healthy(tmp_path, ["n0", "n1"], 1)
    for _ in range(2):
        found = fleet.merge(tmp_path)
        assert found.verdict is Verdict.PASS
        fleet.write(found, tmp_path / "fleet-report")


def test_umask_decides_who_reads(mixed: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        paths = fleet.write(fleet.merge(mixed), tmp_path, pictures=False)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o640}
