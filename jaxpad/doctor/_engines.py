"""What docker and podman say of themselves. Each is asked once; no question runs a container."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from jaxpad import drivers
from jaxpad.doctor._host import Host


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
        return self.version is not None and not drivers.older(self.version, version)


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
