"""What `launch` and `smoke --on` share: which engine, which image, as whom, with which GPUs."""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxpad.containers import engine as containers_engine
from jaxpad.containers.engine import Engine, Image, Mount, Run
from jaxpad.core import child, host, paths
from jaxpad.core.paths import settings
from jaxpad.core.results import UsageError

HOME = "/home/jax"  # of the image
CACHE = f"{HOME}/.cache"


@dataclass(frozen=True)
class Wanted:
    """What the command line says; an empty word leaves it to us."""

    image: str = ""
    engine: str = ""
    profile: str = ""
    gpus: str = ""
    jupyter: bool = False


def engine_for(wanted: Wanted) -> Engine:
    """The engine asked for; Apptainer for a .sif file; else the first that answers.

    Raises UsageError where there is none, or no such file.
    """
    file = wanted.image.endswith((".sif", ".simg")) or Path(wanted.image).is_file()
    if file and not Path(wanted.image).is_file():
        raise UsageError(f"--image {wanted.image}: there is no such file")
    return containers_engine.find(wanted.engine or ("apptainer" if file else None))


def image_for(wanted: Wanted, engine: Engine) -> Image:
    """The image asked for, else the newest that `build` made here, the project's own first.

    A reference that is not here is left for the engine to pull. Raises UsageError where
    there is no image of jaxpad's.
    """
    if wanted.image:
        return containers_engine.inspect(engine, wanted.image) or Image(wanted.image, {})
    fit = [
        image for image in containers_engine.images(engine) if image.jupyter or not wanted.jupyter
    ]
    if not fit:
        kind = " --target jupyter" if wanted.jupyter else ""
        raise UsageError(
            f"{engine.name} has no jaxpad image here; make one with `invoke build{kind}`, or name "
            "one with --image"
        )
    ours = [image for image in fit if image.reference.startswith(f"{settings().repository}:")]
    return min(ours or fit, key=lambda image: image.jupyter != wanted.jupyter)


def gpus_for(wanted: Wanted) -> str:
    """The GPUs asked for; else all where this machine shows one."""
    return wanted.gpus or ("all" if host.gpu_evidence() else "none")


def container(wanted: Wanted, image: Image) -> Run:
    """The caller's container: their uid and gid, their cache folder, their GPUs and profile."""
    profile = {"JAXPAD_PROFILE": wanted.profile} if wanted.profile else {}
    return Run(
        image=image.reference,
        gpus=gpus_for(wanted),
        mounts=(Mount(cache_folder(image), CACHE),),
        environ={"JAX_COMPILATION_CACHE_DIR": f"{CACHE}/jaxpad/compiled", **profile},
        user=(os.getuid(), os.getgid()),
    )


def cache_folder(image: Image) -> Path:
    """The caller's folder for what containers with this JAX keep.

    Compiled programs, and packages installed at run time.
    """
    name = f"jax-{image.jax}" if image.jax else re.sub(r"[^A-Za-z0-9._-]+", "-", image.reference)
    return paths.user_cache() / "containers" / name


def make_private(folder: Path) -> None:
    """Make the folder with mode 0700: the engine would make it root's, and readable by all.

    Raises UsageError where it cannot be made or is another user's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise UsageError(
            f"the cache folder {folder} cannot be used ({error.strerror}); set XDG_CACHE_HOME to a "
            "folder of your own"
        ) from error


def follow(argv: Sequence[str]) -> int:
    """Show and run a container's command; its exit code, 128 + N where signal N ended it.

    SIGTERM and SIGHUP are passed on. SIGINT reaches the child from the terminal itself. Where
    this process is killed, the child gets SIGTERM, which an engine passes on to its container.
    """
    say(f"+ {shlex.join(argv)}")
    running = child.start(argv, stdin=None, session=False, death=signal.SIGTERM)
    passed = {number: lambda n, _: running.send(n) for number in (signal.SIGTERM, signal.SIGHUP)}
    before = {n: signal.signal(n, act) for n, act in {**passed, signal.SIGINT: _ignore}.items()}
    try:
        code = running.wait()
    finally:
        running.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    assert code is not None  # without a limit, `wait` waits for it
    return code if code >= 0 else 128 - code


def _ignore(_number: int, _frame: object) -> None:
    """A handler, not SIG_IGN, which the child would inherit."""


def ended(engine: Engine, run: Run, code: int) -> int:
    """The exit code; raises UsageError where the engine could not start the container at all."""
    if code not in engine.failed:
        return code
    if run.gpus != "none":
        raise UsageError(
            f"{engine.name} could not start the container with --gpus {run.gpus}, for the reason "
            "above; if it lacks the NVIDIA Container Toolkit, `invoke doctor` says how to add it, "
            "and --gpus none launches on the CPU"
        )
    raise UsageError(f"{engine.name} could not start the container, for the reason above")


def say(line: str) -> None:
    """Tell people, beside what goes to stdout."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
