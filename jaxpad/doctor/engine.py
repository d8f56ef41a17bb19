"""Whether there is an engine to run containers, within reach, and able to build."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jaxpad.doctor import model
from jaxpad.doctor.model import Answer, Host, failed, inconclusive, not_applicable, passed

# What docker and podman say of themselves. Each is asked once; no question runs a container.


@dataclass(frozen=True)
class Engine:
    """One engine: the program, and the daemon or storage behind it."""

    name: str
    installed: bool
    client: str | None = None  # version of the program
    version: str | None = None  # version of what runs the containers; None if out of reach
    problem: str = ""  # why it is out of reach
    info: dict[str, Any] = field(default_factory=dict)  # `docker info`, `podman info`

    def at_least(self, version: str) -> bool:
        return self.version is not None and not model.older_than(self.version, version)


def engine(host: Host, name: str) -> Engine:
    """What the engine of that name says."""
    return docker(host) if name == "docker" else podman(host)


def docker(host: Host) -> Engine:
    """The docker on PATH and its daemon."""
    ran = host.run("docker", "version", "--format", "{{json .}}")
    if ran.code is None:
        return Engine("docker", ran.installed, problem=ran.problem)
    if host.run("docker", "--version").stdout.startswith("podman"):
        return Engine("docker", installed=False, problem="docker is podman's stand-in here")
    said = _object(ran.stdout)
    client, server = (_get(said, part, "Version") for part in ("Client", "Server"))
    if server is None:
        return Engine("docker", installed=True, client=client, problem=ran.why)
    asked = host.run("docker", "info", "--format", "{{json .}}")
    return Engine("docker", True, client, server, "" if asked.ok else asked.why, _info(asked))


def podman(host: Host) -> Engine:
    """The podman on PATH; it has no daemon."""
    ran = host.run("podman", "version", "--format", "json")
    if ran.code is None:
        return Engine("podman", ran.installed, problem=ran.problem)
    client = _get(_object(ran.stdout), "Client", "Version")
    asked = host.run("podman", "info", "--format", "json")
    version = client if asked.ok else None
    return Engine("podman", True, client, version, "" if asked.ok else asked.why, _info(asked))


def rootless(docker: Engine) -> bool:
    """Whether the docker daemon runs as the user (`docker info` lists it under Security)."""
    return any("rootless" in option for option in docker.info.get("SecurityOptions") or ())


def elsewhere(host: Host) -> str | None:
    """DOCKER_HOST, if it names a daemon that is not on this machine."""
    address = host.environ.get("DOCKER_HOST", "")
    return None if not address or address.startswith("unix:") else address


def _info(ran: Any) -> dict[str, Any]:
    return _object(ran.stdout) if ran.ok else {}


def _object(text: str) -> dict[str, Any]:
    """The JSON object in `text`; empty if there is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _get(said: dict[str, Any], *names: str) -> str | None:
    value: Any = said
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return str(value) if value else None


# https://docs.docker.com/engine/release-notes/19.03/: `docker run --gpus` is new.
DOCKER_GPUS = "19.03"
# https://github.com/docker/cli/issues/3864: `podman run --device` takes CDI names from 4.1.0.
PODMAN_CDI = "4.1"
# https://docs.docker.com/engine/release-notes/23.0/: BuildKit moved into the buildx plugin.
BUILDX = "23.0"
INSTALL = "install an engine: Docker (docs.docker.com/engine/install) or podman (from your system)"
GROUP = (
    "sudo usermod -aG docker $USER, then log in again (that group is as good as root); or use "
    "rootless docker, podman, or sudo"
)


def docker_engine(host: Host) -> Answer:
    """Pass: the daemon answers and is 19.03 or later, which has `--gpus`.

    Fail: it is older, is not running, or refuses this user. Inconclusive: it gives no answer.
    """
    found = docker(host)
    if not found.installed:
        return _absent(host, found)
    if found.version is None:
        return _unreached(host, found)
    shown = f"docker {found.version}"
    if found.client != found.version:
        shown += f", asked by a client of version {found.client}"
    if model.older_than(found.version, DOCKER_GPUS):
        return failed(f"{shown}, which has no --gpus", f"update docker to {DOCKER_GPUS} or later")
    if found.problem:
        return inconclusive(f"{shown}; docker info fails: {found.problem}", "fix what it says")
    return passed(f"{shown}, rootless" if rootless(found) else shown)


