"""How property tests draw their examples: the same ones each time, or new ones in the fuzz lane.

    pytest                          # and CI: the same examples each time, on any machine
    JAXPAD_HYPOTHESIS=fuzz pytest   # new ones, fifty times as many

The fuzz lane says its seed, and draws the same again with --hypothesis-seed. What it finds stays
as an @example beside the test.
"""

from __future__ import annotations

import os
from random import SystemRandom

import pytest
from hypothesis import HealthCheck, core, settings
from hypothesis.database import DirectoryBasedExampleDatabase

CI, FUZZ = "ci", "fuzz"
PROFILE, SEED = "JAXPAD_HYPOTHESIS", "JAXPAD_HYPOTHESIS_SEED"
EXAMPLES = {CI: 100, FUZZ: 5000}
# A busy machine makes no test wrong: nothing is held to a time.
UNTIMED = (HealthCheck.too_slow,)


def register() -> None:
    """Both profiles, of which one is chosen."""
    settings.register_profile(
        CI,
        max_examples=EXAMPLES[CI],
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=UNTIMED,
    )
    settings.register_profile(
        FUZZ,
        max_examples=EXAMPLES[FUZZ],
        derandomize=False,
        database=DirectoryBasedExampleDatabase(".hypothesis/examples"),
        deadline=None,
        print_blob=True,
        suppress_health_check=UNTIMED,
    )
    settings.load_profile(os.environ.get(PROFILE, CI))


def share(count: int) -> int:
    """`max_examples` of a test whose examples are slow: `count` of the usual hundred."""
    return max(1, count * settings().max_examples // EXAMPLES[CI])


def pytest_sessionstart(session: pytest.Session) -> None:
    """One seed for the whole fuzz lane, the processes of pytest-xdist included."""
    if settings.get_current_profile_name() != FUZZ:
        return
    given = session.config.getoption("hypothesis_seed", None)
    drawn = str(SystemRandom().randrange(2**32))
    seed = given if given not in (None, "random") else os.environ.setdefault(SEED, drawn)
    core.global_force_seed = int(seed)  # type: ignore[assignment]  # it is None until it is set


def header() -> str | None:
    """The seed, to draw the same examples again."""
    if settings.get_current_profile_name() != FUZZ:
        return None
    seed = core.global_force_seed
    return (
        f"fuzz lane: up to {EXAMPLES[FUZZ]:,} examples a test, again with --hypothesis-seed={seed}"
    )
