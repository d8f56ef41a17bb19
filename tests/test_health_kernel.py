"""What the kernel's log and sysfs say, judged: every code and status of NVIDIA's sheets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jaxpad import nvml
from jaxpad.core.results import Verdict
from jaxpad.health import Finding, kernel
from jaxpad.health.judging import concealed
from jaxpad.health.model import passed
from jaxpad.nvml import kernel_log
from jaxpad.nvml.xid import HARDWARE, HARMLESS, Action, action
from test_health_machine import H100, judged, seen

PASS, FAIL, UNSURE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
BUS = "0000:0b:00"

# Immediate action and codes, from NVIDIA's Xid catalogue (2025-10-29, by way of gpud).
CATALOGUE = """\
CONTACT_SUPPORT: 1 2 3 4 5 6 7 9 10 12 15 16 17 18 19 20 21 22 23 24 26 27 28 29 30 33 34 35 36
CONTACT_SUPPORT: 42 47 49 50 51 52 53 55 56 57 58 59 61 65 73 81 87 90 91 111 112 113 114 115 116
CONTACT_SUPPORT: 117 118 122 123 124 125 138 142
RESTART_APP: 8 11 13 25 31 32 39 40 41 60 68 69 70 71 72 75 76 77 80 82 83 84 85 86 88 89 94
RESTART_APP: 96 97 98 99 100 101 102 103 104 105 126 127 128 129 130 131 132 133 134 135 139
IGNORE: 14 37 38 43 44 63 66 67 92 93 106 107 108 121 137 141 152 153 157 160 161
WORKFLOW_XID_45: 45
RESET_GPU: 46 62 64 95 109 110 119 120 136 140 143 155 156 158
WORKFLOW_XID_48: 48
CHECK_MECHANICALS: 54
WORKFLOW_NVLINK_ERR: 74
UPDATE_SWFW: 78
RESTART_BM: 79
WORKFLOW_NVLINK5_ERR: 144 145 146 147 148 149 150
RESTART_VM: 151
XID_154: 154
CHECK_UVM: 159
-: 162 163 164 165 166 167 168 169 170 171 172
"""
# Code, unit, bits 20 to 25 of the first word, status, severity, immediate action: the sheet of
# NVLink 5 errors of the same catalogue.
NVLINK5 = """\
144 SAW_MVB 0x0 0x1 Nonfatal IGNORE
144 SAW_MVB 0x0 0x2 Fatal RESET_GPU
144 SAW_MVB 0x0 0x4 Nonfatal IGNORE
144 SAW_MVB 0x0 0x8 Nonfatal IGNORE
144 SAW_MVB 0x0 0x10 Fatal RESET_GPU
144 SAW_MVB 0x0 0x20 Nonfatal IGNORE
145 RLW_CTRL 0x0 0x80000000 Nonfatal IGNORE
145 RLW_REMAP 0x0 0x1 Nonfatal XID_154_EVAL
145 RLW_REMAP 0x0 0x2 Nonfatal XID_154_EVAL
145 RLW_REMAP 0x0 0x4 Nonfatal XID_154_EVAL
145 RLW_REMAP 0x0 0x8 Nonfatal XID_154_EVAL
145 RLW_REMAP 0x0 0x10 Nonfatal XID_154_EVAL
145 RLW_REMAP 0x0 0x20 Nonfatal XID_154_EVAL
145 RLW_REMAP 0x0 0x40 Fatal RESET_GPU
145 RLW_REMAP 0x0 0x80 Fatal RESET_GPU
145 RLW_REMAP 0x0 0x100 Nonfatal IGNORE
145 RLW_REMAP 0x0 0x200 Nonfatal IGNORE
145 RLW_REMAP 0x0 0x80000000 Nonfatal IGNORE
145 RLW_RSPCOL 0x0 0x1 Nonfatal IGNORE
145 RLW_RSPCOL 0x0 0x2 Fatal RESET_GPU
145 RLW_RSPCOL 0x0 0x80000000 Nonfatal IGNORE
145 RLW_RXPIPE 0x0 0x1 Nonfatal IGNORE
145 RLW_RXPIPE 0x0 0x2 Nonfatal IGNORE
145 RLW_RXPIPE 0x0 0x4 Nonfatal IGNORE
145 RLW_RXPIPE 0x0 0x8 Nonfatal IGNORE
145 RLW_RXPIPE 0x0 0x80000000 Nonfatal IGNORE
145 RLW_SRC_TRACK 0x0 0x1 Fatal RESET_GPU
145 RLW_SRC_TRACK 0x0 0x2 Nonfatal IGNORE
145 RLW_SRC_TRACK 0x0 0x4 Nonfatal XID_154_EVAL
145 RLW_SRC_TRACK 0x0 0x8 Nonfatal XID_154_EVAL
145 RLW_SRC_TRACK 0x0 0x10 Fatal RESET_GPU
145 RLW_SRC_TRACK 0x0 0x20 Fatal RESET_GPU
145 RLW_SRC_TRACK 0x0 0x80000000 Nonfatal IGNORE
145 RLW_TAGSTATE 0x0 0x1 Nonfatal IGNORE
145 RLW_TAGSTATE 0x0 0x2 Fatal RESET_GPU
145 RLW_TAGSTATE 0x0 0x10000 Nonfatal IGNORE
145 RLW_TAGSTATE 0x0 0x20000 Fatal RESET_GPU
145 RLW_TAGSTATE 0x0 0x100000 Fatal RESET_GPU
145 RLW_TAGSTATE 0x0 0x80000000 Nonfatal IGNORE
146 TLW_CTRL 0x0 0x1 Nonfatal IGNORE
146 TLW_CTRL 0x0 0x2 Nonfatal IGNORE
146 TLW_CTRL 0x0 0x4 Fatal RESET_GPU
146 TLW_CTRL 0x0 0x80000000 Nonfatal IGNORE
146 TLW_RX/TLW_RX_PIPE0 0x0 0x1 Nonfatal IGNORE
146 TLW_RX/TLW_RX_PIPE0 0x0 0x2 Nonfatal IGNORE
146 TLW_RX/TLW_RX_PIPE0 0x0 0x4 Fatal RESET_GPU
146 TLW_RX/TLW_RX_PIPE0 0x0 0x80000000 Nonfatal IGNORE
146 TLW_RX/TLW_RX_PIPE1 0x0 0x1 Nonfatal IGNORE
146 TLW_RX/TLW_RX_PIPE1 0x0 0x2 Nonfatal IGNORE
146 TLW_RX/TLW_RX_PIPE1 0x0 0x4 Fatal RESET_GPU
146 TLW_RX/TLW_RX_PIPE1 0x0 0x80000000 Nonfatal IGNORE
146 TLW_TX/TLW_TX_PIPE0 0x0 0x1 Nonfatal IGNORE
146 TLW_TX/TLW_TX_PIPE0 0x0 0x2 Nonfatal IGNORE
146 TLW_TX/TLW_TX_PIPE0 0x0 0x4 Fatal RESET_GPU
146 TLW_TX/TLW_TX_PIPE0 0x0 0x80000000 Nonfatal IGNORE
146 TLW_TX/TLW_TX_PIPE1 0x0 0x1 Nonfatal IGNORE
146 TLW_TX/TLW_TX_PIPE1 0x0 0x2 Nonfatal IGNORE
146 TLW_TX/TLW_TX_PIPE1 0x0 0x4 Fatal RESET_GPU
146 TLW_TX/TLW_TX_PIPE1 0x0 0x80000000 Nonfatal IGNORE
147 TREX 0x0 0x1 Nonfatal IGNORE
147 TREX 0x0 0x80000000 Nonfatal IGNORE
148 NVLPW_CTRL/NVLPW 0x0 0x80000000 Nonfatal IGNORE
149 NETIR/NETIR_INT 0x0 0x0 Fatal RESET_GPU
149 NETIR_BER_EVENT 0x0 0x0 Nonfatal IGNORE
149 NETIR_BER_EVENT 0x0 0x1 Nonfatal IGNORE
149 NETIR_BER_EVENT 0x0 0x2 Nonfatal IGNORE
149 NETIR_BER_EVENT 0x0 0x3 Nonfatal IGNORE
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x0 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x1 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x2 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x4 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0xa 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0xf 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x10 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x11 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x12 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x15 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x16 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x20 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x21 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x22 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x23 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x24 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x25 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x26 0x0 Fatal IGNORE
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x28 0x0 Fatal IGNORE
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x2a 0x0 Fatal RESET_GPU
149 NETIR_LINK_EVT/NETIR_LINK_DOWN 0x2b 0x0 Fatal RESET_GPU
149 NETIR_MFDE_EVENT 0x0 0x1 Fatal RESET_GPU
149 NETIR_MFDE_EVENT 0x0 0x3 Nonfatal IGNORE
149 NETIR_MFDE_EVENT 0x0 0x4 Fatal RESET_GPU
149 NETIR_MFDE_EVENT 0x0 0x5 Fatal RESET_GPU
149 NETIR_MFDE_EVENT 0x0 0x7 Fatal RESET_GPU
150 MSE_WATCHDOG 0x0 0x0 Fatal RESET_GPU
"""
TAKEN = {
    "RESTART_APP": PASS, "IGNORE": PASS, "WORKFLOW_XID_45": PASS, "RESET_GPU": FAIL,
    "WORKFLOW_XID_48": FAIL, "CHECK_MECHANICALS": FAIL, "WORKFLOW_NVLINK_ERR": FAIL,
    "RESTART_BM": FAIL, "RESTART_VM": FAIL, "XID_154_EVAL": PASS,
}  # fmt: skip
BY_TEXT = {"WORKFLOW_NVLINK5_ERR", "XID_154"}


def verdict(code: int, text: str = "") -> Verdict:
    asked = action(code, text)
    return FAIL if asked in HARDWARE else PASS if asked in HARMLESS else UNSURE


@pytest.mark.parametrize("row", CATALOGUE.splitlines())
def test_catalogue(row: str) -> None:
    told, _, codes = row.partition(": ")
    if told in BY_TEXT:
        return
    got = {code: verdict(int(code)) for code in codes.split()}
    assert got == dict.fromkeys(got, TAKEN.get(told, UNSURE))


@pytest.mark.parametrize("row", NVLINK5.splitlines())
def test_nvlink5(row: str) -> None:
    code, unit, by, status, severity, told = row.split()
    words = f"(0x{int(by, 16) << 20 | 0x26:08x} 0x{int(status, 16):08x} 0x00000000)"
    text = f"{unit} {severity} XC0 i0 Link 01 {words}"
    assert verdict(int(code), text) is TAKEN[told]
    assert verdict(int(code), f"pid=7, name=a b, {text}") is TAKEN[told]
    if told != "XID_154_EVAL":
        assert verdict(int(code), f"{unit} XC0 i0 Link 01 {words}") is TAKEN[told]


def asked(tmp_path: Path, text: str, question: str = "xid") -> Finding:
    """What a machine whose kernel wrote this is told, names of programs left out."""
    (tmp_path / "kmsg").write_text(text)
    snapshot = seen(H100)
    said = nvml.kernel(tmp_path, tmp_path / "kmsg")
    bus = "0000:0b:00.0"
    head, *rest = snapshot.gpus
    known = replace(head.identity, pci_bus_id=replace(head.identity.pci_bus_id, value=bus))
    gpus = (replace(head, identity=known), *rest)
    return judged(concealed(replace(snapshot, gpus=gpus, kernel=said)))[question]


FORMS = (
    "NVRM: Xid (PCI:0000:0b:00): 95, pid=1, Uncontained",
    "NVRM: Xid (PCI:0000:0b:00 GPU-I:05): 95, pid=1, Uncontained",
    "NVRM: Xid (PCI:0000:0b:00 GPU-I:05 GPU-CI:00): 95, pid=1, Uncontained",
    "NVRM: Xid (PCI:0000:0B:00): 95, pid='<unknown>', name=<unknown>, Uncontained",
    "NVRM: Xid (0000:0b:00): 95, Uncontained",
    "NVRM: Xid (PCI:00000000:0B:00.0): 95",
    "NVRM: Xid (0b:00): 95, old",
)
PREFIXES = (
    "", "4,1,6000000,-;", "[   12.5] ", "<3>[   12.5] ", "[Thu Oct 10 03:06:53 2024] ",
    "Oct 10 03:06:53 node kernel: ", "Oct 10 03:06:53 node kernel: [   12.5] ",
    "2024-10-10T03:06:53+00:00 node kernel: ", "kern  :err   : [   12.5] ",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms(tmp_path: Path, form: str) -> None:
    for prefix in PREFIXES:
        assert asked(tmp_path, f"{prefix}{form}\n").verdict is FAIL, prefix


RECOVERY = (
    ("0x1 (GPU Reset Required)", FAIL, Action.RESET),
    ("0x2 (Node Reboot Required)", FAIL, Action.REBOOT),
    ("0x3 (Drain P2P)", FAIL, Action.DRAIN_P2P),
    ("0x4 (Drain and Reset)", FAIL, Action.DRAIN_RESET),
    ("0x5 (IMEX Domain Recovery)", PASS, ""),
    ("0x0 (None)", PASS, ""),
    ("0x9 (Something New)", UNSURE, ""),
)


@pytest.mark.parametrize(("words", "expected", "remedy"), RECOVERY)
def test_recovery_action(tmp_path: Path, words: str, expected: Verdict, remedy: str) -> None:
    line = "NVRM: Xid (PCI:0000:0b:00): 154, GPU recovery action changed from 0x0 (None) to "
    found = asked(tmp_path, f"{line}{words}\n")
    assert found.verdict is expected
    assert remedy in found.remedy
    assert asked(tmp_path, f"{line}{words}\n{line}0x0 (None)\n").verdict is PASS
    assert asked(tmp_path, f"{line}0x0 (None)\n{line}{words}\n").verdict is expected
    other = line.replace("0b", "0c")
    assert asked(tmp_path, f"{line}{words}\n{other}0x0 (None)\n").verdict is expected


def test_contained_error_names_the_remedy(tmp_path: Path) -> None:
    found = asked(tmp_path, "NVRM: Xid (PCI:0000:0b:00): 94, pid=1, Contained\n")
    assert (found.verdict, Action.RESTART_APP in found.why) == (PASS, True)


LINES = (
    ("NVRM: GPU 0000:0b:00.0: GPU has fallen off the bus.", "xid", FAIL),
    (
        (
            "NVRM: The NVIDIA GPU 0000:0b:00.0\nNVRM: (PCI ID: 10de:2330)\nNVRM: installed in this "
            "system has\nNVRM: fallen off the bus and is not responding to commands."
        ),
        "xid",
        FAIL,
    ),
    ("NVRM: GPU 0000:0b:00.0: RmInitAdapter failed! (0x62:0xffff:2477)", "xid", FAIL),
    ("NVRM: GPU 0000:99:00.0: RmInitAdapter failed! (0x62:0xffff:2477)", "kernel log", FAIL),
    (
        (
            "nvidia 0000:0b:00.0: PCIe Bus Error: severity=Uncorrected (Fatal), type=Transaction "
            "Layer, (Requester ID)"
        ),
        "xid",
        FAIL,
    ),
    ("nvidia 0000:0b:00.0: AER: PCIe Bus Error: severity=Uncorrectable (Fatal)", "xid", FAIL),
    ("pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:0b:00.0", "xid", FAIL),
    (
        (
            "pcieport 0000:00:01.0: AER: Uncorrectable (Fatal) error message received from "
            "0000:0b:00.0"
        ),
        "xid",
        FAIL,
    ),
    ("nvidia 0000:0b:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer", "xid", PASS),
    ("nvme 0000:01:00.0: PCIe Bus Error: severity=Uncorrected (Fatal)", "kernel log", PASS),
    ("nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link 48", "kernel log", FAIL),
    ("nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 12028, Non-fatal, Link 4", "kernel log", PASS),
    (
        "NVRM: knvlinkDiscoverPostRxDetLinks_GH100: Getting peer0's postRxDetLinkMask failed!",
        "kernel log",
        UNSURE,
    ),
    ("python[7]: segfault at 7f ip 7e sp 7d error 4 in libnccl.so.2[7c+d3]", "kernel log", PASS),
    (
        "mlx5_core 0000:5e:00.0: Detected insufficient power on the PCIe slot (27W).",
        "kernel log",
        UNSURE,
    ),
    (
        "mlx5_core 0000:5e:00.0: Port module event[error]: module 0, Cable error, High Temperature",
        "kernel log",
        UNSURE,
    ),
    (
        (
            "mlx5_core 0000:d2:00.0: mlx5_cmd_out_err:838:(pid 2): ACCESS_REG(0x805) op_mod(0x1) "
            "failed"
        ),
        "kernel log",
        PASS,
    ),
    (
        "nvidia-peermem nv_get_p2p_free_callback:127 ERROR detected invalid context, skipping",
        "kernel log",
        PASS,
    ),
    ("{1}[Hardware Error]: event severity: fatal", "kernel log", UNSURE),
    ("{1}[Hardware Error]: event severity: corrected", "kernel log", PASS),
    ("INFO: task nvidia-smi:421 blocked for more than 120 seconds.", "kernel log", UNSURE),
)


@pytest.mark.parametrize(("line", "question", "expected"), LINES)
def test_lines_without_an_xid(tmp_path: Path, line: str, question: str, expected: Verdict) -> None:
    found = asked(tmp_path, line + "\n", question)
    assert (found.verdict, bool(found.remedy)) == (expected, expected is not PASS), found


def test_no_log_is_no_pass(tmp_path: Path) -> None:
    said = nvml.kernel(tmp_path, tmp_path / "none")
    found = judged(replace(seen(H100), kernel=said))
    assert found["kernel log"].verdict is UNSURE
    assert found["xid"].verdict is Verdict.NOT_APPLICABLE
    assert found["ports"].verdict is Verdict.NOT_APPLICABLE


class Network:
    """Ports laid out as sysfs shows them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def port(self, adapter: str, state: str = "4: ACTIVE", rate: int = 400, **more: str) -> None:
        top = self.folder / "class/infiniband" / adapter
        port = top / "ports/1"
        (port / "counters").mkdir(parents=True)
        physical = "5: LinkUp" if "ACTIVE" in state else "3: Disabled"
        (port / "state").write_text(state)
        (port / "phys_state").write_text(physical)
        (port / "rate").write_text(f"{rate} Gb/sec (4X NDR)")
        (port / "link_layer").write_text(more.get("layer", "InfiniBand"))
        (port / "counters/link_downed").write_text(more.get("downed", "0"))
        (top / "hca_type").write_text(more.get("model", "MT4129"))
        if more.get("flags"):
            (top / "device/net/eth0").mkdir(parents=True)
            (top / "device/net/eth0/flags").write_text(more["flags"])

    def judged(self) -> Finding:
        said = nvml.kernel(self.folder, self.folder / "none")
        return judged(replace(seen(H100), kernel=said))["ports"]


