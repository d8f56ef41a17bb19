"""A compiled program as JSON, and back."""

from __future__ import annotations

from typing import Any

from jaxpad.schedule import (
    Between,
    Collective,
    Digest,
    Kernels,
    Memory,
    Overlap,
    Part,
    Program,
    RooflineFigure,
    Thunks,
)


def program(plain: dict[str, Any]) -> Program:
    """What `Program.to_json` wrote. Raises KeyError or TypeError for anything else."""
    memory = plain["memory"]
    return Program(
        gpu=plain["gpu"],
        kernels=tuple(Kernels(**one) for one in plain["kernels"]),
        collectives=tuple(map(_collective, plain["collectives"])),
        overlap=_overlap(plain["overlap"]),
        memory=None if memory is None else Memory(**_without(memory, "total", "fits")),
        thunks=Thunks(**plain["thunks"]),
        digest=_digest(plain["digest"]),
        seconds=plain["seconds"],
    )


def _collective(plain: dict[str, Any]) -> Collective:
    own = _without(plain, "exposed_seconds")
    between, loops = Between(**own["between"]), tuple(own["loops"])
    return Collective(**(own | {"between": between, "loops": loops}))


def _overlap(plain: dict[str, Any]) -> Overlap:
    figures = {name: RooflineFigure(**one) for name, one in plain["figures"].items()}
    return Overlap(**(plain | {"figures": figures, "missing": tuple(plain["missing"])}))


def _digest(plain: dict[str, Any]) -> Digest:
    parts = {name: Part(**one) for name, one in plain["parts"].items()}
    return Digest(parts, Part(**plain["unordered"]))


def _without(plain: dict[str, Any], *derived: str) -> dict[str, Any]:
    """What is written beside the fields, since it follows from them, is left out."""
    return {name: value for name, value in plain.items() if name not in derived}
