"""What a newcomer has after the commands of docs/template.md: tests/newcomer.py runs them."""

from __future__ import annotations

import json

from images import docker, inspect
from newcomer import Walked
from templates import git

IMAGE = "my-project:0.1.0-wheels-cuda12"


def test_image_template_smoke_passes(newcomer: Walked) -> None:
    report = json.loads((newcomer.folder / "smoke-report/smoke.json").read_text())
    assert report["verdict"] == "pass"
    assert "Pass, on the CPU only" in newcomer.of("smoke").stderr


def test_image_template_trains(newcomer: Walked) -> None:
    lines = (newcomer.folder / "runs/first/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 50
    assert losses[-1] < losses[0] - 1.0


def test_image_template_proves(newcomer: Walked) -> None:
    told = newcomer.of("profile.explain").stdout
    assert "fsdp-hopper on h100-sxm, my_project.train:step_8" in told
    assert "xla_gpu_enable_while_loop_double_buffering=true" in told
    assert "changes: " in told
    assert "fatal" not in told


def test_image_template_leaves_the_checkout_clean(newcomer: Walked) -> None:
    assert git(newcomer.folder, "status", "--porcelain") == ""  # `copier update` asks for that


def test_image_template_image_is_the_projects(newcomer: Walked) -> None:
    assert f"Built {IMAGE}" in newcomer.of("build").stderr
    labels = inspect(IMAGE)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "my-project"
    assert labels["org.opencontainers.image.version"] == "0.1.0"


def test_image_template_launched_run_is_outside(newcomer: Walked) -> None:
    lines = (newcomer.folder / "runs/in-the-image/metrics.jsonl").read_text().splitlines()
    assert len(lines) == 50


def test_image_template_any_user_trains(newcomer: Walked) -> None:
    words = ("python", "-m", "my_project.train", "--steps", "3", "--out", "/tmp/run")
    done = docker("run", "--rm", "--network", "none", "--user", "12345:12345", IMAGE, *words)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 steps" in done.stderr


def asked(code: str, *options: str) -> str:
    done = docker("run", "--rm", *options, IMAGE, "python", "-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_image_template_holds_the_source(newcomer: Walked) -> None:
    code = "import my_project; print(my_project.__file__)"
    assert asked(code) == "/opt/project/src/my_project/__init__.py"


def test_image_template_mounted_source_wins(newcomer: Walked) -> None:
    code = "import my_project; print(my_project.__file__)"
    mount = ("--volume", f"{newcomer.folder}:/workspace")
    assert asked(code, *mount) == "/workspace/src/my_project/__init__.py"


def test_image_template_jax_is_the_bases(newcomer: Walked) -> None:
    code = "import jax, numpy, scipy; print(jax.__file__, numpy.__file__, scipy.__file__)"
    assert "/opt/project" not in asked(code)
    pinned = "import optax, orbax.checkpoint; print(optax.__file__)"
    assert asked(pinned) == "/opt/project/site/optax/__init__.py"
