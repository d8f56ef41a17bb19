"""Text from elsewhere made fit to show: in a terminal, in HTML and in XML."""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterable, Sequence
from functools import lru_cache

from jaxpad.core.results import Fact, Measurement, UsageError

# ECMA-48: control sequences (colours, cursor), operating system commands (window
# titles, links), and two-character escapes.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]|\x9b[0-?]*[ -/]*[@-~]"
)
# Not a character in XML 1.0 (https://www.w3.org/TR/xml/#charsets), or a control.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
# Direction overrides make a line read as another one than it is (CVE-2021-42574).
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")  # how Python keeps a byte that is no UTF-8
_NEWLINES = re.compile("\r\n?")  # a lone CR is a progress bar's next state

UNKNOWN = "\ufffd"


def printable(text: str) -> str:
    """`text` on one line, with what a terminal might act on replaced."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text.replace("\n", " "))


def unicode(text: str) -> str:
    """`text` with each lone surrogate replaced, so that it can be encoded."""
    return _SURROGATES.sub(UNKNOWN, text)


def plain(text: str) -> str:
    """`text` without escape sequences, control characters and direction overrides."""
    text = _ESCAPES.sub("", _NEWLINES.sub("\n", text))
    return unicode(_OVERRIDES.sub(UNKNOWN, _CONTROLS.sub(UNKNOWN, text)))


def encodable(text: str, encoding: str) -> str:
    """`text` with what `encoding` lacks replaced: a terminal under LANG=C must not end a run."""
    return text.encode(encoding, "replace").decode(encoding)


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines of a table for a pipe: aligned, never folded, the last as long as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


# Names of nodes: what may be one, and how it is printed.

# RFC 1123, section 2.1, by way of RFC 952: labels of letters, digits and inner hyphens.
_NODE_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NODE_NAME = re.compile(rf"{_NODE_LABEL}(?:\.{_NODE_LABEL})*")
_LONGEST_NODE_NAME = 253
RULE = "a host name of letters, digits, inner hyphens and dots (RFC 1123)"


def valid_node_name(name: str) -> bool:
    """Whether `name` can be a node's."""
    return len(name) <= _LONGEST_NODE_NAME and _NODE_NAME.fullmatch(name) is not None


def quoted(name: str) -> str:
    """A name from elsewhere as one word that a shell and a terminal can take."""
    return shlex.quote(brief_list(name, 80))


def brief_list(text: str, most: int) -> str:
    """Text from elsewhere in one printable line, cut where it is longer than `most`."""
    # Cut first: what comes may be megabytes, and no line is made longer by cleaning it.
    return _brief(text[: 4 * most], most)


@lru_cache(5000)  # the names of checks are the same in all reports
def _brief(text: str, most: int) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def hold(names: Iterable[str]) -> tuple[str, ...]:
    """The names, each once. Raises UsageError for one that no node can have."""
    found = tuple(dict.fromkeys(names))
    for name in found:
        if not valid_node_name(name):
            raise UsageError(f"{quoted(name)} is no node's name: give {RULE}")
    return found


def short(name: str) -> str:
    """The first label, which tells the nodes of one cluster apart; case does not."""
    return name.partition(".")[0].casefold()


# Names that come near, and lists as prose has them.


def nearest(name: str, known: Iterable[str], count: int = 3) -> tuple[str, ...]:
    """The known names most like a mistyped one, best first; empty where none is near."""
    return tuple(difflib.get_close_matches(name, sorted(known), n=count, cutoff=0.6))


def unknown(noun: str, given: str, known: Sequence[str]) -> str:
    """`unknown engine 'dokcer': expected docker or podman; did you mean docker?`."""
    return f"unknown {noun} {given!r}: expected {listed(known, 'or')}{did_you_mean(given, known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean a or b?`, or nothing where no name is near."""
    found = nearest(name, known)
    return f"; did you mean {listed(found, 'or')}?" if found else ""


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = list(words) or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


# Names of nodes and objects, and words from a cluster, made fit to use and to print.

# RFC 1123, as Kubernetes has it: lower case
# (https://kubernetes.io/docs/concepts/overview/working-with-objects/names/).
_KUBERNETES_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_KUBERNETES_NAME = re.compile(rf"{_KUBERNETES_LABEL}(?:\.{_KUBERNETES_LABEL})*")
_LONGEST_KUBERNETES_NAME = 253


