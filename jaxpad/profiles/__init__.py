"""Profiles: named sets of XLA flags and environment variables, one TOML file each.

The format is in docs/profiles.md. Nothing here imports JAX or asks XLA anything:
`jaxpad.flags` does that.
"""

from jaxpad.core.text import did_you_mean, listed, nearest
from jaxpad.profiles.composing import (
    BAKED,
    BAKED_PROFILE,
    BASE,
    Composed,
    Origin,
    compose,
    environment,
    in_force,
    render,
    select,
    write,
)
from jaxpad.profiles.loading import ARCHITECTURES, FOLDER, WORKLOADS, layers, load, matches, names
from jaxpad.profiles.model import EnvVar, Flag, Profile, Requires
from jaxpad.profiles.xla_flags import Parsed, ParsedFlag, missing, parse

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
