"""The shipped CPU space tuned as a user would: whole for one step, a part of it for another.

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


def part(folder: Path, seed: int) -> Path:
    """A space of the flags that change most, and two of the others."""
    every = tomllib.loads(SHIPPED.read_text())["flags"]
    names = [*ALWAYS, *random.Random(seed).sample(sorted(every.keys() - set(ALWAYS)), 2)]
    lines = [f"{name} = {json.dumps(every[name])}" for name in names]
    file = folder / "part.toml"
    file.write_text("\n".join(['description = "a part"', "[flags]", *lines, ""]))
    return file


def test_shipped_space(tmp_path: Path) -> None:
    found = tuned("benchmarks.steps:mlp", tmp_path, measurements=4)
    assert 16 < found["programs"] < len(found["compiled"])


def test_part_of_it_for_a_transformer(tmp_path: Path) -> None:
    """The part is drawn by the commit."""
    seed = of_commit()
    found = tuned("benchmarks.steps:transformer", tmp_path / "out", 2, part(tmp_path, seed))
    assert 1 < found["programs"] <= len(found["compiled"]), f"seed {seed}"
