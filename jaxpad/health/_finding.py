"""One question about a node or one of its GPUs and the answer, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxpad.bounds import Bound
from jaxpad.nvml import Reading
from jaxpad.verdict import Verdict

UNSUPPORTED = frozenset({"NVMLError_NotSupported", "NVMLError_FunctionNotFound", "not asked"})


@dataclass(frozen=True)
class Answer:
    """What a question found. `value` is the number behind `seen`, in `unit`, where there is one."""

    verdict: Verdict
    seen: str
    value: float | None = None
    unit: str = ""
    bound: str = ""  # what `value` is held to
    source: str = ""  # where the bound is from
    why: str = ""  # what the answer means
    remedy: str = ""  # what an admin does, in one sentence


@dataclass(frozen=True)
class Finding:
    """A question with its answer. `gpu` is NVML's index; None for what is the node's."""

    name: str
    question: str
    gpu: int | None
    uuid: str | None
    verdict: Verdict
    seen: str
    value: float | None = None
    unit: str = ""
    bound: str = ""
    source: str = ""
    why: str = ""
    remedy: str = ""


def passed(seen: str, **more: Any) -> Answer:
    return Answer(Verdict.PASS, seen, **more)


def failed(seen: str, remedy: str, **more: Any) -> Answer:
    return Answer(Verdict.FAIL, seen, remedy=remedy, **more)


def inconclusive(seen: str, remedy: str, **more: Any) -> Answer:
    return Answer(Verdict.INCONCLUSIVE, seen, remedy=remedy, **more)


def not_applicable(seen: str, **more: Any) -> Answer:
    return Answer(Verdict.NOT_APPLICABLE, seen, **more)


def absent(found: Reading[Any], what: str, *, expected: bool) -> Answer:
    """The answer where a reading has no value.

    Not applicable where the GPU need not have it and the driver says that it has not;
    else inconclusive: garbage, an error, or a number that this model should have.
    """
    if not expected and found.error in UNSUPPORTED:
        return not_applicable(f"this GPU does not tell its {what}")
    if found.error == "NVMLError_FunctionNotFound":
        return inconclusive(f"the driver is too old to tell the {what}", "update the NVIDIA driver")
    remedy = "compare with nvidia-smi -q; if it says the same, reset the GPU or reboot"
    return inconclusive(f"the {what} cannot be read: {found.reason}", remedy)


def held(value: float, unit: str, words: str, bound: Bound) -> dict[str, Any]:
    """The fields of an answer whose value is held to a bound; `words` says to what."""
    return {"value": value, "unit": unit, "bound": words, "source": bound.origin}
