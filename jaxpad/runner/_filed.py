"""What checks file beside their verdicts, and what is left in a folder for later checks."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from jaxpad import nvml
from jaxpad.nvml import Trace
from jaxpad.results import Judgement, Rate
from jaxpad.runner._child import Event

RATES, SURVEY, TRACE = "rates.json", "survey.json", "trace.json"


@dataclass
class Filed:
    """Rates and judgements, in the order in which they came."""

    rates: list[Rate] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)

    def take(self, phase: Event) -> None:
        """The last phase of a check has all that the check filed."""
        if phase["when"] == "teardown":
            self.rates += [nvml.from_plain(Rate, plain) for plain in phase["rates"]]
            self.judgements += [nvml.from_plain(Judgement, one) for one in phase["judgements"]]

    def leave(self, folder: Path, trace: Trace | None) -> None:
        """Write down what the next check file may want to judge."""
        (folder / RATES).write_text(json.dumps(nvml.to_plain(self.rates)))
        if trace is not None:
            (folder / TRACE).write_text(json.dumps(nvml.to_plain(trace)))

    def since(self, begun: float) -> tuple[tuple[Rate, ...], tuple[Judgement, ...]]:
        """All of it, with times in seconds after `begun`."""
        rates = tuple(_since(rate, begun) for rate in self.rates)
        judged = (replace(one, rate=_since(one.rate, begun)) for one in self.judgements)
        return rates, tuple(judged)


def _since(rate: Rate, begun: float) -> Rate:
    start, stop = round(rate.start_s - begun, 3), round(rate.stop_s - begun, 3)
    return replace(rate, start_s=start, stop_s=stop)


def rates(folder: Path) -> tuple[Rate, ...]:
    """The rates that `leave` wrote; none where nothing was measured yet."""
    file = folder / RATES
    plain = json.loads(file.read_text()) if file.exists() else []
    return tuple(nvml.from_plain(Rate, each) for each in plain)


def trace(folder: Path) -> Trace | None:
    """The trace that `leave` wrote, up to the beginning of this check file."""
    file = folder / TRACE
    return nvml.from_plain(Trace, json.loads(file.read_text())) if file.exists() else None