def _unreached(host: Host, found: Engine) -> Answer:
    words = f"docker {found.client or 'of unknown version'}: {found.problem}"
    problem = found.problem.lower()
    if "permission denied" in problem:
        return failed(words, f"you may not use docker's socket: {GROUP}")
    if "too old" in problem or "too new" in problem:
        remedy = "use the client that came with the daemon (which -a docker), or update the other"
        return failed(words, remedy)
    if "connect to the docker" in problem or "daemon running" in problem:
        where = elsewhere(host)
        start = f"check DOCKER_HOST={where}" if where else "sudo systemctl start docker"
        return failed(words, f"the daemon is not running: {start}")
    return inconclusive(words, "run docker version by hand, and read the daemon's log")


def podman_engine(host: Host) -> Answer:
    """Pass: podman works, and is 4.1 or later where there is a GPU (CDI). Fail: otherwise."""
    found = podman(host)
    if not found.installed:
        return _absent(host, found)
    shown = f"podman {found.client or 'of unknown version'}"
    if found.version is None:
        return inconclusive(f"{shown}: podman info fails: {found.problem}", "fix what it says")
    if model.older_than(found.version, PODMAN_CDI):
        remedy = f"update podman to {PODMAN_CDI} or later"
        lacks = f"{shown}, which cannot inject GPUs (no CDI)"
        return failed(lacks, remedy) if host.count else passed(f"{lacks}; there are none here")
    return passed(shown)


def _absent(host: Host, found: Engine) -> Answer:
    """An engine that is not there matters if it was asked for, or if no other is there."""
    if host.engines == (found.name,):
        return failed(found.problem, f"install {found.name}, or name another --engine")
    others = [name for name in host.engines if engine(host, name).installed]
    if others:
        return not_applicable(f"{found.problem}; {others[0]} is installed")
    return failed(f"{found.problem}, and no other engine is", INSTALL)


def group(host: Host) -> Answer:
    """Whether this user is in the docker group, where that decides: not root, not rootless.

    Pass also for who reaches the daemon in another way.
    """
    found = docker(host)
    if not found.installed:
        return not_applicable("docker is not installed")
    if host.uid == 0:
        return not_applicable("this is root, who needs no group")
    if elsewhere(host) or rootless(found):
        return not_applicable("the daemon is the user's own, or not on this machine")
    if found.version is not None or "docker" in host.groups:
        via = "in the group" if "docker" in host.groups else "without it: the daemon answers"
        return passed(f"this user gets along {via}")
    if host.member("docker"):
        return failed("this user is in the group, but this session began before", "log in again")
    if "permission denied" in found.problem:
        return failed("this user is not in the docker group", GROUP)
    return inconclusive("this user is not in it, and the daemon cannot be asked", GROUP)


def builder(host: Host) -> Answer:
    """Pass: a docker on PATH that builds with BuildKit, as the Dockerfile needs.

    From 23.0 the client does so through the buildx plugin; before, by itself.
    """
    clients = _clients(host)
    if not clients:
        return not_applicable("docker is not installed; podman builds by itself")
    able = [client for client in clients if _builds(host, client)]
    if not able and any(_builds(host, client) is None for client in clients):
        return inconclusive(f"{', '.join(clients)} cannot be asked", "run docker --version by hand")
    if not able:
        return failed(
            f"{', '.join(clients)} cannot build with BuildKit: the buildx plugin is missing",
            "install the buildx plugin (docker-buildx-plugin, or docker-buildx)",
        )
    if able[0] != clients[0]:
        return passed(f"{able[0]} can; {clients[0]}, the first on PATH, lacks the buildx plugin")
    return passed(f"{able[0]} can")


def _clients(host: Host) -> list[str]:
    """Every docker on PATH, a program under two names once."""
    folders = host.environ.get("PATH", os.defpath).split(os.pathsep)
    found = (Path(folder, "docker") for folder in folders)
    real = {path.resolve(): str(path) for path in reversed([*found]) if os.access(path, os.X_OK)}
    return list(reversed(real.values()))


def _builds(host: Host, client: str) -> bool | None:
    """Whether this client builds with BuildKit; None if it does not say what it is."""
    told = host.run(client, "--version").stdout
    if told.startswith("podman"):  # podman-docker, which hands over to podman
        return True
    try:
        by_itself = model.older_than(told.removeprefix("Docker version "), BUILDX)
    except ValueError:
        return None
    plugin = host.run(client, "buildx", "version")
    return by_itself or (None if plugin.code is None else plugin.ok)
