"""The jaxpad images that an engine has, told by their labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad.core import child
from jaxpad.engines._engine import Engine
from jaxpad.errors import UsageError

LABEL = "io.jaxpad."
_LIMIT_S = 120.0  # for a daemon that is busy; ten thousand images take it seconds


@dataclass(frozen=True)
class Image:
    """One image: a reference or a file, and what its labels say."""

    reference: str
    labels: Mapping[str, str]

    @property
    def jupyter(self) -> bool:
        return self.labels.get(f"{LABEL}target") == "jupyter"

    @property
    def jax(self) -> str:
        """The version of JAX in it, empty where it does not say."""
        return self.labels.get(f"{LABEL}jax", "")


def images(engine: Engine) -> list[Image]:
    """The tagged images of jaxpad, newest first."""
    if not engine.lists_images:
        return []
    argv = [engine.program, "image", "ls", "--filter", f"label={LABEL}profile"]
    listed = _ask([*argv, "--format", "{{.Repository}}:{{.Tag}}"]).split()
    tagged = [reference for reference in listed if "<none>" not in reference]
    return [found for reference in tagged if (found := inspect(engine, reference))]


def inspect(engine: Engine, reference: str) -> Image | None:
    """What is known of a reference; None for one that is not here."""
    if not engine.lists_images:
        return Image(reference, {}) if Path(reference).is_file() else None
    told = _ask([engine.program, "image", "inspect", "--format", "{{json .Config}}", reference])
    if not told:
        return None
    return Image(reference, json.loads(told).get("Labels") or {})


def _ask(argv: list[str]) -> str:
    done = child.run(argv, limit_s=_LIMIT_S)
    if done.late:
        raise UsageError(f"{argv[0]} gave no answer within {_LIMIT_S:.0f} s{done.note}")
    return done.out if done.code == 0 else ""
