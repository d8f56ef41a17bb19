"""What concerns the node as a whole: the driver, and whether all GPUs are there."""

from __future__ import annotations

from collections import Counter

from jaxpad.health.model import (
    Answer,
    Node,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
)
from jaxpad.nvml import PYNVML, Said


def speed(node: Node) -> Answer:
    """Inconclusive: NVML took longer to answer than the bound, once started."""
    took, bound = node.facts.asked_s, node.bounds["nvml_seconds_most"]
    if took is None or node.snapshot.gpu_count.reason:
        return not_applicable("NVML did not start")
    shown = held(round(took, 3), "s", f"at most {bound.value:g} s", bound)
    if took > bound.value:
        remedy = "ask again; if it stays slow, see dmesg and what else asks the driver"
        return inconclusive(f"{took:.1f} s", remedy, **shown)
    return passed(f"{took:.2f} s", **shown)


# Whether the driver answers, and for all GPUs of the machine.

RELOAD = "reboot, or stop all that uses the GPUs and load the module again (modprobe nvidia)"
INSTALL = "install the NVIDIA driver and load it (modprobe nvidia)"
LIBRARY = (
    "install the driver's library libnvidia-ml.so.1; in a container ask for it with "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility"
)
MODULE = "modprobe nvidia, and see dmesg; under Secure Boot the module must be signed"
NO_GPU = "this machine shows no NVIDIA GPU"
LOST = (
    "drain the node and reboot it; if the GPU is lost again, reseat it, check its power, and "
    "have it replaced"
)
DOCTOR = "run jaxpad doctor and nvidia-smi, and see dmesg for NVRM lines"

# What NVML says where it does not start: (whether that is a confirmed fault, words, remedy).
_ERRORS = {
    "NVMLError_LibraryNotFound": (True, "NVML's library is not there", LIBRARY),
    "NVMLError_DriverNotLoaded": (True, "the kernel's NVIDIA driver is not loaded", MODULE),
    "NVMLError_LibRmVersionMismatch": (
        True,
        "driver and library have different versions, as after an update without a reboot",
        RELOAD,
    ),
    "NVMLError_GpuIsLost": (True, "a GPU is lost, and NVML does not start", LOST),
    "NVMLError_ResetRequired": (True, "a GPU needs a reset", "drain the node and reset the GPU"),
    "NVMLError_NoPermission": (
        False,
        "you may not ask the driver",
        "run as root, or let the user open /dev/nvidiactl and /dev/nvidia*",
    ),
    "TimeoutExpired": (
        False,
        "the driver does not answer in time",
        "see dmesg for Xid lines and for tasks blocked in the nvidia module; reboot if it stays so",
    ),
    "ended": (False, "the driver's library ended the process that asked it", DOCTOR),
    "ModuleNotFoundError": (False, "nvidia-ml-py is not installed", "install jaxpad again"),
    "ForeignPynvml": (
        False,
        "Python's pynvml is not that of nvidia-ml-py, or an old one: NVML was not asked",
        f"{PYNVML}; nothing is wrong with the GPUs for that",
    ),
}


def driver(node: Node) -> Answer:
    """Pass: NVML starts and gives a version.

    A machine without a GPU is not applicable. A driver that hangs is inconclusive: it may
    be slow for once, and what has broken it shows in the kernel's log, which is judged.
    """
    version, count = node.snapshot.driver_version, node.snapshot.gpu_count
    if count.reason is None and _none_here(node):
        return not_applicable(NO_GPU)
    if count.reason is None:
        loaded = node.facts.evidence.kernel_driver
        if loaded and version.value and loaded != version.value:
            seen = f"module {loaded}, libraries {version.value}"
            return failed(seen, RELOAD, why="CUDA refuses to start on two versions")
        return passed(f"driver {version.value or 'of unknown version'} answers")
    error = count.error or ""
    if _none_here(node):
        return not_applicable(NO_GPU)
    confirmed, words, remedy = _ERRORS.get(error, (False, f"NVML does not start: {error}", DOCTOR))
    if error == "NVMLError_LibraryNotFound" and not node.facts.evidence.kernel_driver:
        words = "there is no NVIDIA driver: neither its library nor its kernel module"
        remedy = INSTALL
    return (failed if confirmed else inconclusive)(f"{words} ({count.reason})", remedy)


