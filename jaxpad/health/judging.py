"""All questions, in the order in which one fixes a node, and the judgement they give."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from jaxpad import gpus
from jaxpad.core import host
from jaxpad.core.bounds import Bounds, overrides
from jaxpad.core.reading import attempt
from jaxpad.core.results import Verdict, overall
from jaxpad.gpus import GpuDescription
from jaxpad.health import clocks, gpu as health_gpu, kernel, links, network, node as health_node
from jaxpad.health.model import Answer, Facts, Finding, Gpu, Node, inconclusive, printable, short
from jaxpad.nvml import GpuState, Process, Reading, Snapshot
from jaxpad.nvml.child import ask_module, heard


@dataclass(frozen=True)
class Question:
    """Something to ask of a node, or of each of its GPUs."""

    name: str
    words: str
    ask: Callable[[Any], Answer]


OF_NODE = (
    Question("driver", "Does the NVIDIA driver answer?", health_node.driver),
    Question("count", "Are all GPUs there?", health_node.count),
    Question("speed", "Does the driver answer quickly?", health_node.speed),
    Question("kernel log", "Is the kernel's log free of errors of other GPUs?", kernel.log),
    Question("ports", "Are the network's ports active and equally fast?", network.ports),
)
ANSWERS = Question("answers", "Does the GPU answer?", health_gpu.answers)
OF_GPU = (
    Question("recovery", "Does the driver ask for no recovery of it?", health_gpu.recovery),
    Question("sense", "Are its readings plausible?", health_gpu.sense),
    Question("xid", "Has the driver logged no hardware error?", kernel.xid),
    Question("ecc", "Is its memory free of uncorrected errors?", health_gpu.ecc),
    Question("rows", "Are bad rows of its memory replaced?", health_gpu.rows),
    Question("pages", "Are bad pages of its memory retired?", health_gpu.pages),
    Question("inforom", "Is the board's own record (InfoROM) intact?", health_gpu.inforom),
    Question("memory", "Is all of its memory there?", health_gpu.memory),
    Question("slowdown", "Do heat and power supply let it run?", clocks.slowdown),
    Question("temperature", "Is it cool enough?", clocks.temperature),
    Question("power", "May it draw its usual power?", clocks.power),
    Question("clocks", "May it run at its highest clocks?", clocks.clocks),
    Question("pcie", "Is its PCIe link as wide and fast as it can be?", links.pcie),
    Question("replays", "Does its PCIe link carry data cleanly?", links.replays),
    Question("nvlink", "Are all of its NVLinks up?", links.nvlink),
    Question("nvlink errors", "Do its NVLinks carry data cleanly?", links.link_errors),
    Question("p2p", "Does NVLink reach the other GPUs?", links.peer_to_peer),
    Question("fabric", "Is it part of its NVSwitch fabric?", links.fabric),
    Question("mode", "May programs compute on it?", health_gpu.compute_mode),
    Question("mig", "If it is cut into slices, are there any?", health_gpu.mig),
    Question("persistence", "Does the driver stay loaded?", health_gpu.persistence),
    Question("busy", "Is it free?", health_gpu.busy),
    Question("peers", "Is it like its peers?", links.peers),
)
QUESTIONS = (*OF_NODE, ANSWERS, *OF_GPU)


def judge(
    snapshot: Snapshot,
    described: Sequence[GpuDescription | None],
    bounds: Bounds,
    facts: Facts,
    *,
    expect: int | None = None,
    idle: bool = False,
) -> tuple[Finding, ...]:
    """The findings on a node, from what NVML and the kernel said alone.

    `described` has the description of each GPU of the snapshot, None for one that has
    none; `expect` is how many GPUs there should be; `idle` says that nobody should be at
    work. The same arguments give the same findings; nothing is raised.
    """
    node = Node(snapshot, tuple(described), bounds, facts, expect, idle)
    return tuple(_findings(node))


def describe(snapshot: Snapshot) -> tuple[GpuDescription | None, ...]:
    """The description of each GPU, by its PCI device id, else its name."""
    names = [(gpu.identity.pci_device_id.value, gpu.identity.name.value) for gpu in snapshot.gpus]
    known = {pair: gpus.recognise(*pair) for pair in set(names)}
    return tuple(known[pair] for pair in names)


def about(findings: Sequence[Finding], indices: Collection[int]) -> tuple[Finding, ...]:
    """The findings on the node and on the GPUs of these NVML indices, such as a job's own."""
    return tuple(one for one in findings if one.gpu is None or one.gpu in indices)


