"""The tasks `profile.*`: see, validate, prove and search XLA profiles."""

from __future__ import annotations

from invoke import Context

from jaxpad.cli.tasking import JSON, PROFILE, call, command, perform, require


@command(help={"json": JSON}, name="list")
def list_(_c: Context, json: bool = False) -> None:
    """List the XLA profiles."""
    call("jaxpad.cli.profile:list_", as_json=json)


@command(help={"profile": PROFILE, "json": JSON})
def show(_c: Context, profile: str = "base", json: bool = False) -> None:
    """Show what a profile sets here, flag by flag, and which layer each comes from."""
    call("jaxpad.cli.profile:show", profile, as_json=json)


@command(help={"profile": f"only this one: {PROFILE}", "json": JSON})
def check(_c: Context, profile: str = "", json: bool = False) -> None:
    """Validate the profiles against their format and the installed XLA."""
    require("profile.check", "proof")
    call("jaxpad.cli.profile:check", profile or None, as_json=json)


@command(help={"match": "only those whose name or choices hold these words", "json": JSON})
def flags(_c: Context, match: str = "", json: bool = False) -> None:
    """Search the flags that the installed XLA knows."""
    require("profile.flags", "proof")
    call("jaxpad.cli.profile:flags_", match, as_json=json)


@command(
    help={
        "profile": PROFILE,
        "gpu": "the GPU to compile for, a name in configs/gpus; it need not be there",
        "workload": "a reference program, or your own: package.module:function",
        "against": f"hold the flags to this one, default XLA's own defaults: {PROFILE}",
        "json": JSON,
    }
)
def explain(
    _c: Context,
    profile: str = "",
    gpu: str = "",
    workload: str = "",
    against: str = "",
    json: bool = False,
) -> None:
    """Say what each flag of a profile does to the compiled program, with no GPU."""
    require("profile.explain", "proof")
    perform("jaxpad.cli.explain:explain", locals())


@command(
    help={
        "out": "the matrix to write or to compare with; default: configs/xla/matrix.json",
        "check": "write nothing: compile jaxpad's own profiles again and compare; 1 if any differ",
        "questions": "with --check: how many of our profiles' questions, a profile on a GPU and "
        "workload each; default: all",
        "sample": "with --check: how many other cells to compile again",
        "seed": "with --check: which ones",
        "workers": "compiling processes",
        "dry-run": "only count the cells",
    }
)
def matrix(
    _c: Context,
    out: str = "",
    check: bool = False,
    questions: str = "",
    sample: str = "20",
    seed: str = "0",
    workers: str = "2",
    dry_run: bool = False,
) -> None:
    """Compute what every flag does: all profiles, GPUs and workloads with this jaxlib."""
    require("profile.matrix", "proof")
    perform("jaxpad.cli.explain:profile_matrix", locals())


@command(
    help={
        "workload": "a reference program, or your own: package.module:function",
        "space": "flags with values to try: a name in configs/tune, or a .toml file",
        "platform": "auto, gpu or cpu",
        "gpu": "the GPU to compile for, a name in configs/gpus; it need not be there",
        "against": f"the baseline, default XLA's own defaults: {PROFILE}",
        "out": "folder of the study and of what comes of it; the same again goes on with it",
        "minutes": "begin no further measurement after so many; default: no limit",
        "measurements": "measure at most so many programs; default: by the size of the space",
        "seed": "of the search and of the inputs",
        "name": "the profile's name; default: the workload's",
        "compile-only": "only say how many distinct programs the space has",
        "json": JSON,
        "dry-run": "only count the candidates",
    }
)
def tune(
    _c: Context,
    workload: str,
    space: str = "",
    platform: str = "auto",
    gpu: str = "",
    against: str = "",
    out: str = "",
    minutes: str = "",
    measurements: str = "",
    seed: str = "0",
    name: str = "",
    compile_only: bool = False,
    json: bool = False,
    dry_run: bool = False,
) -> None:
    """Find the flags that make a program really faster here, and write them as a profile."""
    require("profile.tune", "tune")
    perform("jaxpad.cli.tune:profile_tune", locals())
