"""Whether the NVIDIA driver is there, answers, and is new enough for the image's CUDA."""

from __future__ import annotations

import json
import re

from jaxpad.doctor import model
from jaxpad.doctor.engine import engine
from jaxpad.doctor.model import Answer, Host, failed, inconclusive, passed
from jaxpad.nvml import PYNVML, Driver

LABEL = "io.jaxpad.cuda"  # of an image: the CUDA it was built for, "12" or "12.9"
RELOAD = (
    "reboot; or stop all that uses the GPU and reload the module: "
    "sudo rmmod nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia"
)
INSTALL = (
    "install the NVIDIA driver from your distribution and load it (modprobe nvidia); "
    "under Secure Boot its module must be signed"
)
UPDATE = (
    "update the driver, or use an image of an older CUDA; on data-center GPUs NVIDIA's "
    "cuda-compat package in the image does as well (forward compatibility)"
)


def kernel_version(host: Host) -> str | None:
    """The version of the loaded kernel module; None if none is loaded (or under WSL)."""
    told = host.text("proc/driver/nvidia/version")
    found = re.search(r"Module\b.*?\s(\d{3,}\.\d+(?:\.\d+)?)\s", told)
    return found[1] if found else host.gpus.kernel_driver


def driver(host: Host) -> Answer:
    """Pass: the module is loaded and NVML answers with the module's own version.

    Fail: no module, no NVML, or two versions, as after an update of the driver without a
    reboot (NVML's "Driver/library version mismatch").
    """
    kernel, answer = kernel_version(host), host.driver
    wsl = any(node.endswith("dxg") for node in host.gpus.nodes)
    if "ForeignPynvml" in (answer.error or ""):
        return inconclusive(f"NVML cannot be asked: {answer.error}", PYNVML)
    if kernel is None and answer.version is None and not wsl:
        return _not_loaded(host)
    loaded = "kernel driver under WSL" if wsl else f"kernel driver {kernel or 'not seen'}"
    error = answer.error or ""
    if "mismatch" in error.lower() or (kernel and answer.version not in (None, kernel)):
        libraries = answer.version or "of another version"
        return failed(f"{loaded}, but libraries {libraries}: a version mismatch", RELOAD)
    if "ModuleNotFoundError" in error:
        return inconclusive(f"{loaded}; NVML cannot be asked: {error}", "install jaxpad again")
    if answer.version is None or error:
        remedy = f"run nvidia-smi; if that fails too, reinstall the driver, or {RELOAD}"
        return failed(f"{loaded}, but NVML does not answer well: {error}", remedy)
    return _counted(host, answer)


def _counted(host: Host, answer: Driver) -> Answer:
    """A driver that answers may still have lost a GPU, or never have taken it."""
    names = ", ".join(dict.fromkeys(answer.names)) or "none"
    shown = f"driver {answer.version} answers, with {len(answer.names)} GPU(s): {names}"
    if not answer.names or "unreadable" in names:
        return failed(shown, f"see dmesg for NVRM and Xid lines; {RELOAD}")
    if len(answer.names) < len(host.gpus.pci):
        missing = f"{shown}, of {len(host.gpus.pci)} on the PCI bus"
        return inconclusive(missing, "lost (dmesg: Xid 79), or given to a virtual machine (lspci)")
    return passed(shown)


def _not_loaded(host: Host) -> Answer:
    if host.text("sys/module/nouveau/initstate"):
        remedy = f"{INSTALL}; keep nouveau off (modprobe.blacklist=nouveau) and reboot"
        return failed("nouveau holds the GPU, not NVIDIA's driver", remedy)
    return failed(f"no kernel driver is loaded: {'; '.join(host.gpus.sentences)}", INSTALL)


def cuda(host: Host) -> Answer:
    """Pass: the driver is as new as the CUDA of `--image` needs, or as one of ours needs.

    Oldest drivers: `jaxpad.doctor.model`. Any minor version of a CUDA runs on the oldest driver
    of its major. Inconclusive: no version, no such image, or an image that does not say.
    """
    version = host.driver.version or kernel_version(host)
    if version is None:
        return inconclusive("the driver's version is not known", "fix the driver first")
    if host.image is not None:
        return _for_image(host, host.image, version)
    able = [
        cuda
        for cuda, oldest in model.OLDEST_DRIVERS.items()
        if not model.older_than(version, oldest)
    ]
    words = "; ".join(_words(version, cuda) for cuda in model.OLDEST_DRIVERS)
    return passed(words) if able else failed(words, UPDATE)


def _words(version: str, cuda: str) -> str:
    oldest = model.OLDEST_DRIVERS[cuda]
    if model.older_than(version, oldest):
        return f"driver {version} is too old for CUDA {cuda}, which needs {oldest}"
    return f"driver {version} is new enough for CUDA {cuda} (needs {oldest})"


def _for_image(host: Host, image: str, version: str) -> Answer:
    label, problem = _label(host, image)
    if label is None:
        remedy = f"build or pull it, or give an image with the label {LABEL}"
        return inconclusive(f"the CUDA of {image} is not known: {problem}", remedy)
    major = label.split(".")[0]
    if major not in model.OLDEST_DRIVERS:
        known = ", ".join(model.OLDEST_DRIVERS)
        words = f"{image} says CUDA {label}, and the drivers for {known} alone are known here"
        return inconclusive(words, f"look it up: {model.DRIVERS_SOURCE}")
    words = f"{_words(version, major)}; {image} has CUDA {label}"
    return failed(words, UPDATE) if "too old" in words else passed(words)


def _label(host: Host, image: str) -> tuple[str | None, str]:
    """What the image says its CUDA is, or why it cannot be read."""
    problems = []
    for name in host.engines:
        found = engine(host, name)
        if found.version is None:
            problems.append(found.problem)
            continue
        labels = "{{json .Config.Labels}}" if name == "docker" else "{{json .Labels}}"
        ran = host.run(name, "image", "inspect", "--format", labels, image)
        said = (json.loads(ran.stdout) or {}) if ran.ok else {}
        if LABEL in said:
            return str(said[LABEL]), ""
        problems.append(f"{name}: no label {LABEL}" if ran.ok else f"{name}: {ran.why}")
    return None, "; ".join(problems)
