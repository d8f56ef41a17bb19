"""The names of `jaxpad.health`, imported when first asked for."""

from jaxpad.bounds import Bound, Bounds, load, overrides
from jaxpad.health._finding import Finding
from jaxpad.health._grouped import grouped, places
from jaxpad.health._judge import QUESTIONS, about, describe, judge
from jaxpad.health._look import LIMIT_S, Roots, concealed, look
from jaxpad.health._nagios import UNKNOWN, nagios, unknown
from jaxpad.health._prometheus import prometheus, write
from jaxpad.health._report import Health, check
from jaxpad.health._subject import Facts

__all__ = [
    "LIMIT_S",
    "QUESTIONS",
    "UNKNOWN",
    "Bound",
    "Bounds",
    "Facts",
    "Finding",
    "Health",
    "Roots",
    "about",
    "check",
    "concealed",
    "describe",
    "grouped",
    "judge",
    "load",
    "look",
    "nagios",
    "overrides",
    "places",
    "prometheus",
    "unknown",
    "write",
]
