"""What a tuning run knows as JSON, and back."""

from __future__ import annotations

import dataclasses
from typing import Any

from jaxpad.tune._model import Candidate, Compiled, End, Fate, Measured, Pair, Ratio


def plain(thing: Any) -> Any:
    """A dataclass of the model as JSON's own types; a candidate as a table of its flags."""
    if isinstance(thing, Candidate):
        return dict(thing.flags)
    if dataclasses.is_dataclass(thing):
        fields = dataclasses.fields(thing)
        return {field.name: plain(getattr(thing, field.name)) for field in fields}
    if isinstance(thing, dict):
        return {key: plain(value) for key, value in thing.items()}
    return [plain(one) for one in thing] if isinstance(thing, list | tuple) else thing


def compiled(given: dict[str, Any]) -> Compiled:
    """What `plain` made of a Compiled. Raises KeyError or TypeError for anything else."""
    own = {"candidate": Candidate.of(given["candidate"]), "fate": Fate(given["fate"])}
    return Compiled(**given | own)


def measured(given: dict[str, Any]) -> Measured:
    """What `plain` made of a Measured. Raises KeyError or TypeError for anything else."""
    ratio = given["ratio"]
    own = {
        "candidate": Candidate.of(given["candidate"]),
        "end": End(given["end"]),
        "ratio": Ratio(**ratio) if ratio else None,
        "pairs": tuple(Pair(**one) for one in given["pairs"]),
    }
    return Measured(**given | own)
