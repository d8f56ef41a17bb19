"""What a child asks NVML, as JSON on stdout: `python -m jaxpad.nvml [snapshot|record]`.

In a child, so that a driver that hangs or crashes takes that child with it and never
the runner.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxpad import nvml


def _account(words: list[str]) -> Any:
    match words:
        case []:
            return asdict(nvml.read())
        case ["snapshot", sysfs, kmsg]:
            return nvml.to_plain(nvml.snapshot(Path(sysfs), Path(kmsg)))
        case ["record"]:
            from jaxpad.nvml.recording import record

            return record()
        case _:
            raise SystemExit(f"python -m jaxpad.nvml takes no {words}")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_account(sys.argv[1:])))
