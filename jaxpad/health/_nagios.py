"""One line for Nagios and what speaks its plugin interface (Icinga, NRPE, Sensu).

https://nagios-plugins.org/doc/guidelines.html: text, a bar, and performance data as
'label'=value[unit];[warn];[crit];[min];[max].
"""

from __future__ import annotations

from collections.abc import Iterator

from jaxpad.health._report import Health
from jaxpad.health._subject import printable
from jaxpad.verdict import Verdict

UNKNOWN = 3
STATES = {
    Verdict.PASS: ("OK", 0),
    Verdict.FAIL: ("CRITICAL", 2),
    Verdict.INCONCLUSIVE: ("UNKNOWN", UNKNOWN),
    Verdict.NOT_APPLICABLE: ("UNKNOWN", UNKNOWN),  # a node watched for its GPUs that has none
}
_MOST = 500  # characters of text: NRPE 2 sends 1,024 in all


def nagios(health: Health) -> tuple[str, int]:
    """The line and the exit code."""
    state, code = STATES[health.verdict]
    return f"{_line(state, health.summary())} | {' '.join(_data(health))}", code


def unknown(why: str) -> str:
    """The line where nothing could be judged, as for a mistake on the command line."""
    return _line("UNKNOWN", why)


def _line(state: str, text: str) -> str:
    clean = printable(" ".join(text.split())).replace("|", "/")
    return f"JAXPAD {state} - {clean if len(clean) <= _MOST else clean[: _MOST - 1] + '…'}"


def _data(health: Health) -> Iterator[str]:
    yield f"gpus={health.gpus};;;0"
    yield f"failed={len(health.of(Verdict.FAIL))};;;0"
    yield f"inconclusive={len(health.of(Verdict.INCONCLUSIVE))};;;0"
    yield f"time={health.seconds:.3f}s;;;0"
    for one in health.findings:
        if one.name == "temperature" and one.value is not None:
            yield f"gpu{one.gpu}_celsius={one.value:g}"
