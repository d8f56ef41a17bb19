"""From `copier copy` to a green CPU smoke of the copy, with a warm package cache.

    python -m benchmarks.template

Times the two commands of docs/template.md that a newcomer waits for: the copy, and the smoke
run, which first makes an environment from the pins. Run it twice: the first fills pip's cache.
The number to look at is the sum; goal: 90 s.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results
from jaxpad.core.paths import HOME

ANSWERS = ("--data", "project_name=my-project", "--data", "author=Ada Lovelace")


def main() -> None:
    """Measure once; an environment a run takes 1 GB of disk and is removed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "my-project"
        words = ("-m", "copier", "copy", "--quiet", "--defaults", "--vcs-ref", "HEAD", *ANSWERS)
        copied = seconds([sys.executable, *words, str(HOME), str(copy)], HOME)
        python = f"{sys.base_prefix}/bin/python3"
        smoked = seconds([python, "-m", "jaxpad.bootstrap", "smoke", "--platform", "cpu"], copy)
    results.note(
        "template",
        what="`copier copy` to a green CPU smoke, warm package cache (goal: 90 s)",
        value=f"{copied + smoked:.0f} s ({copied:.0f} s to copy)",
        command="python -m benchmarks.template",
    )


def seconds(argv: Sequence[str], cwd: Path) -> float:
    """How long a command takes that must succeed."""
    variables = {name: word for name, word in os.environ.items() if name != "PYTHONPATH"}
    began = time.perf_counter()
    subprocess.run(argv, cwd=cwd, env=variables, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
