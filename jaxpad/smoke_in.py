"""`smoke --on docker|podman`: the suite inside the image, its report out here."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path

from jaxpad import bounds, containers, platforms, smoke_options
from jaxpad.containers import Wanted
from jaxpad.engines import Mount, Run
from jaxpad.errors import UsageError
from jaxpad.smoke import Options

_PROFILES = "/run/jaxpad/profiles"
_BOUNDS = "/run/jaxpad/bounds"


def smoke_in(options: Options, wanted: Wanted) -> int:
    """Run the suite in a container and return its exit code, which is the suite's own.

    Raises UsageError for bad options, no engine, no image, GPUs that cannot be had.
    """
    platforms.require(options.platform)
    bounds.load(options.thresholds)
    if not (wanted.engine or wanted.image):
        raise UsageError("--gpus chooses what a container is given: name an engine with --on")
    wanted = replace(wanted, gpus=_gpus(options, wanted))
    engine = containers.engine_for(wanted)
    run = request(options, containers.container(wanted, containers.image_for(wanted, engine)))
    argv = engine.run_argv(run)
    if options.dry_run:
        sys.stdout.write(shlex.join(argv) + "\n")
        return 0
    containers.make_private(run.mounts[0].source)
    smoke_options.make(options.out)
    return containers.ended(engine, run, containers.follow(argv))


def _gpus(options: Options, wanted: Wanted) -> str:
    """A CPU run is given no GPU, a GPU run all of them, whatever this machine shows."""
    return wanted.gpus or {"cpu": "none", "gpu": "all"}.get(options.platform, "")


def request(options: Options, run: Run) -> Run:
    """The container that runs the suite; its report goes where it would go without one."""
    out = _inside(options.out)
    mounts = [*run.mounts, Mount(options.out.resolve(), str(Path("/workspace") / out))]
    words = ["--platform", options.platform, "--limit", f"{options.limit:g}", "--out", str(out)]
    if options.profile:
        name, more = _profile(options.profile)
        words, mounts = [*words, "--profile", name], [*mounts, *more]
    if options.thresholds:
        file = options.thresholds.resolve()
        words += ["--thresholds", f"{_BOUNDS}/{file.name}"]
        mounts = [*mounts, Mount(file, f"{_BOUNDS}/{file.name}", read_only=True)]
    words += ["--strict"] if options.strict else []
    words += ["-k", options.select] if options.select else []
    words += ["--json"] if options.as_json else []
    words += [] if options.redact else ["--no-redact"]
    return replace(
        run,
        command=("jaxpad", "smoke", *words),
        mounts=tuple(mounts),
        workdir="/workspace",
        terminal=sys.stdin.isatty() and sys.stderr.isatty() and not options.as_json,
    )


def _inside(out: Path) -> Path:
    """The report's folder by the same name in the container, as far as that can be."""
    return out.resolve() if out.is_absolute() or ".." in out.parts else out


def _profile(profile: str) -> tuple[str, list[Mount]]:
    """A profile of the image by its name; a file of the caller's is taken along."""
    file = Path(profile)
    if file.suffix != ".toml":
        return profile, []
    if not file.is_file():
        raise UsageError(f"--profile {profile}: there is no such file")
    inside = f"{_PROFILES}/{file.name}"
    return inside, [Mount(file.resolve(), inside, read_only=True)]
