"""The NVIDIA Container Toolkit, and the way a GPU gets into a container with it.

https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.core import host as machine
from jaxpad.doctor.driver import kernel_version
from jaxpad.doctor.engine import DOCKER_GPUS, PODMAN_CDI, Engine, docker, engine
from jaxpad.doctor.model import Answer, Host, failed, inconclusive, not_applicable, passed

# CDI specifications: the files that tell an engine which nodes and libraries a GPU is.
#
# Format and folders: https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
# YAML files are read by their lines alone: enough for `kind:`, `path:` and `hostPath:`.

KIND = "nvidia.com/gpu"
FOLDERS = ("etc/cdi", "var/run/cdi", "run/cdi")
_KIND = re.compile(r"""^kind:\s*["']?([^\s"']+)""", re.MULTILINE)
_ENTRY = re.compile(r"^\s*(?:-\s*)?(hostPath|path):\s*[\"']?([^\s\"']+)")
_HOST_PATH = re.compile(r"""hostPath:\s*["']?([^\s"']+)""")
_LIBRARY = re.compile(r"/lib(?:cuda|nvidia-[\w-]+)\.so\.(\d{3,}\.\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class Spec:
    """One file that defines nvidia.com/gpu, or that cannot be read."""

    file: Path
    nodes: tuple[str, ...] = ()  # device nodes on the host
    versions: tuple[str, ...] = ()  # of the driver libraries it names
    problem: str = ""


def specs(host: Host) -> tuple[Spec, ...]:
    """The specifications for NVIDIA GPUs, and the files that cannot be read."""
    files = {file.resolve(): file for folder in FOLDERS for file in _files(host.root / folder)}
    return tuple(filter(None, map(_spec, files.values())))


def _files(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if entry.suffix in (".json", ".yaml", ".yml")]


def _spec(file: Path) -> Spec | None:
    try:
        text = file.read_text(encoding="utf-8")
        kind, nodes, mounts = _json(text) if file.suffix == ".json" else _yaml(text)
    except OSError as error:
        return Spec(file, problem=error.strerror or str(error))
    except (ValueError, TypeError, AttributeError) as error:
        return Spec(file, problem=f"it is not valid: {error}")
    if kind != KIND:
        return None
    versions = {found[1] for mount in mounts if (found := _LIBRARY.search(mount))}
    return Spec(file, tuple(dict.fromkeys(nodes)), tuple(sorted(versions)))


def _yaml(text: str) -> tuple[str | None, list[str], list[str]]:
    kind = _KIND.search(text)
    return kind and kind[1], list(_yaml_nodes(text)), _HOST_PATH.findall(text)


def _yaml_nodes(text: str) -> Iterator[str]:
    """Where each device node is on the host; the fields of an entry come in any order."""
    entry: dict[str, str] = {}
    for line in [*text.splitlines(), "- end"]:
        if line.lstrip().startswith("-") and entry:
            if entry.get("path", "").startswith("/dev/"):
                yield entry.get("hostPath") or entry["path"]
            entry = {}
        found = _ENTRY.match(line)
        if found:
            entry[found[1]] = found[2]


def _json(text: str) -> tuple[str | None, list[str], list[str]]:
    spec = json.loads(text)
    edits = list(_edits(spec))
    nodes = [n for edit in edits for n in edit.get("deviceNodes") or ()]
    mounts = [m for edit in edits for m in edit.get("mounts") or ()]
    on_host = [node.get("hostPath") or node["path"] for node in nodes]
    return spec.get("kind"), on_host, [mount["hostPath"] for mount in mounts]


def _edits(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield spec.get("containerEdits") or {}
    for device in spec.get("devices") or ():
        yield device.get("containerEdits") or {}


def stale(host: Host, spec: Spec, version: str | None) -> str | None:
    """Why the file is out of date: a node that is gone, or another driver's libraries."""
    gone = [node for node in spec.nodes if not (host.root / node.lstrip("/")).exists()]
    if gone:
        return f"names {', '.join(gone[:3])}, which is not there"
    others = [other for other in spec.versions if version and other != version]
    return f"names libraries of driver {others[0]}, and {version} is loaded" if others else None


# Opt-in from 25.0.0, on by default from 28.2.0: https://github.com/moby/moby/pull/49963
DOCKER_CDI = "25.0"
GPUS = "--gpus all"
CDI = "CDI, --device nvidia.com/gpu=all"
BY_HAND = (
    "CDI by hand, --device nvidia.com/gpu=all; for launch's --gpus the toolkit's hook is missing"
)
NO_WAY = "no way to give a container a GPU"
INSTALL = (
    "install nvidia-container-toolkit: "
    "docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
)
GENERATE = (
    "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml "
    "(toolkit 1.18 and later keep /var/run/cdi/nvidia.yaml fresh: nvidia-cdi-refresh.service)"
)
CONFIGURE = "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"


def toolkit(host: Host) -> Answer:
    """Pass: nvidia-ctk or nvidia-container-cli is on PATH and tells its version."""
    ran = [host.run(program, "--version") for program in ("nvidia-ctk", "nvidia-container-cli")]
    installed = [one for one in ran if one.installed]
    if not installed:
        lacks = "neither nvidia-ctk nor nvidia-container-cli is on PATH"
        used = f"{lacks}, but a CDI specification is there"
        return inconclusive(used, INSTALL) if specs(host) else failed(lacks, INSTALL)
    versions = [re.search(r"version:? (\d[\w.~+-]*)", one.stdout) for one in installed if one.ok]
    told = next((found[1] for found in versions if found), None)
    if told is None:
        return inconclusive(f"it does not tell its version: {installed[0].why}", "install it again")
    return passed(f"version {told}")


def cdi(host: Host) -> Answer:
    """Pass: a specification of nvidia.com/gpu that fits this machine.

    Fail: one that names nodes or libraries that are gone, or none where podman needs it.
    """
    found, version = specs(host), kernel_version(host)
    wrong = [(s, s.problem or stale(host, s, version)) for s in found]
    problems = [f"{_shown(host, spec)} {why}" for spec, why in wrong if why]
    if problems:
        return failed("; ".join(problems), GENERATE)
    if found:
        return passed(", ".join(_shown(host, spec) for spec in found))
    if "podman" in host.engines and engine(host, "podman").installed:
        return failed("no specification of nvidia.com/gpu, which podman needs", GENERATE)
    return not_applicable("no specification of nvidia.com/gpu; --gpus does without")


def _shown(host: Host, spec: Spec) -> str:
    return f"/{spec.file.relative_to(host.root)}"


def way_in(host: Host, found: Engine) -> str | None:
    """How a GPU gets into a container of this engine: GPUS, CDI, BY_HAND, or None: it does not.

    `launch` says --gpus to docker, and names CDI devices to podman.
    """
    if found.name == "podman":
        return CDI if found.at_least(PODMAN_CDI) and _specified(host) else None
    if found.at_least(DOCKER_GPUS) and _hook(host, found):
        return GPUS
    return BY_HAND if reads_cdi(host, found) else None


def reads_cdi(host: Host, docker: Engine) -> bool:
    """Whether docker takes CDI devices: CDISpecDirs are the folders it reads, none if CDI is off.

    https://github.com/moby/moby/pull/46004
    """
    switched_on = docker.at_least(DOCKER_CDI) and docker.info.get("CDISpecDirs")
    return bool(switched_on) and _specified(host)


def _specified(host: Host) -> bool:
    return any(not spec.problem for spec in specs(host))


def _hook(host: Host, docker: Engine) -> bool:
    """Docker takes --gpus if it finds the toolkit's hook; a registered runtime shows one, too."""
    path = host.environ.get("PATH")
    on_path = shutil.which("nvidia-container-runtime-hook", path=path) is not None
    return on_path or "nvidia" in (docker.info.get("Runtimes") or {})


def ways(host: Host) -> Answer:
    """Pass: `launch` can give GPUs to containers of each engine here. Fail: not of one of them.

    Inconclusive: docker has CDI and no hook. Newer ones turn --gpus into CDI
    (https://github.com/moby/moby/pull/50228, from which version is unconfirmed).
    """
    reached = [one for name in host.engines if (one := engine(host, name)).version]
    if not reached:
        return inconclusive("no engine can be asked", "fix the engine first")
    found = {one.name: way_in(host, one) for one in reached}
    words = "; ".join(f"{name}: {way or NO_WAY}" for name, way in found.items())
    if None in found.values():
        return failed(words, _remedy(found))
    if found.get("docker") == GPUS and _keeps_cgroups(host):
        return inconclusive(f"{words}; docker is rootless and may set no cgroups", NO_CGROUPS)
    return inconclusive(words, CONFIGURE) if BY_HAND in found.values() else passed(words)


NO_CGROUPS = (
    "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place, or take GPUs "
    "through CDI"
)
_CONFIG = "etc/nvidia-container-runtime/config.toml"


def _keeps_cgroups(host: Host) -> bool:
    """Docker is rootless and the toolkit is not told so: then its hook fails on the cgroups.

    https://github.com/NVIDIA/nvidia-container-toolkit/issues/85
    """
    options = docker(host).info.get("SecurityOptions") or ()
    if not any("rootless" in str(option) for option in options):
        return False
    try:
        text = (host.root / _CONFIG).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return True
    return re.search(r"^\s*no-cgroups\s*=\s*true", text, re.MULTILINE) is None


def _remedy(found: dict[str, str | None]) -> str:
    remedies = {"docker": CONFIGURE, "podman": GENERATE}
    return "; ".join(remedies[name] for name, way in found.items() if way is None)


# Whether running containers keep their GPUs when systemd reloads its units.
#
# With --gpus the toolkit's hook opens the devices behind the engine's back. Where systemd
# keeps the containers' cgroups, `systemctl daemon-reload` closes them again, and NVML in
# every running container answers "Unknown Error". CDI is not affected, nor is cgroupfs;
# some versions of runc need links in /dev/char besides.
#
# https://github.com/NVIDIA/nvidia-container-toolkit/issues/48 and /1227, and "Containers
# losing access to GPUs" in
# https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html

NODES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-modeset")  # in every GPU container
AVOID = (
    '"exec-opts": ["native.cgroupdriver=cgroupfs"] in /etc/docker/daemon.json, and restart '
    "docker; or take GPUs through CDI: launch --engine podman, or docker 25 and later with "
    "--device nvidia.com/gpu=all"
)
NODES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm*", "nvidia-modeset")  # in every GPU container
LINK = "sudo nvidia-ctk system create-dev-char-symlinks --create-all (at each boot, by udev)"


def daemon_reload(host: Host) -> Answer:
    """Pass: it cannot happen (cgroupfs, or CDI with the /dev/char links). Fail: it has.

    Inconclusive: it can happen at the next reload, which one look cannot tell. Links in
    /dev/char do not save a container that was started with --gpus, as launch starts them.
    """
    inside = machine.container(host.root)
    if inside and "Unknown" in (host.driver.error or ""):
        remedy = f"start this {inside} container anew; to keep it from happening: {AVOID}"
        return failed(f"NVML answers {host.driver.error!r} in this container", remedy)
    found = docker(host)
    if "docker" not in host.engines or not found.installed:
        return not_applicable("docker is not used here; podman takes GPUs through CDI")
    if found.version is None or not found.info:
        return inconclusive("docker cannot be asked for its cgroup driver", "fix docker first")
    keeper = found.info.get("CgroupDriver") or "unknown"
    shown = f"cgroup {_version(host)}, kept by {keeper}"
    return passed(shown) if keeper == "cgroupfs" else _kept_by_systemd(host, found, shown)


def _kept_by_systemd(host: Host, docker: Engine, shown: str) -> Answer:
    way, missing = way_in(host, docker), ", ".join(unlinked(host.root / "dev")[:3])
    unlinked_words = f"; /dev/char has no link to {missing}" if missing else ""
    if way is None:
        return not_applicable(f"{shown}; docker cannot give a container a GPU")
    if way == GPUS:
        words = f"{shown}: a reload takes the GPUs from containers started with --gpus"
        return inconclusive(words + unlinked_words, AVOID)
    if missing:
        return inconclusive(f"{shown}; CDI{unlinked_words}, which some runc need", LINK)
    return passed(f"{shown}; docker takes GPUs through CDI")


def _version(host: Host) -> str:
    """2 where /sys/fs/cgroup is the unified hierarchy, else 1."""
    return "2" if (host.root / "sys/fs/cgroup/cgroup.controllers").exists() else "1"


def unlinked(dev: Path) -> tuple[str, ...]:
    """The NVIDIA device nodes that no link in /dev/char leads to."""
    linked = {link.readlink().name for link in dev.glob("char/*") if link.is_symlink()}
    nodes = sorted(node.name for pattern in NODES for node in dev.glob(pattern))
    return tuple(node for node in nodes if node not in linked)
