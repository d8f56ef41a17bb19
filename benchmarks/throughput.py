"""Whether the measurement can be trusted: the NVML sampler on and off, and a loop timed by hand.

    python -m benchmarks.throughput

A GEMM and a copy on the CPU, each timed in turns in one process: by jaxpad's clock, by the
same clock with the NVML sampler at 50 Hz on the double's eight GPUs (scenario
healthy-h100-sxm), and by a plain loop of jitted calls on operands of its own. The sampler
is in the process that computes, which is worse than in a smoke run, where it is in another.

- sampler: the median rate of the two kinds of turn may differ by less than the
  interquartile range of either.
- by hand: the median of clock / loop, turn by turn, is within 3 % of 1.

Needs requirements/dev.txt and gcc. Other work on the machine shows in the spread.
"""

from __future__ import annotations

import statistics
import sys

from benchmarks import results
from jaxpad.core.paths import HOME

sys.path.append(str(HOME / "tests"))
import nvml_double as double

COMMAND = "python -m benchmarks.throughput"
SCENARIO = "healthy-h100-sxm"
TURNS = """
import contextlib, json, statistics, time
import jax, jax.numpy as jnp
from jaxpad import nvml
from jaxpad.throughput import Clock, Copy, Gemm, alone

DEVICE = jax.devices()[0]

def loop(function, sets):
    def batch(calls):
        begun = time.perf_counter()
        for call in range(calls):
            function(*sets[call % len(sets)]).block_until_ready()
        return calls / (time.perf_counter() - begun)
    return batch

def by_hand(program, function):
    key = jax.random.key(1)
    if isinstance(program, Gemm):
        return loop(function, [
            tuple(jax.random.normal(jax.random.fold_in(key, 2 * number + side), (1024, 1024))
                  for side in range(2)) for number in range(8)
        ])
    return loop(function, [
        (jax.random.normal(jax.random.fold_in(key, number), (program.size // 4,)),)
        for number in range(2)
    ])

def turns(program, function):
    clock = Clock(program.step(alone(DEVICE)), "cpu")
    loop = by_hand(program, jax.jit(function))
    calls = max(2, clock.warm())
    loop(calls)
    found = []
    for number in range(121):
        kinds = ["off", "on", "hand"]
        turn = {}
        for kind in kinds[number % 3:] + kinds[:number % 3]:  # none is always the first
            with nvml.Sampler(period_s=0.02) if kind == "on" else contextlib.nullcontext():
                if kind == "hand":
                    rate = loop(calls)
                else:
                    batch = clock.batch(calls)
                    rate = calls / batch.seconds
            turn[kind] = program.work * rate
        found.append(turn)
    return found[1:]

print(json.dumps({
    "gemm": turns(Gemm("fp32", 1024), jnp.matmul),
    "copy": turns(Copy(32 << 20), jnp.negative),
}))
"""
SHOWN = {"gemm": (1e3, "GFLOP/s"), "copy": (1, "GB/s")}


def main() -> None:
    """Measure both and note them."""
    told = double.python(double.environ(SCENARIO) | {"JAX_PLATFORMS": "cpu"}, TURNS)
    sampler(told)
    by_hand(told)


def sampler(told: dict[str, list[dict[str, float]]]) -> None:
    """Median rates with the sampler off and on, and the interquartile ranges."""
    shown = []
    for name, (factor, unit) in SHOWN.items():
        off, on = ([factor * turn[kind] for turn in told[name]] for kind in ("off", "on"))
        apart = abs(median(on) - median(off))
        shown.append(
            f"{name} {median(off):.3g} and {median(on):.3g} {unit}, {apart:.2g} apart, "
            f"IQR {iqr(off):.2g} and {iqr(on):.2g}"
        )
    results.note(
        "throughput_sampler",
        what="CPU rates with the NVML sampler off and on (goal: apart by less than the IQR)",
        value="; ".join(shown),
        command=COMMAND,
    )


def by_hand(told: dict[str, list[dict[str, float]]]) -> None:
    """The clock's rate over that of a loop timed by hand."""
    shown = []
    for name in SHOWN:
        ratios = [turn["off"] / turn["hand"] for turn in told[name]]
        shown.append(f"{name} {100 * (median(ratios) - 1):+.1f} %")
    results.note(
        "throughput_by_hand",
        what="CPU rates by jaxpad's clock, beside a loop timed by hand (goal: within 3 %)",
        value=", ".join(shown),
        command=COMMAND,
    )


def median(numbers: list[float]) -> float:
    """The middle one."""
    return statistics.median(numbers)


def iqr(numbers: list[float]) -> float:
    """The interquartile range."""
    lower, _, upper = statistics.quantiles(numbers, n=4)
    return upper - lower


if __name__ == "__main__":
    main()
