"""Turn a profile into what a process is given: XLA_FLAGS and environment variables."""

from __future__ import annotations

from jaxpad.profiles._load import layers
from jaxpad.profiles._model import Flag, Profile
from jaxpad.profiles._versions import matches


def select(profile: Profile, jaxlib_version: str) -> tuple[tuple[Profile, Flag], ...]:
    """Each flag meant for a jaxlib version, with the layer it is from, lowest layer first.

    Raises UsageError as `layers` does, and for a version that is none.
    """
    return tuple(
        (layer, flag)
        for layer in layers(profile)
        for flag in layer.flags
        if matches(flag.jaxlib, jaxlib_version)
    )


def render(profile: Profile, jaxlib_version: str) -> str:
    """The profile's XLA_FLAGS, its layers appended in order; empty where it has no flags.

    Later words outweigh earlier ones: XLA takes the last occurrence of a flag, and
    applies list values that open with + or - one after the other.

    Raises UsageError as `select` does.
    """
    return " ".join(flag.word for _, flag in select(profile, jaxlib_version))


def environment(profile: Profile) -> dict[str, str]:
    """The profile's environment variables; a higher layer outweighs a lower one.

    Raises UsageError as `layers` does.
    """
    return {variable.name: variable.value for layer in layers(profile) for variable in layer.env}
