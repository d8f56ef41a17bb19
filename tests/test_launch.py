"""`jaxpad launch` and `smoke --on` over a fake docker: what they ask for, and what they refuse."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import environ

FAKE = """#!/bin/sh
case "$1 $2" in
"version "*) echo "20.10.24 20.10.24" ;;
"image ls") echo "$FAKE_IMAGES" ;;
"image inspect")
    case "$5" in
    *-jupyter) echo '{"Labels": {"io.jaxpad.target": "jupyter", "io.jaxpad.jax": "0.12"}}' ;;
    *) echo '{"Labels": {"io.jaxpad.target": "workspace", "io.jaxpad.jax": "0.12"}}' ;;
    esac ;;
"run "*)
    trap 'echo stopped; exit 143' TERM
    [ -z "$FAKE_WAITS" ] || { echo ready; sleep 30 & wait; }
    exit "${FAKE_CODE:-0}" ;;
esac
"""
Jaxpad = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def path(tmp_path: Path) -> str:
    program = tmp_path / "bin/docker"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


@pytest.fixture
def variables(path: str, tmp_path: Path) -> dict[str, str]:
    cache = str(tmp_path / "cache")
    images = "jaxpad:new jaxpad:new-jupyter"
    return environ(FAKE_IMAGES=images) | {"PATH": path, "XDG_CACHE_HOME": cache}


@pytest.fixture
def jaxpad(variables: dict[str, str], tmp_path: Path) -> Jaxpad:
    """The command line, from a folder of its own."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(*words: str, **added: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "jaxpad", *words]
        return subprocess.run(
            argv, env=variables | added, cwd=folder, capture_output=True, text=True
        )

    return run