def _findings(node: Node) -> Iterator[Finding]:
    first = _answer(OF_NODE[0], node)
    yield first
    rest = OF_NODE[1:2] if first.verdict is Verdict.NOT_APPLICABLE else OF_NODE[1:]
    yield from (_answer(question, node) for question in rest)
    for gpu in node.gpus:
        found = _answer(ANSWERS, gpu)
        yield found
        if found.verdict is Verdict.PASS:  # a lost GPU's other readings are unknown
            yield from (_answer(question, gpu) for question in OF_GPU)


def _answer(question: Question, subject: Node | Gpu) -> Finding:
    answer = _ask(question, subject)
    gpu = subject if isinstance(subject, Gpu) else None
    fields = asdict(answer) | {
        name: printable(text)
        for name, text in asdict(answer).items()
        if isinstance(text, str) and name != "verdict"
    }
    return Finding(
        name=question.name,
        question=question.words,
        gpu=gpu.state.index if gpu else None,
        uuid=gpu.state.identity.uuid.map(printable).value if gpu else None,
        **fields,
    )


def _ask(question: Question, subject: Node | Gpu) -> Answer:
    """A question that trips over something odd here must not silence the others."""
    try:
        return question.ask(subject)
    except Exception as error:
        words = f"internal error while checking: {type(error).__name__}: {error}"
        return inconclusive(words, "please report it, with what is odd about this machine")


# Look at this machine: NVML in a child with a time limit, then what sysfs and /dev show.

LIMIT_S = 7.0  # a hook must have decided within 10 s
HIDDEN = "<redacted>"


@dataclass(frozen=True)
class Roots:
    """Where to look; tests lay out a machine of their own."""

    sysfs: Path = Path("/sys")
    dev: Path = Path("/dev")
    kmsg: Path = Path("/dev/kmsg")
    root: Path = Path("/")  # for the marks that container engines leave


def look(
    roots: Roots | None = None,
    limit_s: float = LIMIT_S,
    environ: Mapping[str, str] | None = None,
) -> tuple[Snapshot, Facts]:
    """What NVML and the kernel say now. Raises nothing: a hang is ended after `limit_s`."""
    roots = roots or Roots()
    words = ("jaxpad.health", str(roots.sysfs), str(roots.kmsg))
    told = ask_module(words, limit_s, environ)
    snapshot = heard(told.map(lambda plain: plain["snapshot"]), roots.sysfs, roots.kmsg)
    return snapshot, facts(roots, told.map(lambda plain: float(plain["asked_s"])).value)


def facts(roots: Roots, asked_s: float | None = None) -> Facts:
    """What the machine shows without NVML."""
    evidence = host.gpu_evidence(roots.sysfs, roots.dev)
    folder = roots.sysfs / "bus/pci/devices"
    drivers = {bus: folder / bus / "driver" for bus in evidence.pci}
    return Facts(
        evidence=evidence,
        container=host.container(roots.root),
        bound_to={bus: link.resolve().name for bus, link in drivers.items() if link.exists()},
        up_s=time.monotonic(),  # since boot, as the kernel's log counts
        asked_s=asked_s,
        unmanaged=bool(_switches(roots.sysfs)) and _manager_runs(roots.root) is False,
    )


_SWITCH = "0x068000"  # PCI class of an NVSwitch: a bridge of no other kind


def _switches(sysfs: Path) -> list[str]:
    """PCI bus ids of NVSwitches."""
    found = attempt(lambda: sorted((sysfs / "bus/pci/devices").iterdir())).value or []
    return [
        device.name
        for device in found
        if _read(device / "class") == _SWITCH and _read(device / "vendor") == host.NVIDIA_VENDOR
    ]


