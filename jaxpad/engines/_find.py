"""Which engine this machine has, and why one that it has cannot be used."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from jaxpad.engines._apptainer import Apptainer
from jaxpad.engines._engine import Engine
from jaxpad.engines._oci import Docker, Podman
from jaxpad.errors import UsageError

CHOICES = ("docker", "podman", "apptainer")
_LIMIT = 20.0  # seconds a healthy daemon answers within
_DOCKER_PID = Path("/run/docker.pid")
_CAP_SYS_RESOURCE = 24  # linux/capability.h
_NO_BUILDX = 23  # the first docker client that builds only through the buildx plugin


def find(name: str | None = None, *, building: bool = False) -> Engine:
    """The engine of that name, else the first of docker and podman that answers.

    `building` asks for one that can build the Dockerfile: a docker client from 23 on needs
    its buildx plugin. Raises UsageError with the reason and the remedy.
    """
    if name == "apptainer":
        return _apptainer()
    if name and name not in CHOICES:
        raise UsageError(f"--engine {name!r} is not one of {', '.join(CHOICES)}")
    problems = []
    for kind, program in _programs([name] if name else ["docker", "podman"]):
        problem = _problem(kind, program, building=building)
        if not problem:
            return _engine(kind, program)
        problems.append(problem)
    raise UsageError(problems[0] if problems else _absent(name))


def _absent(name: str | None) -> str:
    missing = f"{name} is not" if name else "neither docker nor podman is"
    return f"{missing} on PATH; install one, then `invoke doctor` says what GPU containers lack"


def _programs(kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every copy on PATH, in its order: the first may be the one that cannot build."""
    for kind in kinds:
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            program = shutil.which(kind, path=folder) if folder else None
            if program:
                yield kind, program


def _problem(kind: str, program: str, *, building: bool) -> str | None:
    """Why this program cannot be used, None where it can."""
    if kind == "podman":
        done = _ask([program, "info", "--format", "{{.Version.Version}}"])
        return None if done.returncode == 0 else f"{program} does not work: {_last(done.stderr)}"
    done = _ask([program, "version", "--format", "{{.Client.Version}} {{.Server.Version}}"])
    if done.returncode:
        return _unreachable(program, done.stderr)
    client = int(done.stdout.split(".")[0])
    if building and client >= _NO_BUILDX and _ask([program, "buildx", "version"]).returncode:
        return f"{program} has no buildx plugin, which it builds with; install docker-buildx"
    return None


def _unreachable(program: str, words: str) -> str:
    if "permission denied" in words.lower():
        return (
            f"{program} may not talk to its daemon; add yourself to the docker group "
            "(sudo usermod -aG docker $USER, then log in again) or use rootless docker"
        )
    return f"{program} cannot reach its daemon ({_last(words)}); start it: systemctl start docker"


def _engine(kind: str, program: str) -> Engine:
    name = Path(program).name if shutil.which(Path(program).name) == program else program
    if kind == "podman":
        rootless = os.geteuid() != 0
        return Podman(name, rootless, raises_limits=not rootless and _raises_limits("self"))
    rootless = "rootless" in _ask([program, "info", "--format", "{{.SecurityOptions}}"]).stdout
    return Docker(name, rootless, raises_limits=not rootless and _raises_limits(_daemon()))


def _daemon() -> str:
    try:
        return _DOCKER_PID.read_text().strip()
    except OSError:
        return ""


def _raises_limits(process: str) -> bool:
    """Whether a process has CAP_SYS_RESOURCE; yes where that cannot be read.

    Without it, as inside many containers and sandboxes, runc refuses a limit above its own.
    """
    try:
        status = Path("/proc", process, "status").read_text()
    except OSError:
        return True
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return found is None or bool(int(found[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _apptainer() -> Apptainer:
    for name in ("apptainer", "singularity"):
        if shutil.which(name):
            return Apptainer(name)
    raise UsageError(_absent("apptainer"))


def _ask(argv: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 1, "", f"no answer within {_LIMIT:.0f} s")


def _last(words: str) -> str:
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
