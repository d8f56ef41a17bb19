"""The one codec: data there and back, what does not fit, limits, and the schema of the types."""

from __future__ import annotations

import enum
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jaxpad.core import codec
from jaxpad.core.codec import Limits, Misfit, revive, to_plain
from jaxpad.core.reading import Reading, absent
from jaxpad.core.results import Report
from jaxpad.fleet.model import Fleet
from jaxpad.machine.facts import Facts, Survey
from jaxpad.multi.context import Peer
from jaxpad.multi.record import Record
from jaxpad.nvml import Snapshot, Trace

HOME = Path(__file__).parent.parent


class Colour(enum.StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    number: float | None
    places: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Whole:
    colour: Colour
    inner: Inner | None
    watts: Reading[float]
    names: dict[str, int]
    listed: tuple[str, ...] | None = None


WHOLE = Whole(Colour.RED, Inner(1.5, ((0, "cpu"),)), Reading(71.0), {"a": 1}, ("x", "y"))
PLAIN = to_plain(WHOLE)


def test_there_and_back() -> None:
    assert revive(Whole, json.loads(json.dumps(PLAIN)), "it") == WHOLE


def test_a_reading_that_is_no_number_is_garbage() -> None:
    told = to_plain(Whole(Colour.RED, None, Reading(math.nan), {}))
    assert told["watts"] == {"value": None, "reason": "garbage: nan"}
    assert revive(Whole, told, "it").watts == absent("garbage: nan")


WRONG = [
    ({"colour": "blue"}, "it.colour is 'blue', not one of red"),
    ({"colour": 5}, "it.colour is 5, not one of red"),
    ({"inner": 5}, "it.inner is not an object but 5"),
    (
        {"inner": {"number": True, "places": []}},
        "it.inner.number is True, not of type float | None",
    ),
    ({"inner": {"number": None}}, "it.inner.places is missing"),
    ({"inner": {"number": 1, "places": [[1]]}}, "it.inner.places[0] has 1 entries, expected 2"),
    ({"names": {"b": "1"}}, "it.names.b is '1', not of type int"),
    ({"listed": "xy"}, "it.listed is 'xy', not of type list"),
    ({"watts": {"value": "much", "reason": None}}, "it.watts.value is 'much', not of type"),
    ({"more": 1}, "it.more is not a field"),
]


@pytest.mark.parametrize(("changes", "told"), WRONG)
def test_what_does_not_fit_is_named(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Misfit) as caught:
        revive(Whole, PLAIN | changes, "it")
    assert told in str(caught.value)


@pytest.mark.parametrize("kind", [Inner | str, Inner | int | None, set[int]])
def test_what_it_cannot_tell_apart_has_no_reader(kind: Any) -> None:
    with pytest.raises(TypeError, match="the codec has no reader of"):
        codec._reader(kind)


LIMITS = Limits(text=5, entries=2, number=100.0)
BEYOND = [
    ({"names": {"a": 101}}, "it.names.a is too large a number"),
    ({"names": {"long name": 1}}, "has 9 characters, more than 5"),
    ({"names": {"a": 1, "b": 2, "c": 3}}, "it.names has 3 entries, more than 2"),
    ({"listed": ["x"] * 3}, "it.listed has 3 entries, more than 2"),
    ({"listed": ["xxxxxx"]}, "it.listed[0] has 6 characters, more than 5"),
]


@pytest.mark.parametrize(("changes", "told"), BEYOND)
def test_limits(changes: dict[str, Any], told: str) -> None:
    revive(Whole, PLAIN | changes, "it")
    with pytest.raises(Misfit) as caught:
        revive(Whole, PLAIN | changes, "it", LIMITS)
    assert told in str(caught.value)


def test_text_from_elsewhere_stays_on_its_line() -> None:
    found = revive(Whole, PLAIN | {"listed": ["a\n\x1b[1"]}, "it", LIMITS)
    assert found.listed == ("a \ufffd[1",)


@pytest.mark.parametrize("kind", [Snapshot, Survey, Facts, Record, Report, Trace, Fleet, Peer])
def test_every_type_that_is_sent_has_a_schema(kind: type) -> None:
    found = codec.schema(kind)
    assert found["required"]
    assert found["required"] == list(found["properties"])
    codec._reader(kind)  # reads each of its types, too


SCHEMAS = {"report/smoke": Report, "fleet/fleet": Fleet}


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schema_is_that_of_the_types(name: str) -> None:
    """Words, limits and what is worked out from the rest are the published schema's own."""
    published = json.loads((HOME / f"jaxpad/{name}.schema.json").read_text())
    derived, found = codec.schema(SCHEMAS[name]), _bare(published, published)
    own = set(found["properties"]) - set(derived["properties"])
    assert own <= {"schema", "verdict", "exit_code", "counts", "drain"}
    for part in own:
        del found["properties"][part]
    assert found["properties"] == _bare(derived, derived)["properties"]


def _bare(part: Any, whole: Any) -> Any:
    """Types and fields alone, references followed."""
    if "$ref" in part:
        return _bare(whole["$defs"][part["$ref"].rpartition("/")[2]], whole)
    if "properties" in part:
        fields = {name: _bare(each, whole) for name, each in part["properties"].items()}
        return {"properties": fields, "required": sorted(part["required"])}
    if found := [each for each in part.get("anyOf", ()) if each.get("type") != "null"]:
        return {"optional": _bare(found[0], whole)}
    for name in ("items", "additionalProperties"):
        if isinstance(part.get(name), dict):
            return {name: _bare(part[name], whole)}
    if "enum" in part:
        return "string"  # which words, the published schema says alone
    types = part.get("type")
    return sorted(types) if isinstance(types, list) else types
