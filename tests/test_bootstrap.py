"""From a plain Python to a task, with a pip and an apt-get that only write down their arguments."""

from __future__ import annotations

import importlib.util
import os
import platform
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad import bootstrap
from jaxpad.core import host
from jaxpad.core.host import GpuEvidence


def test_old_python_refused(tmp_path: Path) -> None:
    """The sentence comes before any import an old Python would stumble over."""
    old = "sys.version_info = (3, 10, 0); sys.version = '3.10.0 (main)'"
    script = f"import sys; {old}; import jaxpad.bootstrap"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environ(), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.startswith("jaxpad needs Python 3.11 or newer and this is 3.10.0")


def test_packages_by_task_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "gpu_evidence", lambda: GpuEvidence((), (), None))
    assert [bootstrap.choose(task) for task in ("smoke", "test", "lint")] == ["cpu", "dev", "dev"]
    monkeypatch.setattr(host, "gpu_evidence", lambda: GpuEvidence((), ("/dev/nvidia0",), None))
    assert bootstrap.choose("smoke") == "cuda12"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose pins are empty, so that the environment is made in a second."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/cpu.txt").write_text("# nothing\n")
    monkeypatch.setattr(bootstrap, "HOME", tmp_path)
    return tmp_path


def test_environment_made_once(checkout: Path, capfd: pytest.CaptureFixture[str]) -> None:
    python = bootstrap.prepare("cpu")
    assert subprocess.run([python, "-c", "import pip"], check=True).returncode == 0
    assert "+ " in capfd.readouterr().err
    assert bootstrap.prepare("cpu") == python
    assert capfd.readouterr().err == "", "nothing to do the second time"


def test_environment_renewed_with_pins(checkout: Path) -> None:
    left = bootstrap.prepare("cpu").parent / "left-behind"
    left.touch()
    (checkout / "requirements/cpu.txt").write_text("# changed\n")
    bootstrap.prepare("cpu")
    assert not left.exists()


def test_half_made_environment_is_redone(checkout: Path) -> None:
    (checkout / "requirements/cpu.txt").write_text("no-such-package-at-all @@\n")
    with pytest.raises(subprocess.CalledProcessError):
        bootstrap.prepare("cpu")
    (checkout / "requirements/cpu.txt").write_text("# fixed\n")
    assert bootstrap.prepare("cpu").exists()


def test_lacking_packages_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh Debian: python3 alone, without ensurepip, a browser, a compiler or an engine."""
    monkeypatch.setattr(bootstrap, "DOCKER_SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "debian"})
    monkeypatch.setenv("PATH", str(tmp_path))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    assert bootstrap.lacking("smoke") == [version]
    monkeypatch.setattr(bootstrap, "SBIN", (tmp_path / "sbin",))
    engines = ["docker.io", "iptables", "runc", "podman", "debootstrap"]
    cluster = ["slurm-wlm", "munge", "iproute2", "util-linux"]
    packages = [version, "chromium", "gcc", "libc6-dev", *engines, *cluster]
    assert bootstrap.lacking("test") == packages
    (tmp_path / "docker.sock").touch()
    assert bootstrap.lacking("test") == packages, "nobody is at a socket that is left over"
    (tmp_path / "docker.sock").unlink()
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin/slurmd").touch()
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "docker.sock"))
        daemon.listen(0)
        assert not {"docker.io", "slurm-wlm"} & set(bootstrap.lacking("test"))
        with socket.socket(socket.AF_UNIX) as late:  # who asked before it still fills the queue
            late.setblocking(False)
            with pytest.raises(BlockingIOError):
                late.connect(daemon.getsockname())
        assert "docker.io" not in bootstrap.lacking("test"), "a daemon that is too busy"
    (tmp_path / "sbin/dockerd").touch()  # not started yet: the tests do that
    assert "docker.io" not in bootstrap.lacking("test")


def test_browser_on_ubuntu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: {"ID": "ubuntu"})
    monkeypatch.setenv("PATH", str(tmp_path))
    called: list[list[str]] = []
    monkeypatch.setattr(bootstrap, "_call", called.append)
    assert "chromium" not in bootstrap.lacking("test")
    bootstrap.provide_browser(Path("python"))
    assert called == [["python", "-m", "playwright", "install", "--with-deps", "chromium"]]


def test_lacking_packages_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    for name in ("apt-get", "sudo"):
        tool = tmp_path / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >> {asked}\n')
        tool.chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    bootstrap.provide(["python3.11-venv"])
    assert asked.read_text().splitlines() == [
        "sudo apt-get update",
        "sudo apt-get install --yes --no-install-recommends python3.11-venv",
    ]


def test_lacking_packages_without_apt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        bootstrap.provide(["chromium"])
    assert left.value.code == 2
    assert "lacks chromium" in capsys.readouterr().err


def test_readme_commands_exist() -> None:
    """What the README tells a newcomer to paste is what this module answers to."""
    readme = (HOME / "README.md").read_text()
    assert "python3 -m jaxpad.bootstrap smoke\n" in readme
    assert "python3 -m jaxpad.bootstrap test\n" in readme


@pytest.mark.parametrize(
    ("words", "ours", "rest"),
    [
        (["smoke"], ["smoke"], []),
        (
            ["--packages", "cpu", "smoke", "-k", "jit"],
            ["--packages", "cpu", "smoke"],
            ["-k", "jit"],
        ),
        (["launch", "--", "python", "-m", "x"], ["launch"], ["--", "python", "-m", "x"]),
        (["--help"], ["--help"], []),
    ],
)
def test_words_of_the_task(words: list[str], ours: list[str], rest: list[str]) -> None:
    assert bootstrap._split(words) == (ours, rest)


def test_project_has_its_own_packages(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project made from jaxpad: src/ can be imported, and what it imports is installed too."""
    (checkout / "requirements/project.txt").write_text("# nothing either\n")
    (checkout / "src/mine").mkdir(parents=True)
    (checkout / "src/mine/__init__.py").touch()
    (checkout / "project.toml").touch()
    monkeypatch.setattr(bootstrap, "COPY", checkout / "project.toml")
    python = bootstrap.prepare("cpu")
    assert subprocess.run([python, "-c", "import mine"], cwd="/", check=True).returncode == 0
    stamp = (checkout / ".venv-cpu" / bootstrap.STAMP).read_text()
    (checkout / "requirements/project.txt").write_text("# changed\n")
    bootstrap.prepare("cpu")
    assert (checkout / ".venv-cpu" / bootstrap.STAMP).read_text() != stamp
    assert bootstrap.lacking("test") == [], "its tests need no browser and no cluster"
