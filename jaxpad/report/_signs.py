"""A verdict as a sign, a word and a tone: the word alone says it all."""

from __future__ import annotations

from jaxpad.report._tags import Html, tag
from jaxpad.verdict import Verdict

# Beside the word, for those who skim.
SIGNS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_APPLICABLE: "-",
}


def badge(verdict: Verdict) -> Html:
    """Sign and word."""
    sign = tag("span", SIGNS[verdict], aria_hidden="true")
    return tag("span", sign, Html("&nbsp;"), verdict.value, class_=f"badge {style(verdict)}")


def style(verdict: Verdict) -> str:
    """The verdict's CSS class."""
    return verdict.name.lower().replace("_", "-")
