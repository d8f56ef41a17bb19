"""All questions, in the order in which one mends a node, and the judgement they give."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxpad import gpus
from jaxpad.bounds import Bounds
from jaxpad.gpus import GpuDescription
from jaxpad.health import _driver, _heat, _links, _memory, _node, _state, _xids
from jaxpad.health._finding import Answer, Finding, inconclusive
from jaxpad.health._subject import Facts, Gpu, Node, printable
from jaxpad.nvml import Snapshot
from jaxpad.verdict import Verdict


@dataclass(frozen=True)
class Question:
    """Something to ask of a node, or of each of its GPUs."""

    name: str
    words: str
    ask: Callable[[Any], Answer]


OF_NODE = (
    Question("driver", "Does the NVIDIA driver answer?", _driver.driver),
    Question("count", "Are all GPUs there?", _driver.count),
    Question("speed", "Does the driver answer quickly?", _node.speed),
    Question("kernel log", "Is the kernel's log free of Xid errors of other GPUs?", _xids.log),
    Question("ports", "Are the InfiniBand ports active?", _node.ports),
)
ANSWERS = Question("answers", "Does the GPU answer?", _state.answers)
OF_GPU = (
    Question("sense", "Can its readings be?", _state.sense),
    Question("xid", "Has the driver logged no hardware error?", _xids.xid),
    Question("ecc", "Is its memory free of uncorrected errors?", _memory.ecc),
    Question("rows", "Are bad rows of its memory replaced?", _memory.rows),
    Question("pages", "Are bad pages of its memory retired?", _memory.pages),
    Question("memory", "Is all of its memory there?", _memory.memory),
    Question("slowdown", "Do heat and power supply let it run?", _heat.slowdown),
    Question("temperature", "Is it cool enough?", _heat.temperature),
    Question("power", "May it draw its usual power?", _heat.power),
    Question("pcie", "Is its PCIe link as wide as it can be?", _links.pcie),
    Question("replays", "Does its PCIe link carry data cleanly?", _links.replays),
    Question("nvlink", "Are all of its NVLinks up?", _links.nvlink),
    Question("fabric", "Is it part of its NVSwitch fabric?", _links.fabric),
    Question("mode", "May programs compute on it?", _state.compute_mode),
    Question("mig", "If it is cut into slices, are there any?", _state.mig),
    Question("persistence", "Does the driver stay loaded?", _state.persistence),
    Question("busy", "Is it free?", _state.busy),
    Question("peers", "Is it like its peers?", _node.peers),
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
        if found.verdict is Verdict.PASS:  # of a GPU that is lost all the rest is not known
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
        words = f"this could not be found out: {type(error).__name__}: {error}"
        return inconclusive(words, "please report it, with what is odd about this machine")
