"""The matrix compiled again, whole: what tests/test_matrix.py draws from."""

from __future__ import annotations

from pathlib import Path

from jaxpad import flags
from jaxpad.effects import matrix
from matrix_again import again, of_commit, seconds_and_mib


def test_shipped_within_the_time(tmp_path: Path) -> None:
    """The shipped profiles' own cells and 20 others: 10 minutes on two cores, under 4 GiB."""
    seed = of_commit()
    done = again("--sample", "20", "--seed", str(seed), cache=tmp_path)
    assert done.returncode == 0, f"seed {seed}: {done.stdout[-3000:]}{done.stderr}"
    assert "; 0 differ from" in done.stdout
    seconds, mib = seconds_and_mib(done.stdout)
    assert seconds <= 600
    assert 0 < mib < 4096


def test_every_cell(tmp_path: Path) -> None:
    """Those of the flag sets that others publish, too."""
    cells = len(matrix.read().part(flags.jaxlib_version()).cells)
    done = again("--sample", str(cells), cache=tmp_path, limit_s=5400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "; 0 differ from" in done.stdout
