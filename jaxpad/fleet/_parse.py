"""From bytes that anybody may have written to a report, or the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxpad.errors import UsageError
from jaxpad.fleet._names import brief
from jaxpad.fleet._refused import Refused
from jaxpad.report import Report, from_json
from jaxpad.report._strict import NoNumber, loads

DEEPEST = 32  # a report nests 7 deep
MOST_VALUES = 1_000_000  # Python takes 60 bytes for what is 3 in the file
_NO_MARKS = bytes(set(range(256)) - set(b'[]{},"'))


def parse(data: bytes) -> Report:
    """The report. Raises Refused for what jaxpad would not have written."""
    _hold_shape(data)
    content = _loads(data)
    try:
        report = from_json(content)
    except UsageError as error:
        raise Refused(brief(str(error).partition("; ")[0], 300)) from None
    if content["verdict"] != report.verdict:
        told = brief(str(content["verdict"]), 40)
        raise Refused(f"it says {told!r} where its checks come to {report.verdict.value!r}")
    return report


def _hold_shape(data: bytes) -> None:
    """Refuse what is nested too deep or has too many values, before anything is parsed.

    All in C: strings are cut out, and brackets that close each other taken away layer by
    layer. What then remains is deeper than that, or not closed.
    """
    marks = data.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NO_MARKS)
    # Two quotes that meet hold nothing, or nothing lies between two strings.
    bare = b"".join(marks.replace(b'""', b"").split(b'"')[::2])
    brackets = bare.replace(b",", b"")
    if len(bare) - len(brackets) > MOST_VALUES:
        raise Refused(f"it has more than {MOST_VALUES:,} values")
    for _ in range(DEEPEST):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    raise Refused(f"it is cut short, or nested over {DEEPEST} deep")


def _loads(data: bytes) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = loads(data.decode("utf-8"))
    except NoNumber as error:
        raise Refused(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"it is no JSON ({brief(str(error), 120)})") from None
    return content
