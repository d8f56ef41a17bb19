"""Keeps what the smoke suite prints on a machine with no GPU: docs/examples/smoke-cpu.txt.

    python -m docs.record

The README shows it; tests/test_smoke.py holds it to a run made anew, but for the seconds.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile

from jaxpad.core import host
from jaxpad.core.paths import HOME, importable
from jaxpad.core.results import UsageError
from tools.docs import RUN

STARTED_AS = "python3 -m jaxpad.bootstrap"  # the README's command


def shown(printed: str) -> str:
    """What stays on a terminal: there the line of each file that is done is written over."""
    return re.sub(r"^test_\w+\.py: .*\n", "", printed, flags=re.M).strip() + "\n"


def main() -> int:
    """Run the whole suite as a newcomer would, and keep what it printed if it passed."""
    if host.gpu_evidence():
        raise UsageError("this machine shows a GPU: the record is of one that has none")
    environ = importable(os.environ) | {"JAXPAD_STARTED_AS": STARTED_AS, "COLUMNS": "100"}
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "jaxpad", "smoke"]
        done = subprocess.run(
            argv, cwd=folder, env=environ, capture_output=True, text=True, check=False
        )
    if done.returncode == 0:
        (HOME / RUN).parent.mkdir(exist_ok=True)
        (HOME / RUN).write_text(shown(done.stderr))
    else:
        sys.stderr.write(done.stderr)
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
