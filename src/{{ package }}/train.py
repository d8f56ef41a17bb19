"""Train the model: `python -m <package>.train --help`. A run goes on from where it was stopped.

`step` and `step_8` are the same step as workloads of jaxpad: for one device, and sharded over
eight.
"""

import argparse
import dataclasses
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from . import data, placement, state as states
from .checkpoints import RUN, Checkpoints
from .config import LARGE, Config
from .errors import TrainError
from .metrics import Metrics, Row, finite


def step(mesh: Mesh) -> tuple[Any, tuple[Any, ...]]:
    """The training step at a real model's size, on one device."""
    shapes = jax.tree.map(_on, states.shapes(LARGE), states.shardings(mesh, LARGE))
    tokens = jax.ShapeDtypeStruct((LARGE.batch, LARGE.sequence + 1), "int32")
    return states.jitted(mesh, LARGE), (shapes, _on(tokens, placement.rows(mesh)))


def step_8(mesh: Mesh) -> tuple[Any, tuple[Any, ...]]:
    """The same step, parameters and batch sharded over eight devices."""
    return step(mesh)


step.devices = 1  # type: ignore[attr-defined]
step.axes = {"data": 1, "fsdp": 1}  # type: ignore[attr-defined]
step_8.devices = 8  # type: ignore[attr-defined]
step_8.axes = {"data": 1, "fsdp": 8}  # type: ignore[attr-defined]


