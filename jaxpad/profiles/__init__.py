"""Profiles: named sets of XLA flags and environment variables, one TOML file each.

The format is in docs/profiles.md. Nothing here imports JAX or asks XLA anything:
`jaxpad.flags` does that.
"""

from jaxpad.profiles._compose import (
    BAKED,
    BAKED_PROFILE,
    BASE,
    Composed,
    Origin,
    compose,
    in_force,
)
from jaxpad.profiles._entries import ARCHITECTURES, WORKLOADS
from jaxpad.profiles._files import write
from jaxpad.profiles._load import FOLDER, layers, load, names
from jaxpad.profiles._model import EnvVar, Flag, Profile, Requires
from jaxpad.profiles._parse import Parsed, ParsedFlag, missing, parse
from jaxpad.profiles._render import environment, render, select
from jaxpad.profiles._versions import matches
from jaxpad.profiles._words import did_you_mean, listed, nearest

__all__ = [
    "ARCHITECTURES",
    "BAKED",
    "BAKED_PROFILE",
    "BASE",
    "FOLDER",
    "WORKLOADS",
    "Composed",
    "EnvVar",
    "Flag",
    "Origin",
    "Parsed",
    "ParsedFlag",
    "Profile",
    "Requires",
    "compose",
    "did_you_mean",
    "environment",
    "in_force",
    "layers",
    "listed",
    "load",
    "matches",
    "missing",
    "names",
    "nearest",
    "parse",
    "render",
    "select",
    "write",
]
