"""Checkpoints by orbax: the last two whole ones are kept, a torn one is never read."""

import json
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from .errors import TrainError
from .state import State

RUN = "run.json"


class Checkpoints:
    """The checkpoints of one run, numbered by the steps that were done.

    `about` says what makes a run this run (sizes, seed, text): to go on with anything else
    would be another run under the same name.
    """

    def __init__(self, folder: Path, about: dict[str, Any], *, fresh: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        self._manager = ocp.CheckpointManager(folder.resolve() / "checkpoints", options=options)
        if fresh:
            for step in self._manager.all_steps():
                self._manager.delete(step)
        if self.newest:
            _refuse_other(folder / RUN, about)
        else:
            _write(folder / RUN, about)

    @property
    def newest(self) -> int:
        """The steps done in the newest whole checkpoint; 0 where there is none."""
        return self._manager.latest_step() or 0

    def save(self, done: int, state: State) -> None:
        """Keep the state after `done` steps; returns when it is on disk."""
        if done != self.newest:
            self._manager.save(done, args=ocp.args.StandardSave(state))
            self._manager.wait_until_finished()

    def restore(self, shapes: State, shardings: State) -> State:
        """The newest state, each array where the mesh of now wants it."""

        def wanted(leaf: jax.ShapeDtypeStruct, place: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)

        abstract = jax.tree.map(wanted, shapes, shardings)
        state: State = self._manager.restore(self.newest, args=ocp.args.StandardRestore(abstract))
        return state

    def close(self) -> None:
        """Let go of orbax's threads."""
        self._manager.close()


def _refuse_other(file: Path, about: dict[str, Any]) -> None:
    kept = json.loads(file.read_text()) if file.exists() else {}
    changed = sorted(name for name in about if kept.get(name) != about[name])
    if changed:
        was = ", ".join(f"{name} {kept.get(name)} (now {about[name]})" for name in changed)
        raise TrainError(
            f"{file.parent} holds a run with another {was}; give another --out, or --fresh to "
            "begin anew"
        )


def _write(file: Path, about: dict[str, Any]) -> None:
    half = file.with_suffix(".tmp")
    half.write_text(json.dumps(about, indent=2) + "\n")
    half.replace(file)
