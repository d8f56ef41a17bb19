"""The child that asks: `python -m jaxpad.health SYSFS KMSG` prints a snapshot as JSON.

The time is taken once NVML has started: without persistence mode a start loads the driver,
which takes seconds on a healthy machine.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from jaxpad import nvml
from jaxpad.nvml.device import started


def _asked(sysfs: str, kmsg: str) -> dict[str, Any]:
    with started():  # NVML counts its starts: the snapshot's own is then a formality
        begun = time.monotonic()
        found = nvml.snapshot(Path(sysfs), Path(kmsg))
        took = time.monotonic() - begun
    return {"asked_s": took, "snapshot": nvml.to_plain(found)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_asked(*sys.argv[1:])))  # whole: dumps is ten times as fast
