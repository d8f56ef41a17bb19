"""One answer for many judgements, or for many findings: verdict, reason and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxpad.checks import Failed, Inconclusive, not_applicable
from jaxpad.health import Finding
from jaxpad.results import Judgement, Rate
from jaxpad.verdict import Verdict, overall

_NAMED = 4


@dataclass(frozen=True)
class Answer:
    """What a check says."""

    verdict: Verdict
    reason: str = ""
    remedy: str = ""

    def give(self) -> None:
        """Return for a pass; raise for the others, as a check does."""
        if self.verdict is Verdict.FAIL:
            raise Failed(self.reason, self.remedy)
        if self.verdict is Verdict.INCONCLUSIVE:
            raise Inconclusive(self.reason, self.remedy)
        if self.verdict is Verdict.NOT_APPLICABLE:
            not_applicable(self.reason)


def of_judgements(found: Sequence[Judgement]) -> Answer:
    """The worst of the rates: which they are, what they are held to, and why they are short."""
    return _worst([(one.verdict, _told(one), one.remedy) for one in found])


def of_findings(found: Sequence[Finding]) -> Answer:
    """The worst of the findings of `jaxpad health`, each with the GPU that it is of."""
    return _worst([(one.verdict, _found(one), one.remedy) for one in found])


def _worst(told: Iterable[tuple[Verdict, str, str]]) -> Answer:
    told = tuple(told)
    verdict = overall(each[0] for each in told)
    worst = [(words, remedy) for each, words, remedy in told if each is verdict]
    lines = list(dict.fromkeys(words for words, _ in worst if words))
    more = [f"and {len(lines) - _NAMED} more"] if len(lines) > _NAMED else []
    remedies = list(dict.fromkeys(remedy for _, remedy in worst if remedy))
    return Answer(verdict, "; ".join([*lines[:_NAMED], *more]), "; ".join(remedies[:_NAMED]))


def _told(one: Judgement) -> str:
    rate = one.rate
    if one.verdict is Verdict.NOT_APPLICABLE:
        return one.why
    gate = f", at least {one.gate:.4g} expected" if one.gate else ""
    way = " all at once" if rate.together and rate.device is not None else ""
    return (
        f"{where(rate, one.gpu)} {rate.name}{way}: {rate.median:.4g} {rate.unit}{gate} ({one.why})"
    )


def where(rate: Rate, gpu: int | None) -> str:
    """The GPU by NVML's index, else the device by JAX's id."""
    if rate.device is None:
        return "all devices"
    return f"GPU {gpu}" if gpu is not None else f"device {rate.device}"


def _found(one: Finding) -> str:
    place = "" if one.gpu is None else f"GPU {one.gpu}: "
    if one.verdict is Verdict.NOT_APPLICABLE:
        return one.seen
    return f"{place}{one.seen}" + (f" ({one.why})" if one.why else "")
