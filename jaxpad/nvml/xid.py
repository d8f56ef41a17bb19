"""What NVIDIA has an admin do about an Xid: by code, and where the text decides, by its text.

The facts are of NVIDIA's Xid catalogue and its sheet of NVLink 5 errors, as generated on
2025-10-29 into https://github.com/leptonai/gpud
(components/accelerator/nvidia/xid/catalog_generated.go); 154 is of
https://github.com/NVIDIA/open-gpu-kernel-modules (gpu.c).
"""

from __future__ import annotations

import re
from enum import StrEnum

CATALOGUE = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"


class Action(StrEnum):
    """What is to be done at once."""

    NONE = "nothing"
    RESTART_APP = "restart the program"
    RESET = "reset the GPU"
    REBOOT = "reboot"
    RESTART_VM = "restart the virtual machine"
    CABLES = "connect the board's power cables"
    LINKS = "check the NVLinks (nvidia-smi nvlink -s), reset all GPUs"
    DRAIN_P2P = "end all programs that use the GPU's peer-to-peer links"
    DRAIN_RESET = "end all programs on the GPU and reset it"
    IMEX = "nothing on this GPU: the IMEX domain is to be fixed"
    UPDATE = "update driver and firmware"
    UNKNOWN = "look the code up"


HARDWARE = frozenset(
    {
        *(Action.RESET, Action.REBOOT, Action.RESTART_VM, Action.CABLES, Action.LINKS),
        *(Action.DRAIN_P2P, Action.DRAIN_RESET),
    }
)
HARMLESS = frozenset({Action.NONE, Action.RESTART_APP, Action.IMEX})
RECOVERY = 154
NVLINK5 = range(144, 151)

_CODES: dict[Action, tuple[int, ...]] = {
    Action.RESTART_APP: (
        *(8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84),
        *(85, 86, 88, 89, 94, *range(96, 106), *range(126, 136), 139),
    ),
    # 45 alone asks for the fabric manager to be started again, beside another Xid for nothing.
    Action.NONE: (
        *(14, 37, 38, 43, 44, 45, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153),
        *(157, 160, 161),
    ),
    Action.RESET: (46, 48, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158),
    Action.CABLES: (54,),
    Action.LINKS: (74,),
    Action.UPDATE: (78,),
    Action.REBOOT: (79,),
    Action.RESTART_VM: (151,),
}
ACTIONS = {code: action for action, codes in _CODES.items() for code in codes}
WORDS = {
    46: "GPU stopped processing",
    48: "double-bit ECC error",
    54: "auxiliary power is not connected",
    62: "internal micro-controller halt",
    64: "row remapping failed",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    94: "contained memory error",
    95: "uncontained memory error",
    109: "context switch timeout",
    110: "security fault",
    119: "GSP does not answer",
    120: "GSP error",
    136: "NVLink training failed",
    140: "unrecovered ECC error",
    143: "GPU initialisation failed",
    **dict.fromkeys(NVLINK5, "NVLink 5 error"),
    151: "key rotation error",
    154: "recovery action",
    155: "NVLink error by software",
    156: "resource retirement",
    158: "GPU fatal timeout",
}

_CHANGED = re.compile(r"recovery action changed from .*? to 0x[0-9a-f]+ \(([^)]*)\)", re.I)
_RECOVERY = (  # the words of the last action, the longer ones first
    ("imex", Action.IMEX),
    ("drain and reset", Action.DRAIN_RESET),
    ("drain p2p", Action.DRAIN_P2P),
    ("reboot", Action.REBOOT),
    ("reset", Action.RESET),
    ("none", Action.NONE),
)
_NVLINK5 = re.compile(
    r"\b([A-Z][A-Z0-9_]+(?:/[A-Z0-9_]+)?) (?:(Non-?fatal|(?:Link )?Fatal)\W)?"
    r"[^(]*\((0x[0-9a-f]+) (0x[0-9a-f]+)",
    re.I,
)
# Bits of the status word after which the GPU is reset, where a line has no severity.
_FATAL_BITS: dict[tuple[int, str], int] = {
    (144, "SAW_MVB"): 0x12,
    (145, "RLW_CTRL"): 0x0,
    (145, "RLW_REMAP"): 0xC0,
    (145, "RLW_RSPCOL"): 0x2,
    (145, "RLW_RXPIPE"): 0x0,
    (145, "RLW_SRC_TRACK"): 0x31,
    (145, "RLW_TAGSTATE"): 0x120002,
    (146, "TLW_CTRL"): 0x4,
    (146, "TLW_RX/TLW_RX_PIPE0"): 0x4,
    (146, "TLW_RX/TLW_RX_PIPE1"): 0x4,
    (146, "TLW_TX/TLW_TX_PIPE0"): 0x4,
    (146, "TLW_TX/TLW_TX_PIPE1"): 0x4,
    (147, "TREX"): 0x0,
    (148, "NVLPW_CTRL/NVLPW"): 0x0,
    (149, "NETIR_BER_EVENT"): 0x0,
}
_LINK_DOWN_IGNORED = (0x26, 0x28)  # bits 20 to 25 of the first word: who took the link down


def detail(code: int, text: str) -> str:
    """The part of the text that decides, without the name of a program."""
    pattern = {RECOVERY: _CHANGED}.get(code, _NVLINK5 if code in NVLINK5 else None)
    found = pattern.search(text) if pattern else None
    return f"{found[0]})" if found and code in NVLINK5 else found[0] if found else ""


def action(code: int, text: str = "") -> Action:
    """What to do about an Xid of this code and text; UNKNOWN for what the sheets do not say."""
    if code == RECOVERY:
        return _recovery(text)
    if code in NVLINK5:
        return _nvlink(code, text)
    return ACTIONS.get(code, Action.UNKNOWN)


def _recovery(text: str) -> Action:
    found = _CHANGED.search(text)
    told = found[1].lower() if found else ""
    return next((each for word, each in _RECOVERY if word in told), Action.UNKNOWN)


def _nvlink(code: int, text: str) -> Action:
    found = _NVLINK5.search(text)
    if not found:
        return Action.UNKNOWN
    unit, severity, info, status = found[1].upper(), (found[2] or "").lower(), found[3], found[4]
    if severity.startswith("non"):
        return Action.NONE  # of eight rows of 145 a line of 154 decides, which is judged
    if unit.startswith("NETIR_LINK") and (int(info, 16) >> 20) & 0x3F in _LINK_DOWN_IGNORED:
        return Action.NONE
    if severity:
        return Action.RESET
    return _by_status(code, unit, int(status, 16))


def _by_status(code: int, unit: str, status: int) -> Action:
    if unit.startswith(("NETIR_LINK", "NETIR/NETIR_INT", "MSE_WATCHDOG")):
        return Action.RESET
    if unit == "NETIR_MFDE_EVENT":
        return {3: Action.NONE}.get(status, Action.RESET)
    fatal = _FATAL_BITS.get((code, unit))
    if fatal is None:
        return Action.UNKNOWN
    return Action.RESET if status & fatal else Action.NONE
