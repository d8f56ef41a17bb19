"""Health: what the driver and the kernel say of the GPUs, before anything runs on them.

Each check is one question of `jaxpad health` (docs/health.md), put to the GPUs that this
process may use. It imports no JAX: a sick driver keeps JAX from starting, and is named here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jaxpad import checks, gates
from jaxpad.core.bounds import Bounds
from jaxpad.machine.facts import Facts, Survey

Ask = Callable[[str], None]


@pytest.fixture
def ask(facts: Facts, survey: Survey, bounds: Bounds, measure: Callable[..., None]) -> Ask:
    """`ask("ecc")` answers one of health's questions by the worst of its findings."""

    def answer(name: str) -> None:
        every = survey.findings(bounds, idle=True, expect=facts.expect)
        found = [one for one in every if one.name == name]
        if not found:
            checks.not_applicable("the driver lists no GPU: see test_driver")
        for one in found:
            if one.value is not None:
                place = name if one.gpu is None else f"{name} of GPU {one.gpu}"
                gate, source = one.bound or None, one.source or None
                measure(place, one.value, one.unit, gate=gate, source=source)
        gates.of_findings(found).give()

    return answer


def test_driver(ask: Ask) -> None:
    """The NVIDIA driver answers."""
    ask("driver")


def test_count(ask: Ask, facts: Facts, survey: Survey) -> None:
    """Every GPU of the PCI bus is in the driver's list; with --expect N, N are ours."""
    if facts.expect and not survey.snapshot.gpus:
        gates.all_ours(survey, facts.expect).give()
    ask("count")
    if facts.expect:
        gates.all_ours(survey, facts.expect).give()


def test_speed(ask: Ask) -> None:
    """The driver answers quickly."""
    ask("speed")


def test_kernel_log(ask: Ask) -> None:
    """The kernel's log is free of Xid errors of GPUs that are not listed."""
    ask("kernel log")


def test_ports(ask: Ask) -> None:
    """The InfiniBand ports are active."""
    ask("ports")


def test_answers(ask: Ask) -> None:
    """Every GPU answers."""
    ask("answers")


def test_sense(ask: Ask) -> None:
    """Every number the driver tells can be."""
    ask("sense")


def test_xid(ask: Ask) -> None:
    """The driver has logged no hardware error of a GPU."""
    ask("xid")


def test_ecc(ask: Ask) -> None:
    """Every GPU's memory is free of uncorrected errors."""
    ask("ecc")


def test_rows(ask: Ask) -> None:
    """Bad rows of memory are replaced, and none waits for a reset."""
    ask("rows")


def test_pages(ask: Ask) -> None:
    """Bad pages of memory are retired, and none waits for a reset."""
    ask("pages")


def test_inforom(ask: Ask) -> None:
    """The board's own record matches its checksums."""
    ask("inforom")


def test_memory(ask: Ask) -> None:
    """All of each GPU's memory is there."""
    ask("memory")


def test_slowdown(ask: Ask) -> None:
    """Neither heat nor power supply holds a GPU's clocks down."""
    ask("slowdown")


def test_temperature(ask: Ask) -> None:
    """Every GPU is cool enough."""
    ask("temperature")


def test_power(ask: Ask) -> None:
    """Every GPU may draw its usual power."""
    ask("power")


def test_clocks(ask: Ask) -> None:
    """Nobody has set a GPU's clocks below its highest."""
    ask("clocks")


def test_pcie(ask: Ask) -> None:
    """Every PCIe link is as wide and fast as it can be."""
    ask("pcie")


def test_replays(ask: Ask) -> None:
    """Every PCIe link carries data cleanly."""
    ask("replays")


def test_nvlink(ask: Ask) -> None:
    """All NVLinks are up."""
    ask("nvlink")


def test_nvlink_errors(ask: Ask) -> None:
    """No NVLink counts many more errors than most."""
    ask("nvlink errors")


def test_p2p(ask: Ask) -> None:
    """NVLink reaches the other GPUs, where it is up."""
    ask("p2p")


def test_fabric(ask: Ask) -> None:
    """The NVSwitch fabric is complete."""
    ask("fabric")


def test_mode(ask: Ask) -> None:
    """Programs may compute on every GPU."""
    ask("mode")


def test_mig(ask: Ask) -> None:
    """A GPU that is cut into slices has some."""
    ask("mig")


def test_persistence(ask: Ask) -> None:
    """The driver stays loaded between programs."""
    ask("persistence")


def test_busy(ask: Ask) -> None:
    """Nobody else computes on the GPUs, or holds their memory."""
    ask("busy")


def test_peers(ask: Ask) -> None:
    """Every GPU is like its peers."""
    ask("peers")


def test_all_gpus_used(facts: Facts, survey: Survey) -> None:
    """JAX uses every GPU that NVML lists, unless CUDA_VISIBLE_DEVICES hides it."""
    if not survey.snapshot.gpus:
        checks.not_applicable("the driver lists no GPU: see test_driver")
    if facts.expected.platform != "gpu":
        checks.not_applicable(f"no GPU is expected: {facts.expected.why}")
    if facts.started.error or not facts.gpu:
        raise checks.Inconclusive("JAX is not on the GPU: see test_platform_expected")
    gates.all_used(survey, facts.started.ordinals).give()
