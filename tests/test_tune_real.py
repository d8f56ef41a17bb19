"""A part of the shipped CPU space, drawn by the commit, tuned as a user would for two steps.

tests/release tunes the whole for both.
"""

from __future__ import annotations

import json
import random
import tomllib
from pathlib import Path

from matrix_again import of_commit
from tune_real import SHIPPED, tuned

ALWAYS = ("xla_cpu_enable_fast_math", "xla_cpu_prefer_vector_width")


def part(folder: Path, others: int) -> Path:
    """A space of the flags that change most, and some of the others."""
    every = tomllib.loads(SHIPPED.read_text())["flags"]
    names = [
        *ALWAYS,
        *random.Random(of_commit()).sample(sorted(every.keys() - set(ALWAYS)), others),
    ]
    lines = [f"{name} = {json.dumps(every[name])}" for name in names]
    file = folder / "part.toml"
    file.write_text("\n".join(['description = "a part"', "[flags]", *lines, ""]))
    return file


def test_part_of_it_for_a_perceptron(tmp_path: Path) -> None:
    found = tuned("benchmarks.steps:mlp", tmp_path / "out", 4, part(tmp_path, 2))
    assert 4 < found["programs"] <= len(found["compiled"]), f"seed {of_commit()}"


def test_part_of_it_for_a_transformer(tmp_path: Path) -> None:
    found = tuned("benchmarks.steps:transformer", tmp_path / "out", 2, part(tmp_path, 1))
    assert 1 < found["programs"] <= len(found["compiled"]), f"seed {of_commit()}"
