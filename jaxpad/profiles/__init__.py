"""Profiles: named sets of XLA flags and environment variables, one TOML file each.

The format is in docs/profiles.md. Nothing here imports JAX or asks XLA anything:
`jaxpad.flags` does that.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later

if TYPE_CHECKING:
    from jaxpad.core.text import did_you_mean, listed, nearest
    from jaxpad.profiles.composing import (
        BAKED,
        BAKED_PROFILE,
        BASE,
        Composed,
        Origin,
        better_for,
        compose,
        environment,
        in_force,
        render,
        select,
        write,
    )
    from jaxpad.profiles.loading import (
        ARCHITECTURES,
        FOLDER,
        UNSAFE,
        WORKLOADS,
        layers,
        load,
        matches,
        names,
    )
    from jaxpad.profiles.model import EnvVar, Flag, Profile, Requires
    from jaxpad.profiles.xla_flags import Parsed, ParsedFlag, missing, parse

__all__ = [
    "ARCHITECTURES",
    "BAKED",
    "BAKED_PROFILE",
    "BASE",
    "FOLDER",
    "UNSAFE",
    "WORKLOADS",
    "Composed",
    "EnvVar",
    "Flag",
    "Origin",
    "Parsed",
    "ParsedFlag",
    "Profile",
    "Requires",
    "better_for",
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

_LATER = {
    "ARCHITECTURES": "jaxpad.profiles.loading",
    "BAKED": "jaxpad.profiles.composing",
    "BAKED_PROFILE": "jaxpad.profiles.composing",
    "BASE": "jaxpad.profiles.composing",
    "Composed": "jaxpad.profiles.composing",
    "EnvVar": "jaxpad.profiles.model",
    "FOLDER": "jaxpad.profiles.loading",
    "Flag": "jaxpad.profiles.model",
    "Origin": "jaxpad.profiles.composing",
    "Parsed": "jaxpad.profiles.xla_flags",
    "ParsedFlag": "jaxpad.profiles.xla_flags",
    "Profile": "jaxpad.profiles.model",
    "Requires": "jaxpad.profiles.model",
    "UNSAFE": "jaxpad.profiles.loading",
    "WORKLOADS": "jaxpad.profiles.loading",
    "better_for": "jaxpad.profiles.composing",
    "compose": "jaxpad.profiles.composing",
    "did_you_mean": "jaxpad.core.text",
    "environment": "jaxpad.profiles.composing",
    "in_force": "jaxpad.profiles.composing",
    "layers": "jaxpad.profiles.loading",
    "listed": "jaxpad.core.text",
    "load": "jaxpad.profiles.loading",
    "matches": "jaxpad.profiles.loading",
    "missing": "jaxpad.profiles.xla_flags",
    "names": "jaxpad.profiles.loading",
    "nearest": "jaxpad.core.text",
    "parse": "jaxpad.profiles.xla_flags",
    "render": "jaxpad.profiles.composing",
    "select": "jaxpad.profiles.composing",
    "write": "jaxpad.profiles.composing",
}

__getattr__ = later(__name__, _LATER)