def valid_kubernetes_name(name: str) -> bool:
    """Whether a node, a pod or a secret can have this name."""
    return len(name) <= _LONGEST_KUBERNETES_NAME and _KUBERNETES_NAME.fullmatch(name) is not None


def require_kubernetes_name(option: str, name: str) -> str:
    """The name, which may be empty. Raises UsageError for one that no object can have."""
    if name and not valid_kubernetes_name(name):
        raise UsageError(
            f"--{option} {quoted_kubernetes_name(name)} is no name of lower-case letters, "
            "digits, inner hyphens "
            "and dots (RFC 1123)"
        )
    return name


def quoted_kubernetes_name(name: str) -> str:
    """A name from elsewhere as one word that a shell and a terminal can take."""
    return shlex.quote(brief_message(name, 80))


def brief_message(text: str, most: int = 300) -> str:
    """Text from elsewhere in one printable line, cut where it is longer than `most`."""
    line = " ".join(plain(text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


# Parts of a whole, where either may be anything that a float holds.
#
# A peak may be tiny, a clock may have run over, and whoever edits smoke.json may write what they
# like: a quotient is then infinite, or no number at all, and neither rounds to a whole number nor
# has a place on an axis.

MOST = 1e4  # beyond a million per cent the whole is wrong, and by how much says nothing


def clip(value: float, most: float) -> float:
    """`value`, no further from 0 than `most`; NaN stays NaN."""
    return value if math.isnan(value) else max(-most, min(most, value))


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, no further from 0 than MOST; None where that is no share.

    No share: either is not finite, or the whole is not above 0.
    """
    if not (math.isfinite(part) and math.isfinite(whole)) or whole <= 0:
        return None
    return clip(part / whole, MOST)


def percent(share: float, digits: int = 0) -> str:
    """`67 %`, `over 1,000,000 %`; a share that is NaN is `no number`."""
    if math.isnan(share):
        return "no number"
    if abs(share) >= MOST:
        return f"{'over ' if share > 0 else 'under -'}{100 * MOST:,.0f} %"
    return f"{100 * share:,.{digits}f} %"


# Numbers, facts and times as people read them.

_LONG = 1e15  # from here on digits are no figures
LONGEST_S = 1e9  # thirty years
HIGHEST = 1e30  # that is drawn: matplotlib needs room beyond the end of an axis
_FAR = 1e300  # from here on a number is cut before it is added to others


def plural(count: int, noun: str) -> str:
    """`1 check`, `2 checks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def one_line(text: str) -> str:
    """Several lines as one; a command in a remedy may stand on a line of its own."""
    return " ".join(text.split())


def number(value: float | str) -> str:
    """A measured value for people: four figures, thousands marked."""
    if isinstance(value, str):
        return value
    try:
        return f"{value:,.0f}" if 1000 <= abs(value) < _LONG else f"{value:.4g}"
    except OverflowError:  # a whole number may be larger than any float
        return f"a number of {value.bit_length():,} bits" if isinstance(value, int) else str(value)


def brief_number(value: float) -> str:
    """Three figures, which say enough in a sentence or a picture."""
    return number(float(f"{value:.3g}"))


def measured(found: Measurement) -> str:
    """`gemm 812.3 GFLOP/s ± 3.1, held to at least 500`."""
    spread = "" if found.spread is None else f" ± {number(found.spread)}"
    gate = f", held to {found.gate}" if found.gate else ""
    return f"{found.name} {number(found.value)} {found.unit}".rstrip() + spread + gate


def known(fact: Fact) -> str:
    """A fact's value, or why there is none."""
    return fact.value if fact.value is not None else fact.reason or "unknown"


def moment(started: str) -> str:
    """`2026-05-04 12:00:00 UTC` for an ISO 8601 time in UTC; another text as it is."""
    date, _, clock = started.partition("T")
    return f"{date} {clock[:8]} UTC" if clock else started or "unknown"


def duration(seconds: float) -> str:
    """`0.42 s`, `38 s`, `2 min 5 s`; what is no time of a run as the number that it is."""
    if not abs(seconds) < LONGEST_S:
        return f"{seconds:.3g} s"
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def clock(seconds: float) -> str:
    """`3:20`, minutes and seconds after the start; what is no time of a run as a number."""
    if not abs(seconds) < LONGEST_S:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"


def mean(values: Sequence[float]) -> float:
    """Of what any sensor reads: the sum of what floats just hold is more than one holds."""
    return math.fsum(clip(value, _FAR) for value in values) / len(values)
