"""Flags whose effect no compiled program shows."""

from __future__ import annotations

import functools as ft
import tomllib
from dataclasses import dataclass

from jaxpad.paths import CONFIGS

FILE = CONFIGS / "xla" / "run-time-flags.toml"
RUN_TIME, KERNEL_CHOICE = "run time", "kernel choice"


@dataclass(frozen=True)
class Unseen:
    """Where a flag acts, if not in the program: at run time, or in choosing kernels on a device."""

    acts: str
    why: str
    source: str


@ft.cache
def unseen() -> dict[str, Unseen]:
    """Such flags by name. Source: configs/xla/run-time-flags.toml, with one for each."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["flag"]
    return {row.pop("name"): Unseen(**row) for row in rows}