def dry(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The one line of a dry run, word by word."""
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    return shlex.split(line)


def test_workspace_here_as_the_caller(jaxpad: Jaxpad, tmp_path: Path) -> None:
    argv = dry(jaxpad("launch", "--dry-run", "--", "python", "-c", "print('a b')"))
    assert argv[-4:] == ["jaxpad:new", "python", "-c", "print('a b')"]
    assert argv[argv.index("--user") + 1] == f"{os.getuid()}:{os.getgid()}"
    assert f"type=bind,source={tmp_path / 'work'},target=/workspace" in argv
    assert argv[argv.index("--shm-size") + 1] == "8g"
    assert "-it" not in argv  # there is no terminal
    assert "JAX_PLATFORMS=cpu" in argv  # nor a GPU


def test_dry_run_makes_nothing(jaxpad: Jaxpad, tmp_path: Path) -> None:
    jaxpad("launch", "--dry-run")
    assert not (tmp_path / "cache").exists()


def test_cache_is_private(jaxpad: Jaxpad, tmp_path: Path) -> None:
    assert jaxpad("launch", "--", "true").returncode == 0
    [folder] = (tmp_path / "cache/jaxpad/containers").iterdir()
    assert folder.name == "jax-0.12"
    assert oct(folder.stat().st_mode)[-3:] == "700"


def test_profile_is_asked_for(jaxpad: Jaxpad) -> None:
    assert "JAXPAD_PROFILE=fsdp-hopper" in dry(
        jaxpad("launch", "--profile", "fsdp-hopper", "--dry-run")
    )


@pytest.mark.parametrize(
    ("options", "image", "command"),
    [
        ((), "jaxpad:new", []),
        (("--jupyter",), "jaxpad:new-jupyter", ["jupyter", "lab"]),
        (("--image", "other-jupyter"), "other-jupyter", ["bash"]),
        (("--image", "ghcr.io/x/y:1"), "ghcr.io/x/y:1", []),
    ],
)
def test_image(jaxpad: Jaxpad, options: tuple[str, ...], image: str, command: list[str]) -> None:
    argv = dry(jaxpad("launch", *options, "--dry-run"))
    assert argv[argv.index(image) :] == [image, *command]


def test_jupyters_token_is_a_file(jaxpad: Jaxpad) -> None:
    argv = dry(jaxpad("launch", "--jupyter", "--dry-run"))
    assert "JUPYTER_TOKEN_FILE=/run/jaxpad/token" in argv
    published = argv[argv.index("--publish") + 1]
    assert published.startswith("127.0.0.1:")
    assert not any("TOKEN=" in word for word in argv)


def test_ca_bundle_is_mounted(jaxpad: Jaxpad, tmp_path: Path) -> None:
    (tmp_path / "work/ca.pem").write_text("x")
    argv = dry(jaxpad("launch", "--ca-bundle", "ca.pem", "--dry-run"))
    assert "PIP_CERT=/run/jaxpad/ca.pem" in argv
    source = tmp_path / "work/ca.pem"
    assert f"type=bind,source={source},target=/run/jaxpad/ca.pem,readonly" in argv


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--ipc-host", "--shm-size", "1g"), "leave out --shm-size"),
        (("--mount", "nowhere"), "there is no such folder"),
        (("--ca-bundle", "nowhere"), "is not a file that can be read"),
        (("--gpus", "0,,1"), "a list such as 0,1"),
        (("--gpus", "foo"), "a list such as 0,1"),
        (("--jupyter", "--", "bash"), "leave out the command"),
        (("--image", "nowhere.sif"), "no such file"),
        (("--engine", "dokcer"), "unknown engine 'dokcer': expected docker, podman or apptainer"),
        (("--port", "99999"), "--port"),
    ],
)
def test_bad_option(jaxpad: Jaxpad, options: tuple[str, ...], sentence: str) -> None:
    done = jaxpad("launch", *options)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_no_image_yet(jaxpad: Jaxpad) -> None:
    done = jaxpad("launch", FAKE_IMAGES="")
    assert done.returncode == 2
    assert "make one with `invoke build`" in done.stderr


@pytest.mark.parametrize("code", [0, 1, 7, 137])
def test_exit_code_is_the_commands(jaxpad: Jaxpad, code: int) -> None:
    assert jaxpad("launch", "--", "x", FAKE_CODE=str(code)).returncode == code


def test_engine_that_could_not_start_it(jaxpad: Jaxpad) -> None:
    done = jaxpad("launch", "--gpus", "all", "--", "x", FAKE_CODE="125")
    assert done.returncode == 2
    assert "NVIDIA Container Toolkit" in done.stderr.splitlines()[-1]
    assert jaxpad("launch", "--", "x", FAKE_CODE="125").returncode == 2


def test_sigterm_ends_the_container(variables: dict[str, str], tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "jaxpad", "launch", "--", "x"]
    log = tmp_path / "out"
    with log.open("wb") as file:
        env = variables | {"FAKE_WAITS": "1"}
        launched = subprocess.Popen(argv, env=env, cwd=tmp_path, stdout=file)
    deadline = time.monotonic() + 30
    while b"ready" not in log.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.05)
    launched.send_signal(signal.SIGTERM)
    # By its code, not by time: unasked, the engine ends with 0 after 30 s.
    assert launched.wait(timeout=60) == 143
    assert b"stopped" in log.read_bytes()


def test_smoke_inside(jaxpad: Jaxpad, tmp_path: Path) -> None:
    words = ["--on", "docker", "-k", "jit or lax", "--out", "my report", "--profile", "base"]
    words += ["--expect", "8"]
    argv = dry(jaxpad("smoke", *words, "--dry-run"))
    inside = argv[argv.index("jaxpad:new") + 1 :]
    assert inside[:2] == ["jaxpad", "smoke"]
    assert inside[inside.index("--out") + 1] == "my report"
    assert inside[inside.index("-k") + 1] == "jit or lax"
    assert inside[inside.index("--profile") + 1] == "base"
    assert inside[inside.index("--expect") + 1] == "8"
    out = tmp_path / "work/my report"
    assert f"type=bind,source={out},target=/workspace/my report" in argv


def test_smoke_takes_its_bounds_along(jaxpad: Jaxpad, tmp_path: Path) -> None:
    bounds = tmp_path / "own.toml"
    bounds.write_text("gemm_least = 0.6\n")
    words = ["--on", "docker", "--strict", "--thresholds", str(bounds), "--dry-run"]
    argv = dry(jaxpad("smoke", *words))
    inside = argv[argv.index("jaxpad:new") + 1 :]
    assert "--strict" in inside
    assert inside[inside.index("--thresholds") + 1] == "/run/jaxpad/bounds/own.toml"
    mount = f"type=bind,source={bounds},target=/run/jaxpad/bounds/own.toml,readonly"
    assert mount in argv


@pytest.mark.parametrize(("platform", "given"), [("cpu", False), ("gpu", True), ("auto", False)])
def test_smoke_gpus_by_platform(jaxpad: Jaxpad, platform: str, given: bool) -> None:
    argv = dry(jaxpad("smoke", "--on", "docker", "--platform", platform, "--dry-run"))
    assert ("--gpus" in argv) is given


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--on", "slurp"), "apptainer, slurm or kubernetes; did you mean slurm"),
        (("--gpus", "all"), "name an engine with --on"),
        (
            ("--on", "docker", "--platform", "tpu"),
            "unknown platform 'tpu': expected auto, gpu or cpu",
        ),
        (("--on", "docker", "--profile", "x.toml"), "no such file"),
    ],
)
def test_smoke_bad_option(jaxpad: Jaxpad, words: tuple[str, ...], sentence: str) -> None:
    done = jaxpad("smoke", *words)
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr.splitlines()[-1]
