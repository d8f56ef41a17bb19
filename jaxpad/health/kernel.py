"""What the kernel's log says of the GPUs, judged: Xid errors, and lines that carry none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import replace

from jaxpad.health.model import Answer, Gpu, Node, failed, inconclusive, not_applicable, passed
from jaxpad.nvml import Said, Xid
from jaxpad.nvml.xid import (
    CATALOGUE,
    HARDWARE,
    HARMLESS,
    RECOVERY,
    WORDS,
    Action,
    action,
    detail,
)

_LOST = "drain it and reboot; if it is lost again, reseat it, check its power, have it replaced"
_FAIL, _UNSURE, _TOLD = failed, inconclusive, passed

# What a line without an Xid means: how it is answered, words, remedy.
LINES = {
    "fallen": (_FAIL, "GPU has fallen off the bus", _LOST),
    "init": (_FAIL, "the driver could not start the GPU (RmInitAdapter)", _LOST),
    "aer": (_FAIL, "fatal PCIe error", "drain it, reseat it and its riser, have it replaced"),
    "switch fatal": (
        _FAIL,
        "fatal NVSwitch error (SXid)",
        "drain the node, reset all GPUs and NVSwitches together or reboot, have it serviced",
    ),
    "switch": (_TOLD, "NVSwitch error that is not fatal (SXid)", ""),
    "discovery": (
        _UNSURE,
        "NVLink discovery failed",
        "see nvidia-smi nvlink -s; reset all GPUs together or reboot",
    ),
    "nccl": (_TOLD, "a program ended inside libnccl", ""),
    "slot power": (
        _UNSURE,
        "the network adapter has too little power in its slot",
        "put the adapter into a slot with enough power, or connect its cable",
    ),
    "module heat": (
        _UNSURE,
        "a network cable's module is too hot",
        "check the air flow at the adapter and the module (mlxlink -m)",
    ),
    "access": (_TOLD, "the adapter's firmware refused a register (ACCESS_REG)", ""),
    "peermem": (_TOLD, "nvidia_peermem met memory of a program that had ended", ""),
    "memory": (
        _UNSURE,
        "an uncorrected hardware error of the machine",
        "see rasdaemon or the BMC's event log for the part that it names",
    ),
    "hung": (
        _UNSURE,
        "a task that names nvidia is blocked in the kernel",
        "see dmesg for its stack; reboot if it stays so",
    ),
}


def log(node: Node) -> Answer:
    """Pass: the kernel's log can be read and holds no hardware error that is not a listed GPU's.

    The log forgets, at the latest at a reboot: what is not there may still have been.
    """
    kernel = node.snapshot.kernel
    if _left_out(node):
        unread = f"left out: it cannot be read here ({kernel.xids.reason})"
        return not_applicable(unread if kernel.xids.reason else "left out: xid_hours_most is 0")
    if kernel.xids.value is None:
        remedy = "run as root or with CAP_SYSLOG, or set xid_hours_most = 0 to leave it out"
        return inconclusive(f"the kernel's log cannot be read: {kernel.xids.reason}", remedy)
    listed = {gpu.bus for gpu in node.gpus}
    others = [xid for xid in kernel.xids.value if xid.pci_bus_id not in listed]
    lines = [said for said in kernel.said.value or () if said.pci_bus_id not in listed]
    return _judge(node, others, _of_gpus(node, lines), " elsewhere")


def xid(gpu: Gpu) -> Answer:
    """Fail: an error after which NVIDIA has the GPU reset, checked or replaced."""
    kernel = gpu.node.snapshot.kernel
    if kernel.xids.value is None or _left_out(gpu.node):
        return not_applicable("the kernel's log was not read")
    own = [xid for xid in kernel.xids.value if xid.pci_bus_id == gpu.bus]
    lines = [said for said in kernel.said.value or () if said.pci_bus_id == gpu.bus]
    return _judge(gpu.node, own, lines)


def anonymous(xid: Xid) -> Xid:
    """Without what the line says of a process."""
    return replace(xid, text=detail(xid.code, xid.text))


def _left_out(node: Node) -> bool:
    return node.bounds["xid_hours_most"].value == 0


def _of_gpus(node: Node, lines: Iterable[Said]) -> list[Said]:
    """Without PCIe errors of other devices than GPUs."""
    on_bus = {gpu.pci_bus_id for gpu in node.snapshot.kernel.gpus.value or ()}
    return [said for said in lines if said.kind != "aer" or said.pci_bus_id in on_bus]


def hardware(xids: Iterable[Xid]) -> tuple[Xid, ...]:
    """Those after which the GPU cannot be used until somebody has acted."""
    return tuple(xid for xid in decisive(xids) if action(xid.code, xid.text) in HARDWARE)


def decisive(xids: Iterable[Xid]) -> tuple[Xid, ...]:
    """Without each recovery action (154) that a later one of the same GPU has replaced."""
    every = tuple(xids)
    last = {xid.pci_bus_id: place for place, xid in enumerate(every) if xid.code == RECOVERY}
    return tuple(
        xid
        for place, xid in enumerate(every)
        if xid.code != RECOVERY or last[xid.pci_bus_id] == place
    )


def _judge(node: Node, xids: Iterable[Xid], lines: Iterable[Said], where: str = "") -> Answer:
    since = node.facts.up_s - node.bounds["xid_hours_most"].value * 3600
    recent = decisive(xid for xid in xids if xid.seconds >= since or xid.seconds < 0)
    said = [LINES[one.kind] for one in lines if one.seconds >= since or one.seconds < 0]
    asked = {action(xid.code, xid.text): xid.code for xid in reversed(recent)}
    seen = "; ".join(filter(None, (_words(recent), *dict.fromkeys(words for _, words, _ in said))))
    more = {"value": float(len(recent)), "unit": "Xids", "source": CATALOGUE}
    bad = _first(asked, HARDWARE)
    if bad:
        return failed(seen + where, _remedy(bad), why=_WHY, **more)
    for answer in (_FAIL, _UNSURE):
        told = [remedy for each, _, remedy in said if each is answer]
        if told:
            return answer(seen + where, told[0], **more)
    odd = _first(asked, set(asked) - HARMLESS)
    if odd:
        words = f"{odd} in" if odd is Action.UNKNOWN else f"{odd}: see"
        return inconclusive(seen + where, f"{words} {CATALOGUE}", **more)
    return passed(seen + where if seen else "no Xid", why=_harmless(asked, seen), **more)


_WHY = "NVIDIA's catalogue has the GPU out of use until then"


def _first(asked: Iterable[Action], wanted: Collection[Action]) -> Action | None:
    return next((each for each in asked if each in wanted), None)


def _remedy(asked: Action) -> str:
    return (
        f"drain it and {asked}; what the code means: {CATALOGUE} (the log keeps it until a "
        "reboot, unless xid_hours_most is set)"
    )


def _harmless(asked: Collection[Action], seen: str) -> str:
    if Action.RESTART_APP in asked:
        return f"NVIDIA's catalogue: {Action.RESTART_APP}; the GPU stays in use"
    return "programs' own errors, or explained by others" if seen else ""


def _words(xids: Collection[Xid]) -> str:
    first = sorted(xids, key=lambda xid: action(xid.code, xid.text) not in HARDWARE)
    codes = Counter(xid.code for xid in first)
    told = {xid.code: str(action(xid.code, xid.text)) for xid in xids if xid.code == RECOVERY}
    return "; ".join(
        f"Xid {code}"
        + (f" ({WORDS[code]}{': ' + told[code] if code in told else ''})" if code in WORDS else "")
        + f", {times} time(s)"
        for code, times in list(codes.items())[:4]
    )