def _none_here(node: Node) -> bool:
    """No sign of a GPU: images ship the library without one."""
    quiet = (None, "NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded")
    listed = node.snapshot.gpus or node.facts.gpu
    return not listed and node.snapshot.gpu_count.error in quiet


def count(node: Node) -> Answer:
    """Pass: NVML lists every GPU of the PCI bus, or as many as `--expect` says.

    Fail: fewer than expected, or one that is gone from the bus: its configuration space
    reads as ones. Others may be kept from us by a container, a job's cgroup or a virtual
    machine, which is inconclusive, unless the bus has said Xid 79 of one.
    """
    listed = len(node.snapshot.gpus)
    gone = _fallen(node)
    seen = f"{listed} GPU(s)"
    shown = {"value": float(listed), "unit": "GPUs"}
    if gone:
        where = f"{seen}; {', '.join(gone)} has fallen off the bus"
        return failed(where, LOST, why="PCI enumerated it, and it does not answer", **shown)
    doubled = _doubled(node)
    if doubled:
        why = "the driver takes one GPU for several, or several for one"
        return failed(f"{seen}, {doubled}", LOST, why=why, **shown)
    if node.snapshot.gpu_count.reason and not (_none_here(node) and node.expect):
        return not_applicable("the driver does not say: see above")
    if node.expect is None and _none_here(node):
        return not_applicable(NO_GPU)
    if node.expect is not None:
        shown |= {"bound": f"{node.expect}", "source": "--expect"}
        if listed < node.expect:
            return failed(f"{seen}, {node.expect} expected", LOST, **shown)
        if listed > node.expect:
            return inconclusive(f"{seen}, {node.expect} expected", "fix --expect", **shown)
        return passed(seen, **shown)
    return _unlisted(node, seen, shown)


def _fallen(node: Node) -> list[str]:
    """Bus ids of GPUs that the bus has lost."""
    on_bus = node.snapshot.kernel.gpus.value or ()
    silent = {gpu.pci_bus_id for gpu in on_bus if gpu.answers.value is False}
    hours = node.bounds["xid_hours_most"].value
    kernel, since = node.snapshot.kernel, node.facts.up_s - hours * 3600
    told = [(xid.pci_bus_id, xid.seconds) for xid in kernel.xids.value or () if xid.code == 79]
    told += [(one.pci_bus_id, one.seconds) for one in kernel.said.value or () if _gone(one)]
    fallen = {bus for bus, seconds in told if hours and (seconds >= since or seconds < 0)}
    lost = silent | (fallen & set(node.snapshot.unlisted))
    return sorted(lost - _given_away(node))


def _doubled(node: Node) -> str:
    """GPUs that answer to one name, in words: each has a UUID and a PCI bus id of its own."""
    for words, name in (("UUID", "uuid"), ("PCI bus id", "pci_bus_id")):
        told = [(getattr(gpu.state.identity, name).value, gpu.state.index) for gpu in node.gpus]
        times = Counter(value for value, _ in told if value)
        same = [index for value, index in told if times[value] > 1]
        if same:
            return f"GPUs {', '.join(map(str, same))} with one {words}"
    return ""


def _gone(line: Said) -> bool:
    return line.kind == "fallen"


def _given_away(node: Node) -> set[str]:
    """What another kernel driver holds, such as vfio-pci for a virtual machine."""
    return {bus for bus, name in node.facts.bound_to.items() if name != "nvidia"}


def _unlisted(node: Node, seen: str, shown: dict[str, object]) -> Answer:
    """What is on the bus and not in NVML's list, where none has fallen off."""
    missing = [bus for bus in node.snapshot.unlisted if bus not in _given_away(node)]
    if not missing and node.snapshot.gpus:
        return passed(seen, **shown)
    if not missing:
        return inconclusive(f"{seen}: NVML lists none", DOCTOR, **shown)
    if node.facts.container:
        words = f"{seen}, and {len(missing)} more on the bus that this container was not given"
        return passed(words, **shown)
    words = f"{seen}, and on the bus {', '.join(missing)}"
    remedy = "see dmesg for Xid 79; say --expect N to have it fail"
    why = "lost, or kept from us by a job's cgroup or a virtual machine"
    return inconclusive(words, remedy, why=why, **shown)
