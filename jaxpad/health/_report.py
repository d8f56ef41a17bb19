"""What a health check found, as one thing to print in four ways."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jaxpad.bounds import Bounds, overrides
from jaxpad.health._finding import Finding
from jaxpad.health._judge import describe, judge
from jaxpad.health._look import LIMIT_S, Roots, concealed, look
from jaxpad.health._subject import short
from jaxpad.verdict import Verdict, overall


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
