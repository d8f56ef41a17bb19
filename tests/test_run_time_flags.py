"""The list of flags whose effect no compiled program shows."""

from __future__ import annotations

import tomllib

import pytest

from jaxpad import flags
from jaxpad.core.paths import CONFIGS

ROWS: list[dict[str, str]] = tomllib.loads(
    (CONFIGS / "xla" / "run-time-flags.toml").read_text(encoding="utf-8")
)["flag"]
NAMES = [row["name"] for row in ROWS]
# Of these at least one suits a flag of any type, and is not its default.
VALUES = (
    *("1", "0", "true", "false", "0.5", "9s", "a"),
    *("AUTOTUNE_CACHE_MODE_READ", "SKIP_TEMP", "ALLREDUCE", "TRITON"),
)


def test_once_each() -> None:
    assert NAMES
    assert len(NAMES) == len({*NAMES})


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_row_whole(row: dict[str, str]) -> None:
    assert {*row} == {"name", "acts", "why", "source"}
    assert row["acts"] in {"run time", "kernel choice"}
    assert row["why"].strip()
    assert row["source"].startswith("https://")


def test_names_known() -> None:
    """Each is a flag, known to the installed XLA or a tested release, and sets an option."""
    words = [[f"--{name}={value}" for value in VALUES] for name in NAMES]
    clean, *readings = flags.read(["", *(word for each in words for word in each)])
    assert clean.ok
    for at, name in enumerate(NAMES):
        mine = readings[at * len(VALUES) : (at + 1) * len(VALUES)]
        taken = {reading.options for reading in mine if reading.ok}
        assert taken - {clean.options} if taken else flags.history().get(name), name
