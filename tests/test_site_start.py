"""docs/start.md: its commands, read from the page, run here as far as this machine can."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad.commands.options import declared
from jaxpad.commands.parser import options_of
from tools import docs

PAGE = (HOME / "docs" / "start.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.S | re.M)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
# What needs only this machine's CPU and what is installed; the others need an engine, a cluster
# or the network. The first, which installs, is the README's, which CI runs as written.
HERE = [line for line in COMMANDS if line.startswith(("invoke profile.", "invoke smoke --profile"))]


def test_first_command_is_the_readmes() -> None:
    readme = (HOME / "README.md").read_text().splitlines()
    first = next(line for line in readme if re.fullmatch(r"python3 .* smoke", line))
    assert COMMANDS[0] == first


def test_some_run_here() -> None:
    assert len(HERE) == 4


@pytest.mark.parametrize("line", HERE)
def test_command_runs(line: str, tmp_path: Path) -> None:
    """As typed in the environment that the first command makes, which is this one."""
    if "smoke" in line:
        line += f" --out {tmp_path}"
    own = str(Path(sys.executable).parent)
    variables = environ()
    variables["PATH"] = f"{own}:{variables['PATH']}"
    done = subprocess.run(
        ["bash", "-euc", line], cwd=HOME, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout or (tmp_path / "report.html").is_file()


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("invoke ")])
def test_options_exist(line: str) -> None:
    """Also of the commands that only a cluster can run."""
    _, name, *words = line.split()
    command = next(one for one in docs.commands() if one.name == name)
    known = {option.flag for option in declared(options_of(command))}
    assert {word for word in words if word.startswith("--")} <= known
