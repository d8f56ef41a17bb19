"""The NVIDIA Container Toolkit, and the way a GPU gets into a container with it.

https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/
"""

from __future__ import annotations

import re
import shutil

from jaxpad.doctor._cdi import Spec, specs, stale
from jaxpad.doctor._driver import kernel_version
from jaxpad.doctor._engine import DOCKER_GPUS, PODMAN_CDI
from jaxpad.doctor._engines import Engine, engine
from jaxpad.doctor._finding import Answer, failed, inconclusive, not_applicable, passed
from jaxpad.doctor._host import Host

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
        return inconclusive("no engine can be asked", "mend the engine first")
    found = {one.name: way_in(host, one) for one in reached}
    words = "; ".join(f"{name}: {way or NO_WAY}" for name, way in found.items())
    if None in found.values():
        return failed(words, _remedy(found))
    return inconclusive(words, CONFIGURE) if BY_HAND in found.values() else passed(words)


def _remedy(found: dict[str, str | None]) -> str:
    remedies = {"docker": CONFIGURE, "podman": GENERATE}
    return "; ".join(remedies[name] for name, way in found.items() if way is None)
