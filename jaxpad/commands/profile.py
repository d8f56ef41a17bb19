"""What the commands take that are about XLA profiles."""

from __future__ import annotations

from dataclasses import dataclass

from jaxpad.commands.options import JSON, PLATFORMS, PROFILE, option, setting

_GPU = "the GPU to compile for, a name in configs/gpus; it need not be there"
_WORKLOAD = "a reference program, or your own: package.module:function"


@dataclass(frozen=True)
class ListOptions:
    """All profiles."""

    json: bool = option(JSON, False)


@dataclass(frozen=True)
class ShowOptions:
    """One profile."""

    profile: str = option(PROFILE, "base")
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class CheckOptions:
    """One profile or all."""

    profile: str = option(f"only this one: {PROFILE}")
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class FlagsOptions:
    """A search."""

    match: str = option("only those whose name or choices hold these words", value="WORDS")
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class ExplainOptions:
    """A profile, a GPU and a program."""

    profile: str = option(PROFILE, factory=lambda: setting("profile"))
    gpu: str = option(_GPU, factory=lambda: setting("gpus"))
    workload: str = option(_WORKLOAD, factory=lambda: setting("workloads"))
    against: str = option(
        f"compare with this one, default XLA's own defaults: {PROFILE}", value="PROFILE"
    )
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class MatrixOptions:
    """The effects of all profiles."""

    out: str = option(
        "the matrix to write or to compare with; default: configs/xla/matrix.json", value="FILE"
    )
    check: bool = option(
        "write nothing: compile jaxpad's own profiles again and compare; 1 if any differ", False
    )
    questions: int | None = option(
        "with --check: how many of our profiles' questions, a profile on a GPU and workload "
        "each; default: all",
        None,
        least=1,
    )
    sample: int = option("with --check: how many other cells to compile again", 20, least=0)
    seed: int = option("with --check: which ones", 0, least=0)
    workers: int = option("compiling processes", 2, least=1, most=4096)
    dry_run: bool = option("only count the cells", False)


@dataclass(frozen=True)
class TuneOptions:
    """A search for flags."""

    workload: str = option(_WORKLOAD)
    space: str = option("flags with values to try: a name in configs/tune, or a .toml file")
    platform: str = option("where to run", "auto", choices=PLATFORMS)
    gpu: str = option(_GPU)
    against: str = option(f"the baseline, default XLA's own defaults: {PROFILE}", value="PROFILE")
    out: str = option(
        "folder of the study and of what comes of it; the same again goes on with it",
        value="FOLDER",
    )
    minutes: float = option(
        "begin no further measurement after so many; default: no limit",
        0,
        least=0,
        noun="a number of minutes",
    )
    measurements: int = option(
        "measure at most so many programs; default: by the size of the space", 0, least=0
    )
    seed: int = option("of the search and of the inputs", 0, least=0)
    name: str = option("the profile's name; default: the workload's")
    compile_only: bool = option("only say how many distinct programs the space has", False)
    json: bool = option(JSON, False)
    dry_run: bool = option("only count the candidates", False)
