"""Answers kept on disk, one JSON file each, under the digest of all that they hang on."""

from __future__ import annotations

import functools as ft
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from jaxpad import devices, gpus, paths, workloads
from jaxpad.effects import _wire
from jaxpad.effects._model import Cell, Outcome, Words

_RELEASES = (
    "jax",
    "jaxlib",
    "jax-cuda12-plugin",
    "jax-cuda12-pjrt",
    "jax-cuda13-plugin",
    "jax-cuda13-pjrt",
    "nvidia-cuda-nvcc-cu12",
    "nvidia-cuda-nvcc",
)
_SOURCES = ("aot", "effects", "flags", "gpus", "schedule")


def cell(one: Cell) -> str:
    """The key of one cell: releases, flags, the workload's and the description's text, ours."""
    return _key("cell", one.gpu, _gpu(one.gpu), _workload(one.workload), *one.words)


@ft.cache
def _gpu(name: str) -> str:
    return hashlib.sha256(gpus.load(name).path.read_bytes()).hexdigest()


@ft.cache
def _workload(name: str) -> str:
    return workloads.digest(workloads.load(name))


def acceptance(words: Words) -> str:
    """The key of which of these flags XLA takes."""
    return _key("acceptance", *words)


def folder() -> Path:
    """Where answers are kept."""
    return paths.user_cache() / "effects"


def get(key: str) -> Any:
    """What was kept under a key; None where nothing was, or it cannot be read."""
    try:
        return json.loads((folder() / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def put(key: str, value: Any) -> None:
    """Keep an answer. Written whole or not at all; a folder that takes no files is no error."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=folder(), suffix=".tmp")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            json.dump(value, file)
        Path(name).replace(folder() / f"{key}.json")
    except OSError:
        return


def outcome(key: str) -> Outcome | None:
    """The outcome kept under a key, None where there is none to be had."""
    kept = get(key)
    try:
        if "program" in kept:
            return Outcome(_wire.program(kept["program"]))
        return Outcome(message=kept["message"])
    except (KeyError, TypeError, AttributeError):
        return None


def keep(key: str, found: Outcome) -> None:
    """Keep an outcome, if another run would come to the same."""
    if found.program:
        put(key, {"program": found.program.to_json()})
    elif found.lasting:
        put(key, {"message": found.message})


def _key(*parts: str) -> str:
    return hashlib.sha256(json.dumps([_build(), *parts]).encode()).hexdigest()


@ft.cache
def _build() -> list[str]:
    """The releases that are installed, and the digest of our own source."""
    return [*(f"{name} {version}" for name, version in releases().items()), _source()]


def releases() -> dict[str, str]:
    """The version of each package that a compiled program hangs on and that is installed."""
    return devices.installed(_RELEASES)


def _source() -> str:
    top = Path(__file__).parents[1]
    files = sorted(file for name in _SOURCES for file in (top / name).rglob("*.py"))
    texts = (hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("".join(texts).encode()).hexdigest()
