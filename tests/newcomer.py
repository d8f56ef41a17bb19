"""A newcomer's path, as docs/template.md has it: copy, smoke, train, prove, build, launch."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from helpers import HOME
from images import CA, NETWORK, variables
from templates import AUTHOR, tagged

BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
SECTION = "## Copy, prove, build, launch"


@dataclass(frozen=True)
class Walked:
    """What became of each command, by its words."""

    folder: Path
    done: dict[str, subprocess.CompletedProcess[str]]

    def of(self, *words: str) -> subprocess.CompletedProcess[str]:
        (found,) = (done for line, done in self.done.items() if all(w in line for w in words))
        return found


def commands() -> list[str]:
    """The lines of the page's first section; the first copies, the rest run in the copy."""
    section = (HOME / "docs/template.md").read_text().partition(SECTION)[2].partition("\n## ")[0]
    return [line for block in BLOCK.findall(section) for line in block.splitlines()]


def here(line: str, template: Path) -> str:
    """The command for this machine: its copier, its answers, its proxy's certificates."""
    python = sys.executable
    answers = "--quiet --defaults --data project_name=my-project --data author='Ada Lovelace'"
    line = line.replace("uvx copier copy JAXPAD", f"{python} -m copier copy {answers} {template}")
    line = re.sub(r"^python3 ", f"{python} ", line)
    options = f" --ca-bundle {CA} {' '.join(NETWORK)}"
    return line + options if line.endswith(" build") else line


def walk(folder: Path, wait_for_base: Callable[[], None]) -> Walked:
    """Every command in turn, in a folder of the newcomer's own."""
    template = folder / "template"
    template.mkdir()
    tagged(template)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | AUTHOR
    env["PATH"] = variables()["PATH"]  # the docker of every other test of an image
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for line in commands():
        if line.endswith(" build"):
            wait_for_base()
        cwd = folder / "my-project" if done else folder
        argv = ["bash", "-euc", here(line, template)]
        done[line] = subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True)
        assert done[line].returncode == 0, f"{line}: {done[line].stdout}{done[line].stderr[-3000:]}"
    return Walked(folder / "my-project", done)