@pytest.mark.parametrize("layer", ["InfiniBand", "Ethernet", "Unspecified"])
def test_one_slow_port_of_eight(tmp_path: Path, layer: str) -> None:
    network = Network(tmp_path)
    for place in range(8):
        network.port(f"mlx5_{place}", rate=100 if place == 3 else 400, layer=layer)
    found = network.judged()
    assert (found.verdict, "mlx5_3/1 at 100 Gb/s" in found.seen) == (FAIL, True)


def test_a_storage_adapter_may_be_slower(tmp_path: Path) -> None:
    network = Network(tmp_path)
    for place in range(8):
        network.port(f"mlx5_{place}", layer="Ethernet")
    network.port("mlx5_bond_0", rate=100, layer="Ethernet", model="MT41692")
    assert network.judged().verdict is PASS


@pytest.mark.parametrize(("flags", "expected"), [(None, FAIL), ("0x1003", FAIL), ("0x1002", PASS)])
def test_roce_port_down(tmp_path: Path, flags: str | None, expected: Verdict) -> None:
    network = Network(tmp_path)
    network.port("mlx5_0", layer="Ethernet")
    network.port("mlx5_1", "1: DOWN", layer="Ethernet", flags=flags or "")
    assert network.judged().verdict is expected


def test_links_that_went_down_are_told(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.port("mlx5_0", downed="250")
    found = network.judged()
    assert (found.verdict, "mlx5_0/1 250 time(s)" in found.why) == (PASS, True)


def test_every_line_has_words() -> None:
    kinds = {kind.removesuffix(" received") for kind in kernel_log._SAID}
    assert kinds == set(kernel.LINES)
    assert all(
        bool(remedy) is (answer is not passed) for answer, _, remedy in kernel.LINES.values()
    )
