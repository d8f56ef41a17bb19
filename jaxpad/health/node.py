"""What concerns the node as a whole: how fast the driver is, peers, InfiniBand ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from jaxpad.health.gpu import active
from jaxpad.health.model import (
    Answer,
    Gpu,
    Node,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
    short,
)
from jaxpad.nvml import Port, Xid


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


def ports(node: Node) -> Answer:
    """Fail: an InfiniBand port with a link that is not active, or fewer active than expected.

    A port without a link is inconclusive: whether it has a cable, the machine cannot know.
    """
    found = node.snapshot.kernel.ports
    if found.value is None:
        return not_applicable(f"no InfiniBand ports to be seen ({found.error})")
    ports = [port for port in found.value if port.link_layer.value in ("InfiniBand", None)]
    bound = node.bounds["infiniband_ports_least"]
    up = [port for port in ports if port.state.value == "ACTIVE"]
    if not ports and not bound.value:
        return not_applicable("no InfiniBand port")
    shown = held(len(up), "ports", f"at least {bound.value:g}", bound)
    remedy = "check cable, switch port and subnet manager (ibstat, ibdiagnet)"
    stuck = [port for port in ports if port not in up and port.physical_state.value == "LinkUp"]
    if stuck or len(up) < bound.value:
        return failed(_ports(up, stuck or ports), remedy, **shown)
    down = [port for port in ports if port not in up and not _off(port)]
    if down and not bound.value:
        without = f"{remedy}, or set infiniband_ports_least to the number that have one"
        return inconclusive(_ports(up, down), without, why="no cable, or a bad one", **shown)
    return passed(f"{len(up)} active", **shown)


def _off(port: Port) -> bool:
    """Switched off by somebody."""
    return port.physical_state.value == "Disabled"


def _ports(up: list[Port], wrong: list[Port]) -> str:
    named = [
        f"{short(port.adapter)}/{port.port} {short(port.state.value or 'unknown')}"
        for port in wrong
        if port not in up
    ]
    return f"{len(up)} active; {', '.join(named[:8]) or 'no other'}"


_MEASURES: dict[str, Callable[[Gpu], float | None]] = {
    "GB of memory": lambda gpu: (gpu.state.memory.total_bytes.value or 0) / 1e9 or None,
    "PCIe lanes at most": lambda gpu: gpu.state.pcie.max_width.value,
    "NVLinks up": active,
}


def peers(gpu: Gpu) -> Answer:
    """Inconclusive: other memory, slot or NVLinks than most GPUs of the same model here."""
    same = [other for other in gpu.node.gpus if _model(other) == _model(gpu)]
    if len(same) < 2:
        return not_applicable("no other GPU of this model here")
    differs = []
    for words, measure in _MEASURES.items():
        own, usual = measure(gpu), _usual([measure(other) for other in same])
        if own is not None and usual is not None and _apart(gpu, words, own, usual):
            differs.append(f"{own:.4g} {words}, most have {usual:.4g}")
    if not differs:
        return passed("like its peers")
    remedy = (
        "compare both with nvidia-smi -q; move the GPU to another slot to see which is at fault"
    )
    return inconclusive("; ".join(differs), remedy, why="one GPU that differs slows all of them")


def _model(gpu: Gpu) -> str | None:
    return gpu.state.identity.pci_device_id.value or gpu.state.identity.name.value


def _usual(values: list[float | None]) -> float | None:
    """What most have; the larger of two that are as frequent."""
    known = Counter(value for value in values if value is not None)
    return max(known, key=lambda value: (known[value], value)) if known else None


def _apart(gpu: Gpu, words: str, own: float, usual: float) -> bool:
    spread = gpu.bound("peer_memory_spread_most").value if "memory" in words else 0.0
    return abs(own - usual) > spread * usual


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
    if node.snapshot.gpu_count.reason and not (_none_here(node) and node.expect):
        return not_applicable("the driver does not say: see above")
    if node.expect is None and _none_here(node):
        return not_applicable(NO_GPU)
    if node.expect is not None:
        shown |= {"bound": f"{node.expect}", "source": "--expect"}
        if listed < node.expect:
            return failed(f"{seen}, {node.expect} expected", LOST, **shown)
        if listed > node.expect:
            return inconclusive(f"{seen}, {node.expect} expected", "mend --expect", **shown)
        return passed(seen, **shown)
    return _unlisted(node, seen, shown)


def _fallen(node: Node) -> list[str]:
    """Bus ids of GPUs that the bus has lost."""
    on_bus = node.snapshot.kernel.gpus.value or ()
    silent = {gpu.pci_bus_id for gpu in on_bus if gpu.answers.value is False}
    hours = node.bounds["xid_hours_most"].value
    fallen = {
        xid.pci_bus_id
        for xid in node.snapshot.kernel.xids.value or ()
        if xid.code == 79 and node.facts.up_s - xid.seconds <= hours * 3600 and hours
    }
    lost = silent | (fallen & set(node.snapshot.unlisted))
    return sorted(lost - _given_away(node))


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


# Xid errors of the kernel's log, and what NVIDIA's catalogue has an admin do about each.
#
# Codes are sorted by the catalogue's immediate action, as read in 2025-10 through
# https://github.com/leptonai/gpud (components/accelerator/nvidia/xid).

CATALOGUE = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"
_RESET, _REBOOT = "reset the GPU", "reboot"
_LINK = "check the NVLinks (nvidia-smi nvlink -s), reset all GPUs"

# The GPU cannot be used until somebody has acted: RESET_GPU, RESTART_BM, CHECK_MECHANICALS
# and the workflows of 48 and of NVLink.
HARDWARE = {
    46: ("GPU stopped processing", _RESET),
    48: ("double-bit ECC error", _RESET),
    54: ("auxiliary power is not connected", "connect the board's power cables"),
    62: ("internal micro-controller halt", _RESET),
    64: ("row remapping failed", _RESET),
    74: ("NVLink error", _LINK),
    79: ("GPU has fallen off the bus", _REBOOT),
    95: ("uncontained memory error", _RESET),
    109: ("context switch timeout", _RESET),
    110: ("security fault", _RESET),
    119: ("GSP does not answer", _RESET),
    120: ("GSP error", _RESET),
    136: ("NVLink training failed", _RESET),
    140: ("unrecovered ECC error", _RESET),
    143: ("GPU initialisation failed", _RESET),
    **dict.fromkeys(range(144, 151), ("NVLink 5 error", _LINK)),
    155: ("NVLink error by software", _RESET),
    156: ("resource retirement", _RESET),
    158: ("GPU fatal timeout", _RESET),
}
# RESTART_APP, IGNORE and the workflow of 45: a program, or what another Xid explains.
APPLICATION = frozenset(
    {
        *(8, 11, 13, 25, 31, 32, 37, 38, 39, 40, 41, 43, 44, 45, 60, 63, 66, 67, 68, 69, 70),
        *(71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 96, 97, 98, 99, *range(100, 108)),
        *(121, *range(126, 136), 137, 139, 141, 152, 153, 154, 160),
    }
)
# Not in either: 92 and 94 (memory that goes bad), 157, 161 and codes that are new.


def log(node: Node) -> Answer:
    """Pass: the kernel's log can be read and holds no hardware Xid of a GPU that NVML has not.

    The log forgets, at the latest at a reboot: what is not there may still have been.
    """
    found = node.snapshot.kernel.xids
    if _left_out(node):
        unread = f"left out: it cannot be read here ({found.reason})"
        return not_applicable(unread if found.reason else "left out: xid_hours_most is 0")
    if found.value is None:
        remedy = "run as root or with CAP_SYSLOG, or set xid_hours_most = 0 to leave it out"
        return inconclusive(f"the kernel's log cannot be read: {found.reason}", remedy)
    listed = {gpu.bus for gpu in node.gpus}
    return _judge(node, [xid for xid in found.value if xid.pci_bus_id not in listed], " elsewhere")


def xid(gpu: Gpu) -> Answer:
    """Fail: an Xid after which NVIDIA has the GPU reset, checked or replaced."""
    found = gpu.node.snapshot.kernel.xids
    if found.value is None or _left_out(gpu.node):
        return not_applicable("the kernel's log was not read")
    return _judge(gpu.node, [xid for xid in found.value if xid.pci_bus_id == gpu.bus])


def _left_out(node: Node) -> bool:
    return node.bounds["xid_hours_most"].value == 0


def _judge(node: Node, found: Iterable[Xid], where: str = "") -> Answer:
    hours = node.bounds["xid_hours_most"].value
    recent = [xid for xid in found if node.facts.up_s - xid.seconds <= hours * 3600]
    codes = Counter(xid.code for xid in recent)
    bad = [code for code in codes if code in HARDWARE]
    odd = [code for code in codes if code not in HARDWARE and code not in APPLICATION]
    seen, more = _words(codes) + where, {"value": float(len(recent)), "unit": "Xids"}
    if bad:
        remedy = (
            f"drain it and {HARDWARE[bad[0]][1]}; what the code means: {CATALOGUE} (the log keeps "
            "it until a reboot, unless xid_hours_most is set)"
        )
        why = "NVIDIA's catalogue has the GPU out of use until then"
        return failed(seen, remedy, why=why, source=CATALOGUE, **more)
    if odd:
        remedy = f"look the code up in {CATALOGUE}"
        return inconclusive(seen, remedy, source=CATALOGUE, **more)
    why = "programs' own errors, or explained by others" if codes else ""
    return passed(seen if codes else "no Xid", why=why, source=CATALOGUE, **more)


def _words(codes: Counter[int]) -> str:
    shown = [
        f"Xid {code}"
        + (f" ({HARDWARE[code][0]})" if code in HARDWARE else "")
        + f", {times} time(s)"
        for code, times in sorted(codes.items(), key=lambda pair: pair[0] not in HARDWARE)[:4]
    ]
    return "; ".join(shown)
