"""One side of a comparison: a process that holds the step, and runs it when it is asked to.

One JSON request a line on standard input, one answer a line in the pipe. `feed` makes the
arguments from a seed, runs them twice and leaves the results in a file; `turn` takes the time
of some steps. It ends with its parent, whose end closes standard input.
"""

from __future__ import annotations

import contextlib
import functools
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpad import workloads
from jaxpad.core.results import UsageError
from jaxpad.effects import serve
from jaxpad.tune import spaces
from jaxpad.tune.alike import differs

_INTEGERS = 8  # below it: valid as a token, a label or an expert of any model worth a name


class Stepper:
    """A program with its arguments on the devices."""

    def __init__(self, workload: str, platform: str) -> None:
        found = workloads.load(workload)
        if platform == "cpu":
            jax.config.update("jax_num_cpu_devices", found.count)
        devices = jax.devices(platform)[: found.count]
        self._program = found.program(found.mesh(devices))
        self._name = workload
        self._host: list[np.ndarray[Any, Any]] = []
        self._kept: Any = None  # arguments on the devices that the last turn left whole
        self._allowed = os.sched_getaffinity(0)

    def feed(self, seed: int, file: Path) -> dict[str, Any]:
        """New arguments; how long the second call took and when the first was done."""
        rng = np.random.default_rng(seed)
        self._kept = None
        self._host = [_draw(rng, like) for like in jax.tree.leaves(self._program.args)]
        first = self._results()
        done = time.monotonic()
        second = self._results()
        took = time.monotonic() - done
        if not first:
            raise UsageError(
                f"{self._name} returns no array, expected a step's results; return the new state"
            )
        if said := differs(second, first):
            raise UsageError(
                f"{self._name} gives other results when it is called again with the same "
                f"arguments ({said}); make it a function of its arguments alone"
            )
        np.savez(file, *first)
        return {"done": done, "took": took}

    def turn(self, steps: int, cores: Sequence[int]) -> dict[str, Any]:
        """Seconds a step, the median; two steps before them are not timed."""
        _stay_on(cores or self._allowed)
        args = begun = self._kept or self._args()
        for _ in range(2):
            args = self._call(args)[0]
        before, taken = spaces.now(), []
        for _ in range(steps):
            args, seconds = self._call(args)
            taken.append(seconds)
        self._kept = args if args is begun else None  # else the step gives some away
        return {"seconds": statistics.median(taken), "load": spaces.between(before, spaces.now())}

    def _args(self) -> Any:
        likes, tree = jax.tree.flatten(self._program.args)
        return jax.tree.unflatten(tree, list(map(_put, self._host, likes)))

    def _call(self, args: Any) -> tuple[Any, float]:
        """One step; what it gave away is fed on or made anew, outside of the time."""
        begun = time.perf_counter()
        results = jax.block_until_ready(self._program.jitted(*args))
        seconds = time.perf_counter() - begun
        if any(_gone(leaf) for leaf in jax.tree.leaves(args)):
            args = _fed_on(args, results) or jax.block_until_ready(self._args())
        return args, seconds

    def _results(self) -> list[np.ndarray[Any, Any]]:
        results = self._program.jitted(*self._args())
        return [_plain(leaf) for leaf in jax.tree.leaves(jax.block_until_ready(results))]


def _fed_on(args: Any, results: Any) -> Any:
    """The arguments with each that was given away replaced by the result of its shape."""
    for part in (results, *(results if isinstance(results, tuple | list) else ())):
        for at, one in enumerate(args):
            others = [leaf for other in (*args[:at], *args[at + 1 :]) for leaf in _leaves(other)]
            if _shapes(one) == _shapes(part) and not any(map(_gone, others)):
                return (*args[:at], part, *args[at + 1 :])
    return None


def _stay_on(cores: Iterable[int]) -> None:
    """All threads there are, XLA's too, on these cores; those to come inherit it."""
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.sched_setaffinity(int(task.name), cores)


def _leaves(tree: Any) -> list[Any]:
    return jax.tree.leaves(tree)


def _shapes(tree: Any) -> Any:
    leaves, shape = jax.tree.flatten(tree)
    return shape, [(leaf.shape, leaf.dtype, leaf.sharding) for leaf in leaves]


def _gone(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.is_deleted()


def _draw(rng: Any, like: Any) -> np.ndarray[Any, Any]:
    """Small normal numbers, small integers, fair coins; a key's words for a key."""
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        return np.asarray(rng.integers(0, 2**31))
    if jnp.issubdtype(like.dtype, np.bool_):
        return np.asarray(rng.integers(0, 2, like.shape), like.dtype)
    if jnp.issubdtype(like.dtype, np.integer):
        return np.asarray(rng.integers(0, _INTEGERS, like.shape), like.dtype)
    return np.asarray(rng.normal(size=like.shape) * 0.1, like.dtype)


def _put(value: np.ndarray[Any, Any], like: Any) -> Any:
    if jnp.issubdtype(like.dtype, jax.dtypes.prng_key):
        key = jax.random.key(int(value))
        return jax.random.split(key, like.shape) if like.shape else key
    return jax.device_put(value, like.sharding)


def _plain(leaf: Any) -> np.ndarray[Any, Any]:
    """As numpy keeps it in a file: a key as its words, a small float as it is, in 32 bits.

    The name of the small type is kept in front of the shape, as the dtype's tolerance counts.
    """
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    found = np.asarray(leaf)
    if found.dtype.kind in "biufc":
        return found
    # float16 has fewer exponent bits than bfloat16, so the type's name travels as a field.
    return np.asarray(found, np.float32).view(np.dtype([(str(found.dtype), np.float32)]))


def _answer(held: dict[str, Stepper], request: dict[str, Any]) -> dict[str, Any]:
    try:
        if request["ask"] == "turn":
            return held["step"].turn(request["steps"], request["cores"])
        if "step" not in held:
            held["step"] = Stepper(request["workload"], request["platform"])
        return held["step"].feed(request["seed"], Path(request["file"]))
    except UsageError as error:
        return {"usage": str(error)}
    except Exception as error:  # a workload is anybody's program
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        return {"failed": f"{type(error).__name__}: {said}"}


if __name__ == "__main__":
    serve(int(sys.argv[1]), functools.partial(_answer, {}))
