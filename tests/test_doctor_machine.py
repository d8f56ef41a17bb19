"""The machine that the doctor's tests lay out, and how it runs programs that misbehave."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from jaxpad.doctor import Finding, Host, examine
from jaxpad.doctor.model import Clock, Space, ask_driver, run_program, runner
from jaxpad.nvml import Driver

GIB = 1 << 30
NO_LIBRARY = Driver(error="NVMLError_LibraryNotFound: NVML Shared Library Not Found")
KEPT = Clock(datetime(2027, 1, 1, tzinfo=UTC), synchronised=True, error=0.02)
# The file's first line, as NVIDIA's open kernel module writes it.
PROC = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (builder)\n"


@dataclasses.dataclass
class Machine:
    """A root folder and a PATH of fake programs; `ask` examines them."""

    folder: Path
    environ: dict[str, str] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    driver: Driver = NO_LIBRARY
    limit: float = 10.0  # seconds a program may take

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def write(self, path: str, text: str = "") -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def program(self, name: str, script: str, folder: str = "bin") -> None:
        file = self.folder / folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def gpus(self, count: int = 1, version: str | None = "580.95.05") -> None:
        """GPUs on the bus; with `version`, also a driver that is loaded and answers."""
        for at in range(count):
            self.write(f"sys/bus/pci/devices/0000:0{at}:00.0/vendor", "0x10de\n")
            self.write(f"sys/bus/pci/devices/0000:0{at}:00.0/class", "0x030200\n")
            if version:
                self.write(f"dev/nvidia{at}")
        if version:
            self.write("dev/nvidiactl")
            self.write("proc/driver/nvidia/version", PROC.format(version))
            self.driver = Driver(version, "13.0", ("NVIDIA L4",) * count)

    def docker(self, version: str = "28.2.2", client: str = "", **info: Any) -> None:
        """A docker whose daemon answers; `info` is what docker info says."""
        said = {"Client": {"Version": client or version}, "Server": {"Version": version}}
        told = {"CgroupDriver": "cgroupfs", "DockerRootDir": str(self.folder)} | info
        self.answers(
            "docker",
            {
                "--version": f"Docker version {client or version}, build 297e128",
                "version *": json.dumps(said),
                "info *": json.dumps(told),
                "buildx version": "github.com/docker/buildx v0.24.0",
                "image inspect *jaxpad:cuda12": json.dumps({"io.jaxpad.cuda": "12.9"}),
                "image inspect *jaxpad:cuda13": json.dumps({"io.jaxpad.cuda": "13"}),
                "image inspect *jaxpad:cuda14": json.dumps({"io.jaxpad.cuda": "14"}),
                "image inspect *debian": "null",
            },
            "Error response from daemon: No such image",
        )

    def docker_down(self, error: str) -> None:
        """A docker whose client works, and whose daemon is out of reach."""
        said = json.dumps({"Client": {"Version": "28.2.2"}, "Server": None})
        script = "[ $1 = --version ] && echo 'Docker version 28.2.2, build e6534b4' && exit\n"
        script += f"printf %s {shlex.quote(said)}\necho {shlex.quote(error)} >&2\nexit 1"
        self.program("docker", script)

    def podman(self, version: str = "4.3.1") -> None:
        self.answers(
            "podman",
            {
                "version *": json.dumps({"Client": {"Version": version}}),
                "info *": json.dumps({"store": {"graphRoot": str(self.folder)}}),
            },
        )

    def answers(self, name: str, said: dict[str, str], otherwise: str = "unknown") -> None:
        """A program that answers its arguments as `said` does, and fails on others."""
        cases = (
            f"{pattern.replace(' ', chr(92) + ' ')}) printf '%s\\n' {shlex.quote(text)}; exit 0;;"
            for pattern, text in said.items()
        )
        body = "\n".join(cases)
        self.program(name, f'case "$*" in\n{body}\nesac\necho {shlex.quote(otherwise)} >&2; exit 1')

    def toolkit(self) -> None:
        self.program("nvidia-ctk", "echo 'NVIDIA Container Toolkit CLI version 1.18.0'")
        self.program("nvidia-container-runtime-hook", "exit 0")

    def host(self) -> Host:
        environ = {"PATH": str(self.folder / "bin"), "HOME": str(self.folder)} | self.environ
        own: dict[str, Any] = {
            "environ": environ,
            "run": runner(environ, self.limit),
            "ask_driver": lambda: self.driver,
            "ask_clock": lambda: KEPT,
            "space": lambda _: Space(64 * GIB, 32 * GIB),
            "root": self.root,
            "uid": 1000,
        }
        return Host(**own | self.options)

    def findings(self) -> dict[str, Finding]:
        return {finding.name: finding for finding in examine(self.host())}

    def ask(self, name: str) -> Finding:
        return self.findings()[name]


def test_no_gpu_makes_gpu_questions_not_applicable(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.docker()
    found = machine.findings()
    gpu = ("driver", "cuda", "toolkit", "cdi", "gpu access", "reload")
    assert {found[name].verdict for name in gpu} == {"not applicable"}
    assert {one.verdict for one in found.values()} == {"pass", "not applicable"}


def test_whole_machine_passes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpus(2)
    machine.toolkit()
    machine.docker()
    found = machine.findings()
    wrong = [one for one in found.values() if one.verdict not in ("pass", "not applicable")]
    assert not wrong


def test_container_is_not_the_host(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.write(".dockerenv")
    assert machine.ask("place").verdict == "inconclusive"


def test_every_answer_that_is_no_pass_has_a_remedy(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.gpus(version=None)
    found = machine.findings().values()
    assert all(one.remedy for one in found if one.verdict in ("fail", "inconclusive"))


def test_odd_machine_does_not_end_the_examination(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.docker(version="unheard of")
    found = machine.ask("docker")
    assert found.verdict == "inconclusive"
    assert "ValueError: 'unheard of' is no version" in found.found


def test_hung_program_is_ended(tmp_path: Path) -> None:
    """Also one whose child outlives it and holds what it writes to."""
    machine = Machine(tmp_path)
    machine.program("docker", "/bin/sleep 600 &\n/bin/sleep 600")
    before = time.monotonic()
    ran = run_program(("docker",), {"PATH": str(tmp_path / "bin")}, 0.5)
    assert time.monotonic() - before < 5
    assert ran.problem == "docker gave no answer within 0.5 s"


def test_hung_docker_is_inconclusive(tmp_path: Path) -> None:
    machine = Machine(tmp_path, limit=0.5)
    machine.program("docker", "exec /bin/sleep 600")
    found = machine.findings()
    assert found["docker"].verdict == "inconclusive"
    assert "no answer within 0.5 s" in found["docker"].found
    assert found["disk"].verdict == "inconclusive"


def test_program_is_asked_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.program("docker", f"echo x >> {tmp_path}/count")
    host = machine.host()
    assert host.run("docker", "info") is host.run("docker", "info")
    assert (tmp_path / "count").read_text() == "x\n"


def test_program_that_cannot_run(tmp_path: Path) -> None:
    file = tmp_path / "docker"
    file.write_bytes(b"\x7fELF of another machine")
    file.chmod(0o755)
    ran = run_program(("docker",), {"PATH": str(tmp_path)}, 2)
    assert (ran.installed, ran.problem) == (True, "docker cannot be run: Exec format error")


def test_driver_asked_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for script, error in (("exit 3", "code 3"), ("exec /bin/sleep 9", "not answer within 0.5 s")):
        (tmp_path / "python").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "python").chmod(0o755)
        assert error in (ask_driver({}, 0.5).error or "")
