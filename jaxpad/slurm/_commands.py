"""What runs on the nodes: one node's suite, and a process of the multi-process run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpad import paths, profiles, stages
from jaxpad.cluster import Cluster
from jaxpad.engines import Mount
from jaxpad.engines._slurm import Step, srun_argv
from jaxpad.engines._slurm_runtime import (
    Inside,
    apptainer_argv,
    image_file,
    pyxis_options,
    variables,
)
from jaxpad.errors import UsageError


@dataclass(frozen=True)
class Suite(stages.Suite):
    """What each node is asked, with paths that are true on every node."""

    thresholds: Path | None = None


def inside(wanted: Cluster, suite: Suite, out: Path, environ: Mapping[str, str]) -> Inside:
    """The container of a node, with the report's folder and the caller's files in it.

    Raises UsageError for a runtime without an image, an image without a runtime, and a file
    that is not there.
    """
    if wanted.runtime == "none":
        if wanted.image:
            raise UsageError("--image is for a container: add --runtime pyxis or apptainer")
        return Inside()
    if not wanted.image:
        raise UsageError(
            f"--runtime {wanted.runtime} needs --image: a reference, or the file of a prepared one"
        )
    file = image_file(wanted.image)
    if file and not file.is_file():
        raise UsageError(f"--image {wanted.image}: there is no such file")
    mounts = [Mount(out, str(out))]
    mounts += [Mount(path, str(path), read_only=True) for path in _files(suite)]
    return Inside(
        wanted.runtime, wanted.image, tuple(mounts), variables(environ, _set_by(suite.profile))
    )


def _files(suite: Suite) -> list[Path]:
    profile = [Path(suite.profile)] if suite.profile and suite.profile.endswith(".toml") else []
    return [*profile, *([suite.thresholds] if suite.thresholds else [])]


def _set_by(profile: str | None) -> tuple[str, ...]:
    """The variables that a profile sets: the caller's own values must reach it."""
    return tuple(profiles.environment(profiles.load(profile))) if profile else ()


def suite_words(suite: Suite, out: Path) -> list[str]:
    """`smoke` and its options, for a report in the folder `out`."""
    words = ["smoke", *suite.words(out)]
    return [*words, *(["--thresholds", str(suite.thresholds)] if suite.thresholds else [])]


def on_node(words: Sequence[str], box: Inside, gpus: int) -> list[str]:
    """`jaxpad WORDS` on a node of its own: without srun where the batch script can do it."""
    if box.runtime == "pyxis":
        return on_nodes(words, box, Step(1, 1, gpus, ()))
    return _runs(words, box, (), gpus)


def on_nodes(words: Sequence[str], box: Inside, step: Step) -> list[str]:
    """`jaxpad WORDS` in every process of a step; `step.command` is what stands before it."""
    options = tuple(pyxis_options(box)) if box.runtime == "pyxis" else ()
    command = _runs(words, box, step.command, step.gpus_per_node)
    return srun_argv(replace(step, command=tuple(command), options=options))


def _runs(words: Sequence[str], box: Inside, before: Sequence[str], gpus: int) -> list[str]:
    if box.runtime == "apptainer":
        return apptainer_argv(box, [*before, "jaxpad", *words], gpus=bool(gpus))
    if box.runtime == "pyxis":
        return [*before, "jaxpad", *words]
    return [*before, *_in_project(), sys.executable, "-m", "jaxpad", *words]


def _in_project() -> list[str]:
    """So that a node sees our project, whatever folder its job starts in."""
    root = paths.project()
    return ["env", f"{paths.PROJECT}={root}"] if root else []


def start_in(box: Inside, out: Path) -> Path:
    """The folder that jobs start in: a checkout's, in which `python -m jaxpad` finds it."""
    checkout = (paths.HOME / "jaxpad").is_dir()
    return paths.HOME if checkout and box.runtime == "none" else out
