"""Names of nodes: lists of them, and how they and reasons are quoted."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from fleet_nodes import fails, healthy, put, report
from jaxpad import fleet
from jaxpad.core.results import UsageError, Verdict
from jaxpad.fleet import Node


@pytest.mark.parametrize(
    "text",
    ["n[0-3", "../x", "$(reboot)", "n;reboot", "n_1", "\x1b[31m", "n\x1b,n0"],
)
def test_list_of_no_nodes(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        fleet.expand(text)
    assert str(caught.value).isprintable()


def test_file_of_names(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text("n0 n1 # the first rack\n# none\nn[5-6]\n")
    assert fleet.expected(str(file)) == ("n0", "n1", "n5", "n6")
    assert fleet.expected("n[0-1]") == ("n0", "n1")


def test_file_that_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_bytes(b"n0\n\xff")
    with pytest.raises(UsageError, match=r"cannot be read .*; give a file of names"):
        fleet.expected(str(file))


REASONS = [
    'it\'s $(reboot) `reboot` "x" ; reboot & | > /etc/passwd',
    "line\nbreak\r\n\x1b]0;title\x07 \u202e",
    "' Reason=' State=IDLE",
    "x" * 5000,
    "naïve Grüße 漢字 \udcff",
    "#!&*?~[a]{b}<c>%d\\",
]


@pytest.mark.parametrize("reason", REASONS, ids=ascii)
def test_line_is_one_command_of_five_words(reason: str) -> None:
    node = Node("n0", "tested", Verdict.FAIL, drain=reason)
    line = fleet.line(node, "slurm")
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 300
    words = shlex.split(line)
    assert words[:4] == ["scontrol", "update", "NodeName=n0", "State=DRAIN"]
    assert re.fullmatch(r"Reason=jaxpad: [\w .,:;/%+()\[\]=?-]*", words[4])
    assert len(words) == 5


@pytest.mark.parametrize("reason", REASONS[:3], ids=ascii)
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_line_runs_one_program(reason: str, shell: str, tmp_path: Path) -> None:
    """Pasted into a real shell, with a scontrol that writes down its words."""
    program = tmp_path / "scontrol"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$#" "$4" > "$0.words"\n')
    program.chmod(0o755)
    line = fleet.line(Node("n0", "tested", Verdict.FAIL, drain=reason), "slurm")
    environ = {"PATH": str(tmp_path)}
    program_of = {"sh": "/bin/sh", "bash": "/bin/bash"}
    subprocess.run([program_of[shell], "-c", line], env=environ, check=True, cwd=tmp_path)
    count, fourth = (tmp_path / "scontrol.words").read_text().splitlines()
    assert count == "4"
    assert fourth.startswith("Reason=jaxpad: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scontrol", "scontrol.words"]


def test_line_of_kubernetes(tmp_path: Path) -> None:
    healthy(tmp_path, ["n0", "n1"])
    put(tmp_path, "n2", report("n2", 2, fails()))
    (node,) = fleet.merge(tmp_path).to_drain
    assert fleet.line(node, "kubernetes") == "kubectl cordon n2"
    with pytest.raises(UsageError, match="'lsf' is no scheduler; give slurm or kubernetes"):
        fleet.line(node, "lsf")