def _manager_runs(root: Path) -> bool | None:
    """Whether nvidia-fabricmanager does; None in a container, or where processes are hidden."""
    if host.container(root) or not _read(root / "proc/1/comm"):
        return None
    names = map(_read, (root / "proc").glob("[0-9]*/comm"))
    return any(name.startswith("nv-fabricmanage") for name in names)  # the kernel keeps 15 letters


def _read(path: Path) -> str:
    return attempt(path.read_text).map(str.strip).value or ""


def concealed(snapshot: Snapshot) -> Snapshot:
    """The snapshot without the names of processes, and without what Xid lines say of them."""
    said = snapshot.kernel
    shown = replace(said, xids=said.xids.map(lambda xids: tuple(map(kernel.anonymous, xids))))
    return replace(snapshot, gpus=tuple(map(_nameless, snapshot.gpus)), kernel=shown)


def _nameless(gpu: GpuState) -> GpuState:
    def hide(found: Reading[tuple[Process, ...]]) -> Reading[Any]:
        name: Reading[str] = Reading(HIDDEN)
        return found.map(lambda those: tuple(replace(each, name=name) for each in those))

    kinds = dataclasses.asdict(gpu.processes).keys()
    hidden = {kind: hide(getattr(gpu.processes, kind)) for kind in kinds}
    return replace(gpu, processes=replace(gpu.processes, **hidden))


# What a health check found, as one thing to print in four ways.


@dataclass(frozen=True)
class Health:
    """The findings on a node; `overrides` are the bounds that a site has changed, in words."""

    findings: tuple[Finding, ...]
    gpus: int
    driver: str | None
    seconds: float  # for all of it
    unix_s: float
    overrides: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of the findings."""
        return overall(one.verdict for one in self.findings)

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.verdict is verdict)

    def to_json(self) -> dict[str, Any]:
        """`{"verdict", "gpus", "driver", "seconds", "overrides", "findings": [Finding]}`."""
        return {
            "verdict": self.verdict,
            "gpus": self.gpus,
            "driver": self.driver,
            "seconds": round(self.seconds, 3),
            "overrides": list(self.overrides),
            "findings": [asdict(one) for one in self.findings],
        }

    def summary(self) -> str:
        """The verdict in one line, the first things wrong named."""
        head = f"{self.gpus} GPU(s), driver {self.driver or 'not known'}"
        wrong = [*self.of(Verdict.FAIL), *self.of(Verdict.INCONCLUSIVE)]
        if not self.gpus and self.verdict is Verdict.NOT_APPLICABLE:
            return "this machine shows no NVIDIA GPU"
        if self.verdict is not Verdict.PASS and not wrong:
            return f"{head}: nothing was found out"
        if not wrong:
            return f"{head}: healthy as far as can be seen without load"
        named = "; ".join(_named(wrong))
        return f"{head}: {named}"


def _named(wrong: list[Finding], most: int = 4) -> Iterator[str]:
    for one in wrong[:most]:
        place = "" if one.gpu is None else f"GPU {one.gpu} "
        yield f"{place}{one.name}: {short(one.seen, 120)}"
    if len(wrong) > most:
        yield f"and {len(wrong) - most} more"


def check(
    bounds: Bounds,
    *,
    expect: int | None = None,
    idle: bool = False,
    names: bool = False,
    roots: Roots | None = None,
    limit_s: float = LIMIT_S,
    environ: Mapping[str, str] | None = None,
) -> Health:
    """Look at this machine and judge it, in a little more than `limit_s` seconds at most.

    `names`: keep the names of processes. Raises nothing for what is wrong with the machine.
    """
    begun = time.monotonic()
    snapshot, facts = look(roots, limit_s, environ)
    kept = snapshot if names else concealed(snapshot)
    findings = judge(kept, describe(kept), bounds, facts, expect=expect, idle=idle)
    version = snapshot.driver_version.value
    return Health(
        findings=findings,
        gpus=len(snapshot.gpus),
        driver=short(version) if version else None,
        seconds=time.monotonic() - begun,
        unix_s=time.time(),
        overrides=overrides(bounds),
    )
