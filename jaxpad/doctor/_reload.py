"""Whether running containers keep their GPUs when systemd reloads its units.

With --gpus the toolkit's hook opens the devices behind the engine's back. Where systemd
keeps the containers' cgroups, `systemctl daemon-reload` closes them again, and NVML in
every running container answers "Unknown Error". CDI is not affected, nor is cgroupfs;
some versions of runc need links in /dev/char besides.

https://github.com/NVIDIA/nvidia-container-toolkit/issues/48 and /1227, and "Containers
losing access to GPUs" in
https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html
"""

from __future__ import annotations

from pathlib import Path

from jaxpad import host as machine
from jaxpad.doctor._engines import Engine, docker
from jaxpad.doctor._finding import Answer, failed, inconclusive, not_applicable, passed
from jaxpad.doctor._host import Host
from jaxpad.doctor._toolkit import GPUS, way_in

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
        return inconclusive("docker cannot be asked for its cgroup driver", "mend docker first")
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
