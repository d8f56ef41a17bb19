"""Xid errors of the kernel's log, and what NVIDIA's catalogue has an admin do about each.

Codes are sorted by the catalogue's immediate action, as read in 2025-10 through
https://github.com/leptonai/gpud (components/accelerator/nvidia/xid).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from jaxpad.health._finding import Answer, failed, inconclusive, not_applicable, passed
from jaxpad.health._subject import Gpu, Node
from jaxpad.nvml import Xid

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