def _on(leaf: jax.ShapeDtypeStruct, place: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 done, 1 the loss left the finite numbers, 2 a user's mistake.

    128 and the signal's number where Ctrl-C or a scheduler stopped it; all is saved then.
    """
    options = _arguments(argv)
    try:
        return _run(options)
    except TrainError as error:
        sys.stderr.write(f"train: {error}\n")
        return 2


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=_positive, default=200, help="steps in all")
    parser.add_argument("--out", type=Path, default=Path("runs/first"), help="the run's folder")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--resume", action="store_true", help="only go on; refuse to begin")
    begin.add_argument("--fresh", action="store_true", help="begin anew in that folder")
    parser.add_argument("--batch", type=_positive, default=Config.batch, help="rows a step")
    parser.add_argument("--seed", type=int, default=0, help="of parameters and batches")
    parser.add_argument("--text", type=Path, nargs="+", default=[], help="files to train on")
    parser.add_argument("--save-every", type=_positive, default=100, help="steps")
    parser.add_argument("--mesh", default="", help="such as data=2,fsdp=4; default: all fsdp")
    parser.add_argument("--json", action="store_true", help="print the end as JSON on stdout")
    return parser.parse_args(argv)


def _positive(word: str) -> int:
    if not word.isdecimal() or int(word) == 0:
        raise argparse.ArgumentTypeError(f"{word!r} is no number above 0")
    return int(word)


def _run(options: argparse.Namespace) -> int:
    config = dataclasses.replace(Config(), batch=options.batch)
    if options.resume and not (options.out / RUN).exists():
        raise TrainError(f"--resume: {options.out} holds no run; leave it out to begin one")
    text = data.load(options.text, config)
    mesh = _mesh(options.mesh, config)
    _say(_where())
    about = {**dataclasses.asdict(config), "seed": options.seed, "text": text.digest}
    kept = Checkpoints(options.out, about, fresh=options.fresh)
    try:
        return _train(options, config, text, mesh, kept)
    finally:
        kept.close()


def _train(
    options: argparse.Namespace, config: Config, text: data.Text, mesh: Mesh, kept: Checkpoints
) -> int:
    done, state = _begin(options.seed, config, mesh, kept)
    update, rows = states.jitted(mesh, config), placement.rows(mesh)
    row: Row | None = None
    with _Stopped() as stopped, Metrics(options.out, done, options.steps) as metrics:
        while done < options.steps and not stopped.by:
            began = time.perf_counter()
            tokens = _placed(text.batch(config, options.seed, done), rows)
            state, seen = update(state, tokens)
            row = _row(done + 1, seen, config, began)  # waits for the device
            if not finite(row):
                _say(f"the loss of step {row.step} is {row.loss}; step {kept.newest} is kept")
                return 1
            done += 1
            metrics.add(row)
            if done % options.save_every == 0:
                kept.save(done, state)
        kept.save(done, state)
    _end(options, done, row)
    return 128 + stopped.by if stopped.by else 0


def _begin(seed: int, config: Config, mesh: Mesh, kept: Checkpoints) -> tuple[int, states.State]:
    shapes, shardings = states.shapes(config), states.shardings(mesh, config)
    if kept.newest:
        _say(f"goes on after step {kept.newest}")
        return kept.newest, kept.restore(shapes, shardings)
    fresh = jax.jit(states.fresh, static_argnums=1, out_shardings=shardings)
    state: states.State = fresh(np.uint32(seed), config)
    return 0, state


def _placed(rows: np.ndarray[Any, Any], place: NamedSharding) -> jax.Array:
    """The rows of a batch, each on the device that needs it."""
    return jax.make_array_from_callback(rows.shape, place, lambda index: rows[index])


def _row(step: int, seen: states.Seen, config: Config, began: float) -> Row:
    loss, norm = float(seen.loss), float(seen.grad_norm)
    seconds = time.perf_counter() - began
    return Row(
        step=step,
        loss=loss,
        grad_norm=norm,
        tokens_per_second=config.batch * config.sequence / seconds,
        step_seconds=seconds,
        device=jax.devices()[0].device_kind,
    )


def _mesh(words: str, config: Config) -> Mesh:
    count = len(jax.devices())
    sizes = {"data": 1, "fsdp": count} if not words else _sizes(words)
    if sizes["data"] * sizes["fsdp"] != count:
        raise TrainError(
            f"--mesh {words} is for {sizes['data'] * sizes['fsdp']} devices and {count} are here; "
            "make the product agree"
        )
    if config.batch % count:
        raise TrainError(f"--batch {config.batch} does not divide by {count} devices")
    return jax.make_mesh(
        (sizes["data"], sizes["fsdp"]), placement.AXES, (jax.sharding.AxisType.Auto,) * 2
    )


def _sizes(words: str) -> dict[str, int]:
    pairs = [part.split("=") for part in words.split(",")]
    if not all(len(pair) == 2 and pair[0] in placement.AXES for pair in pairs):
        raise TrainError(f"--mesh {words!r} is no mesh; write it like data=2,fsdp=4")
    return {"data": 1, "fsdp": 1} | {name: _size(size) for name, size in pairs}


def _size(word: str) -> int:
    try:
        return _positive(word)
    except argparse.ArgumentTypeError as error:
        raise TrainError(f"--mesh: {error}; write it like data=2,fsdp=4") from error


def _where() -> str:
    """Which devices compute, and whether that is what this machine is for."""
    devices = jax.devices()
    line = f"on {len(devices)} x {devices[0].device_kind} ({devices[0].platform})"
    hidden = devices[0].platform == "cpu" and Path("/dev/nvidia0").exists()
    return f"{line}, though this machine has an NVIDIA GPU: run `invoke smoke`" if hidden else line


class _Stopped:
    """Ctrl-C, and SIGTERM as schedulers send it: the step ends, then all is saved."""

    def __init__(self) -> None:
        self.by = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "_Stopped":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.by = number


def _end(options: argparse.Namespace, done: int, row: Row | None) -> None:
    """Say what was reached; `row` is None where nothing was left to do."""
    ended = f"loss {row.loss:.3f}" if row else "nothing left to do"
    _say(f"{done} of {options.steps} steps, {ended}; in {options.out}")
    if options.json:
        last = dataclasses.asdict(row) if row else None
        sys.stdout.write(json.dumps({"done": done, "steps": options.steps, "last": last}) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
