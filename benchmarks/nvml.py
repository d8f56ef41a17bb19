"""What it costs to look at eight GPUs: one snapshot beside nvitop's, and the sampler.

    python -m benchmarks.nvml

Both over the tests' double of libnvidia-ml.so.1 in the scenario healthy-h100-sxm, so the
numbers are those of Python and ctypes; a real driver adds its own time to every call. The
double keeps to the one time that nvml.h states: a PCIe throughput is measured for 20 ms,
and the caller waits. nvitop asks for it twice a GPU, jaxpad never does.

- snapshot: everything `nvml.snapshot` reads, the kernel's log included, beside
  `Device.as_snapshot` of every GPU, which reads less. The two run in turns in one process;
  medians. The number to look at is the ratio (goal: at least 3 times cheaper). CPU time is
  given beside it, as waiting costs the machine nothing.
- sampler: CPU time of the process while it sleeps, over the time it slept, at 50 Hz with
  GPM four times a second (goal: under 3 % of a core).

Needs requirements/dev.txt, gcc and nvitop, which jaxpad itself does not use.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import results
from jaxpad.core.paths import HOME

sys.path.append(str(HOME / "tests"))
import nvml_double as double

COMMAND = "python -m benchmarks.nvml"
SCENARIO = "healthy-h100-sxm"
NO_NVITOP = (
    "nvitop is not installed: python -m pip install --target FOLDER nvitop, "
    f"then PYTHONPATH=FOLDER {COMMAND}"
)
SNAPSHOTS = """
import json, statistics, time
import nvitop, pynvml
from jaxpad import nvml

def cost(look):
    wall, cpu = time.perf_counter(), time.process_time()
    look()
    return time.perf_counter() - wall, time.process_time() - cpu

def theirs():
    return [device.as_snapshot() for device in nvitop.Device.all()]

pynvml.nvmlInit()  # nvitop keeps NVML open, and so does not pay for it
turns = [(*cost(nvml.snapshot), *cost(theirs)) for _ in range(21)][1:]
print(json.dumps(list(map(statistics.median, zip(*turns)))))
"""
SAMPLER = """
import json, time
from jaxpad import nvml

with nvml.Sampler(period_s=0.02) as sampler:
    wall, cpu = time.monotonic(), time.process_time()
    time.sleep(10)
    share = (time.process_time() - cpu) / (time.monotonic() - wall)
trace = sampler.trace()
rate = min(len(gpu.time_s) for gpu in trace.gpus) / (trace.stop_s - trace.start_s)
print(json.dumps([share, rate, len(trace.gaps)]))
"""


def main() -> None:
    """Measure both and note them."""
    snapshot()
    sampler()


def snapshot() -> None:
    """Milliseconds of one snapshot of eight GPUs, ours and nvitop's."""
    ours, our_cpu, theirs, their_cpu = (1e3 * seconds for seconds in _told(SNAPSHOTS))
    results.note(
        "nvml_snapshot",
        what="one NVML snapshot of 8 GPUs, beside nvitop's (goal: at least 3 times cheaper)",
        value=(
            f"{ours:.1f} ms, {theirs / ours:.0f} times cheaper ({theirs:.0f} ms); "
            f"CPU alone {our_cpu:.1f} and {their_cpu:.1f} ms"
        ),
        command=COMMAND,
    )


def sampler() -> None:
    """Per cent of a core that the sampler takes."""
    share, rate, gaps = _told(SAMPLER)
    results.note(
        "nvml_sampler",
        what="the NVML sampler at 50 Hz on 8 GPUs (goal: under 3 % of a core)",
        value=f"{100 * share:.1f} % of a core, {rate:.1f} Hz, {gaps} gaps",
        command=COMMAND,
    )


def _told(code: str) -> list[Any]:
    spec = importlib.util.find_spec("nvitop")
    if spec is None or spec.origin is None:
        sys.exit(NO_NVITOP)
    variables = double.environ(SCENARIO)
    folders = (variables["PYTHONPATH"], str(Path(spec.origin).parent.parent))
    told: list[Any] = double.python(variables | {"PYTHONPATH": os.pathsep.join(folders)}, code)
    return told


if __name__ == "__main__":
    main()
