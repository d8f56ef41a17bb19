"""Engines: there or not, in reach or not, and able to build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from test_doctor_machine import Machine

DENIED = (
    "permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock"
)
STOPPED = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?"
)
STOPPED_29 = (
    "failed to connect to the docker API at unix:///var/run/docker.sock; "
    "check if the path is correct and if the daemon is running"
)
TOO_OLD = "Error response from daemon: client version 1.41 is too old. Minimum is 1.44"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_no_engine(machine: Machine) -> None:
    found = machine.findings()
    assert (found["docker"].verdict, found["podman"].verdict) == ("fail", "fail")
    assert "install an engine" in found["docker"].remedy


def test_one_engine_is_enough(machine: Machine) -> None:
    machine.podman()
    found = machine.findings()
    assert (found["docker"].verdict, found["podman"].verdict) == ("not applicable", "pass")


def test_named_engine_must_be_there(machine: Machine) -> None:
    machine.podman()
    machine.options["engines"] = ("docker",)
    found = machine.findings()
    assert (found["docker"].verdict, "podman" in found) == ("fail", False)


def test_podmans_docker_is_podman(machine: Machine) -> None:
    machine.podman()
    machine.answers("docker", {"--version": "podman version 4.3.1"})
    found = machine.findings()
    assert found["docker"].verdict == "not applicable"
    assert found["docker"].found.startswith("docker is podman's stand-in")


@pytest.mark.parametrize(
    ("version", "verdict"), [("18.09.1", "fail"), ("19.03.0", "pass"), ("28.2.2", "pass")]
)
def test_docker_version(machine: Machine, version: str, verdict: str) -> None:
    machine.docker(version)
    assert machine.ask("docker").verdict == verdict


def test_client_of_another_version_named(machine: Machine) -> None:
    machine.docker("20.10.24+dfsg1", client="28.2.2")
    said = "docker 20.10.24+dfsg1, asked by a client of version 28.2.2"
    assert machine.ask("docker").found == said


@pytest.mark.parametrize(
    ("error", "verdict", "remedy"),
    [
        (DENIED, "fail", "usermod -aG docker"),
        (STOPPED, "fail", "systemctl start docker"),
        (STOPPED_29, "fail", "systemctl start docker"),
        (TOO_OLD, "fail", "which -a docker"),
        ("something new", "inconclusive", "by hand"),
    ],
)
def test_docker_out_of_reach(machine: Machine, error: str, verdict: str, remedy: str) -> None:
    machine.docker_down(error)
    found = machine.ask("docker")
    assert (found.verdict, remedy in found.remedy) == (verdict, True), found
    assert error[:20] in found.found


def test_docker_elsewhere_stopped(machine: Machine) -> None:
    machine.docker_down(STOPPED)
    machine.environ["DOCKER_HOST"] = "tcp://build:2376"
    assert "DOCKER_HOST=tcp://build:2376" in machine.ask("docker").remedy


@pytest.mark.parametrize(
    ("version", "gpus", "verdict"),
    [("4.1.0", 1, "pass"), ("4.0.2", 1, "fail"), ("4.0.2", 0, "pass")],
)
def test_podman_version(machine: Machine, version: str, gpus: int, verdict: str) -> None:
    machine.gpus(gpus, version=None)
    machine.podman(version)
    assert machine.ask("podman").verdict == verdict


def test_podman_broken(machine: Machine) -> None:
    machine.answers("podman", {"version *": '{"Client": {"Version": "4.3.1"}}'}, "no subuid ranges")
    found = machine.ask("podman")
    assert (found.verdict, "no subuid ranges" in found.found) == ("inconclusive", True)


def test_group_of_root(machine: Machine) -> None:
    machine.docker_down(DENIED)
    machine.options["uid"] = 0
    assert machine.ask("group").verdict == "not applicable"


def test_group_missing(machine: Machine) -> None:
    machine.docker_down(DENIED)
    found = machine.ask("group")
    assert (found.verdict, "as good as root" in found.remedy) == ("fail", True)


def test_group_joined_after_login(machine: Machine) -> None:
    machine.docker_down(DENIED)
    machine.options["member"] = lambda name: name == "docker"
    assert machine.ask("group").remedy == "log in again"


@pytest.mark.parametrize("groups", [(), ("docker",)])
def test_group_not_needed(machine: Machine, groups: tuple[str, ...]) -> None:
    machine.docker()
    machine.options["groups"] = groups
    assert machine.ask("group").verdict == "pass"


def test_group_of_rootless(machine: Machine) -> None:
    machine.docker(SecurityOptions=["name=seccomp,profile=builtin", "name=rootless"])
    found = machine.findings()
    assert found["group"].verdict == "not applicable"
    assert found["docker"].found.endswith("rootless")


def test_group_unknown_while_stopped(machine: Machine) -> None:
    machine.docker_down(STOPPED)
    assert machine.ask("group").verdict == "inconclusive"


def test_old_docker_builds_by_itself(machine: Machine) -> None:
    machine.answers("docker", {"--version": "Docker version 20.10.24+dfsg1, build 297e128"})
    assert machine.ask("builder").verdict == "pass"


def test_new_docker_needs_buildx(machine: Machine) -> None:
    machine.answers("docker", {"--version": "Docker version 28.2.2, build e6534b4"})
    found = machine.ask("builder")
    assert (found.verdict, "docker-buildx" in found.remedy) == ("fail", True)


def test_silent_docker_may_build(machine: Machine) -> None:
    machine.program("docker", "exit 1")
    assert machine.ask("builder").verdict == "inconclusive"


def test_second_docker_builds(machine: Machine) -> None:
    machine.answers("docker", {"--version": "Docker version 28.2.2, build e6534b4"})
    second = "echo 'Docker version 20.10.24+dfsg1, build 297e128'"
    machine.program("docker", second, folder="sbin")
    folders = [str(machine.folder / name) for name in ("bin", "sbin")]
    machine.environ["PATH"] = os.pathsep.join(folders)
    found = machine.ask("builder")
    assert found.verdict == "pass"
    assert found.found.startswith(f"{folders[1]}/docker can; {folders[0]}/docker")
