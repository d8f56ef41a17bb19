"""Profile: what was asked for is what is in force.

This file imports no JAX: it must give its answers where a profile keeps JAX from starting.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from jaxpad import checks, flags, profiles
from jaxpad.core.results import UsageError
from jaxpad.machine import devices
from jaxpad.machine.facts import Facts

JAXLIB = devices.installed().get("jaxlib", "0")
REMEDY = "run under the profile: invoke smoke --profile NAME, or with-profile NAME -- COMMAND"


def test_profile_flags(facts: Facts, measure: Callable[..., None]) -> None:
    """Every flag of the profile that was asked for is among the flags in force."""
    measure("profile", facts.profile or "none asked for")
    asked = profiles.render(_asked(facts), JAXLIB)
    missing = profiles.missing(asked, os.environ.get("XLA_FLAGS", ""))
    if missing:
        words = ", ".join(missing)
        raise checks.Failed(
            f"profile {facts.profile} was asked for and XLA_FLAGS lacks {words}", REMEDY
        )


def test_profile_variables(facts: Facts) -> None:
    """Every variable of the profile is set; one the user set otherwise stands."""
    missing = [name for name in profiles.environment(_asked(facts)) if name not in os.environ]
    if missing:
        words = ", ".join(missing)
        raise checks.Failed(f"profile {facts.profile} was asked for and {words} is not set", REMEDY)


def test_append_in_force() -> None:
    """What XLA_FLAGS_APPEND asks for is in force: XLA itself does not read that variable."""
    asked = profiles.parse(os.environ.get("XLA_FLAGS_APPEND", ""))
    assert not asked.dropped, f"XLA_FLAGS_APPEND is cut short at {asked.stray!r}"
    wanted, last = (
        _last_of_each(asked),
        _last_of_each(profiles.parse(os.environ.get("XLA_FLAGS", ""))),
    )
    missing = [flag for name, flag in wanted.items() if last.get(name) != flag]
    if missing:
        words = ", ".join(f"--{flag.name}={flag.value}" for flag in missing)
        raise checks.Failed(f"XLA_FLAGS_APPEND asks for {words}, which is not in force", REMEDY)


def test_profiles_accepted() -> None:
    """The installed XLA accepts every profile that is shipped."""
    deadline = checks.Deadline()
    for name in profiles.names():
        accepted = flags.accept(profiles.render(profiles.load(name), JAXLIB), deadline.left())
        if accepted.late:
            raise checks.late("XLA's parser", checks.CHILD_S)
        assert accepted.ok, f"profile {name}: {accepted.message}"


def _asked(facts: Facts) -> profiles.Profile:
    try:
        return profiles.load(facts.profile or "none")
    except UsageError as error:
        raise checks.Failed(str(error), "correct or unset JAXPAD_PROFILE") from error


def _last_of_each(parsed: profiles.Parsed) -> dict[str, profiles.ParsedFlag]:
    """The flags that count: XLA takes the last occurrence of each."""
    return {flag.name: flag for flag in parsed.flags}
