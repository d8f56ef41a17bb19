"""Records as JSON, and back with nothing trusted: every type, size and number is checked."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from functools import cache
from typing import Any, TypeVar

from jaxpad.verdict import Verdict

T = TypeVar("T")
MOST_TEXT = 20_000  # characters; XLA_FLAGS of a long profile are 2,000
MOST_ENTRIES = 20_000  # of a list: as many as there may be nodes
MOST_NUMBER = 2.0**53  # beyond it a float of JSON is no exact count


class WireError(ValueError):
    """Data that no process of ours wrote: where, and what is wrong with it."""


def to_plain(value: Any) -> Any:
    """Dictionaries, lists, text and finite numbers only."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: to_plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, tuple | list):
        return [to_plain(entry) for entry in value]
    if isinstance(value, dict):
        return {name: to_plain(entry) for name, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, str) else value


def dump(value: Any, **more: Any) -> str:
    """One line of JSON in ASCII, so that any log carries it."""
    return json.dumps(more | to_plain(value))


def load(kind: type[T], text: str, schema: int) -> T:
    """The `kind` that `dump(…, schema=…)` wrote. Raises WireError, in one line, for all else."""
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise WireError("it is nested too deeply") from None
    except ValueError as error:
        raise WireError(f"it is no JSON: {str(error)[:100]}") from None
    if not isinstance(data, dict) or data.get("schema") != schema:
        found = data.get("schema") if isinstance(data, dict) else None
        raise WireError(f"its schema is {found!r:.20}, expected {schema}")
    del data["schema"]
    return typing.cast("T", _revive(kind, data, "it"))


def trusted(kind: type[T], text: str) -> T:
    """The `kind` that another part of this very run wrote with `dump`."""
    return typing.cast("T", _revive(kind, json.loads(text), "it"))


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _revive(kind: Any, value: Any, where: str) -> Any:
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and types.NoneType in given:
            return None
        return _revive(next(one for one in given if one is not types.NoneType), value, where)
    if dataclasses.is_dataclass(kind):
        return _fields(kind, value, where)
    if origin is tuple:
        entries = _sized(list, value, where)
        return tuple(_revive(given[0], entry, where) for entry in entries)
    if origin is dict:
        pairs = _sized(dict, value, where).items()
        return {_text(name, where): _revive(given[1], entry, where) for name, entry in pairs}
    return _scalar(kind, value, where)


def _fields(kind: Any, value: Any, where: str) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise WireError(f"{where} has not the fields of a {kind.__name__}")
    return kind(**{name: _revive(hints[name], value[name], name) for name in hints})


def _sized(kind: type[list[Any]] | type[dict[str, Any]], value: Any, where: str) -> Any:
    if not isinstance(value, kind) or len(value) > MOST_ENTRIES:
        raise WireError(f"{where} is no {kind.__name__} of at most {MOST_ENTRIES}")
    return value


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is str:
        return _text(value, where)
    if kind is Verdict:
        try:
            return Verdict(value)
        except ValueError:
            raise WireError(f"{where} is no verdict") from None
    accepted = (float, int) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise WireError(f"{where} is no {kind.__name__}")
    if kind is not bool and abs(value) > MOST_NUMBER:
        raise WireError(f"{where} is too large a number")
    return kind(value)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise WireError(f"{where} is no text of at most {MOST_TEXT} characters")
    return clean(value)


def clean(text: str) -> str:
    """`text` on one line, with what a terminal might act on replaced."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text.replace("\n", " "))
