"""Text from elsewhere made fit to show: in a terminal, in HTML and in XML."""

from __future__ import annotations

import re

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
