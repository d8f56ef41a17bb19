"""Room: shared memory for processes that talk to each other, disk for images."""

from __future__ import annotations

from pathlib import Path

from jaxpad.doctor._engines import Engine, elsewhere, engine
from jaxpad.doctor._finding import Answer, failed, inconclusive, not_applicable, passed
from jaxpad.doctor._host import Host
from jaxpad.verdict import overall

GIB = 1 << 30
GB = 1_000_000_000
SHM = 1 * GIB  # our own figure; NVIDIA's guide for NCCL in containers asks for 1g
# Our own figures: the image with CUDA wheels is 6 GB unpacked; a build holds layers twice.
PULL, BUILD = 8 * GB, 15 * GB
DEFAULT = "a container's own is docker's 64 MiB unless --shm-size is given, which launch does"
GROW = "sudo mount -o remount,size=8G /dev/shm, and in /etc/fstab to keep it"
FREE = "free space (docker system df shows what images take; podman system df), or move the storage"


def shared_memory(host: Host) -> Answer:
    """Pass: 1 GiB or more, or no second GPU to share with. Fail: less, with several GPUs.

    NCCL between processes of one node goes through it. The host's own counts for
    `--ipc=host`, Apptainer, Slurm and runs without a container.
    """
    try:
        size = host.space(host.root / "dev/shm").total
    except OSError as error:
        found = f"it cannot be looked at: {error.strerror}"
        return inconclusive(found, "mount -t tmpfs tmpfs /dev/shm") if host.count else _unused()
    shown = f"{size / GIB:.1f} GiB on the host; {DEFAULT}"
    if size >= SHM:
        return passed(shown)
    if host.count > 1:
        return failed(f"{shown}; {host.count} GPUs share it", GROW)
    return passed(f"{shown}; little, but one GPU shares with none") if host.count else _unused()


def _unused() -> Answer:
    return not_applicable("no GPU needs it here")


def disk(host: Host) -> Answer:
    """Pass: 15 GB free where the engine keeps images, enough to build; or 8, to pull.

    Fail: less than 8 GB. Both are our own figures.
    """
    found = [engine(host, name) for name in host.engines]
    answers = [_disk(host, one) for one in found if one.version]
    if not answers:
        return inconclusive("no engine can be asked where it keeps images", "mend the engine first")
    words = "; ".join(answer.found for answer in answers)
    remedy = "; ".join(answer.remedy for answer in answers if answer.remedy)
    return Answer(overall(answer.verdict for answer in answers), words, remedy)


def _disk(host: Host, found: Engine) -> Answer:
    folder = _storage(found)
    if folder is None:
        return inconclusive(f"{found.name} does not say where it keeps images", "run its info")
    if found.name == "docker" and elsewhere(host):
        return inconclusive("docker's images are on another machine", "run doctor there")
    try:
        free = host.space(folder).free
    except OSError as error:
        return inconclusive(f"{folder} of {found.name}: {error.strerror}", "run doctor as root")
    shown = f"{found.name}: {free / GB:.0f} GB free in {folder}"
    if free < PULL:
        return failed(f"{shown}, less than the {PULL / GB:.0f} GB an image needs", FREE)
    if free < BUILD:
        return passed(f"{shown}, enough to pull the image, not to build it ({BUILD / GB:.0f} GB)")
    return passed(f"{shown}, enough to build the image")


def _storage(found: Engine) -> Path | None:
    """Where images lie. Docker with containerd's image store keeps them in containerd's folder."""
    if found.name == "podman":
        folder = (found.info.get("store") or {}).get("graphRoot")
    elif "io.containerd.snapshotter" in str(found.info.get("DriverStatus")):
        folder = "/var/lib/containerd"
    else:
        folder = found.info.get("DockerRootDir")
    return Path(folder) if folder else None
