"""A newcomer's path, as docs/template.md has it: copy, smoke, train, prove, build, launch."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import HOME
from images import CA, NETWORK, docker, inspect
from templates import AUTHOR, git, tagged

IMAGE = "my-project:0.1.0-wheels-cuda12"
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


@pytest.fixture(scope="module")
def path(debian: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    template = tagged(tmp_path_factory.mktemp("template"))
    folder = tmp_path_factory.mktemp("newcomer")
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | AUTHOR
    done: dict[str, subprocess.CompletedProcess[str]] = {}
    for line in commands():
        cwd = folder / "my-project" if done else folder
        argv = ["bash", "-euc", here(line, template)]
        done[line] = subprocess.run(argv, cwd=cwd, env=variables, capture_output=True, text=True)
        assert done[line].returncode == 0, f"{line}: {done[line].stdout}{done[line].stderr[-3000:]}"
    yield Walked(folder / "my-project", done)
    shutil.rmtree(folder)  # two environments


def test_image_template_smoke_passes(path: Walked) -> None:
    report = json.loads((path.folder / "smoke-report/smoke.json").read_text())
    assert report["verdict"] == "pass"
    assert "Pass, on the CPU only" in path.of("smoke").stderr


def test_image_template_trains(path: Walked) -> None:
    lines = (path.folder / "runs/first/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 50
    assert losses[-1] < losses[0] - 1.0


def test_image_template_proves(path: Walked) -> None:
    told = path.of("profile.explain").stdout
    assert "fsdp-hopper on h100-sxm, my_project.train:step_8" in told
    assert "xla_gpu_enable_while_loop_double_buffering=true" in told
    assert "changes: " in told
    assert "fatal" not in told


def test_image_template_leaves_the_checkout_clean(path: Walked) -> None:
    assert git(path.folder, "status", "--porcelain") == ""  # `copier update` asks for that


def test_image_template_image_is_the_projects(path: Walked) -> None:
    assert f"Built {IMAGE}" in path.of("build").stderr
    labels = inspect(IMAGE)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "my-project"
    assert labels["org.opencontainers.image.version"] == "0.1.0"


def test_image_template_launched_run_is_outside(path: Walked) -> None:
    lines = (path.folder / "runs/in-the-image/metrics.jsonl").read_text().splitlines()
    assert len(lines) == 50


def test_image_template_any_user_trains(path: Walked) -> None:
    words = ("python", "-m", "my_project.train", "--steps", "3", "--out", "/tmp/run")
    done = docker("run", "--rm", "--network", "none", "--user", "12345:12345", IMAGE, *words)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 steps" in done.stderr


def asked(code: str, *options: str) -> str:
    done = docker("run", "--rm", *options, IMAGE, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_image_template_holds_the_source(path: Walked) -> None:
    code = "import my_project; print(my_project.__file__)"
    assert asked(code) == "/opt/project/src/my_project/__init__.py"


def test_image_template_mounted_source_wins(path: Walked) -> None:
    code = "import my_project; print(my_project.__file__)"
    mount = ("--volume", f"{path.folder}:/workspace")
    assert asked(code, *mount) == "/workspace/src/my_project/__init__.py"


def test_image_template_jax_is_the_bases(path: Walked) -> None:
    code = "import jax, numpy, scipy; print(jax.__file__, numpy.__file__, scipy.__file__)"
    assert "/opt/project" not in asked(code)
    pinned = "import optax, orbax.checkpoint; print(optax.__file__)"
    assert asked(pinned) == "/opt/project/site/optax/__init__.py"
