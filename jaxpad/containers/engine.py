"""What every engine can do."""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import re
import shlex
import shutil
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from jaxpad.containers import engine as containers_engine
from jaxpad.core import child, host, paths
from jaxpad.core.child import Outcome
from jaxpad.core.paths import settings
from jaxpad.core.results import UsageError
from jaxpad.core.text import unknown

# What a caller wants run or built, in no engine's words.

SHM_SIZE = "8g"  # a limit, not a reservation; the engines' 64 MB breaks NCCL and data loaders


@dataclass(frozen=True)
class Mount:
    """A folder or file of the host, and where the container sees it."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Run:
    """One container."""

    image: str
    command: tuple[str, ...] = ()  # empty: the image's own
    gpus: str = "none"  # all, none, or indices or UUIDs with commas between
    mounts: tuple[Mount, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    user: tuple[int, int] | None = None  # uid and gid; None: the image's own
    terminal: bool = False
    workdir: str | None = None
    shm_size: str = SHM_SIZE
    ipc_host: bool = False  # shares the host's /dev/shm; then no size of our own
    port: tuple[int, int] | None = None  # on the host's loopback, in the container
    network: str | None = None
    options: tuple[str, ...] = ()  # more of the engine's own


@dataclass(frozen=True)
class Build:
    """One image from the Dockerfile."""

    target: str
    tag: str
    context: Path
    dockerfile: Path | None = None  # None: it comes on standard input
    args: Mapping[str, str | None] = field(default_factory=dict)  # None: the caller's variable
    labels: Mapping[str, str] = field(default_factory=dict)
    ca_bundle: Path | None = None
    network: str | None = None


_GPU = re.compile(r"\d+(?::\d+)?|(?:GPU|MIG)-[0-9A-Za-z/-]+")


def gpu_list(gpus: str) -> tuple[str, ...]:
    """The GPUs of a list such as `0,1`; raises UsageError where one is none.

    Each is an index, a MIG slice as GPU:SLICE, or a UUID, as NVIDIA's container toolkit takes them.
    """
    chosen = tuple(gpu.strip() for gpu in gpus.split(","))
    if not all(map(_GPU.fullmatch, chosen)):
        raise UsageError(f"--gpus {gpus!r} is not all, none or a list such as 0,1")
    return chosen


@dataclass(frozen=True)
class Engine(ABC):
    """One program that runs containers.

    A class with a `name` in any module of this folder is an engine: `--engine NAME` finds it.
    """

    program: str  # as found on PATH

    name: ClassVar[str] = ""  # as --engine takes it; a base class of several has none
    programs: ClassVar[Sequence[str]] = ()  # what it is called on PATH, if not as its name
    unasked: ClassVar[bool] = False  # whether it is taken where no engine was asked for
    lists_images: ClassVar[bool] = True  # whether it has `image ls` and `image inspect`
    failed: ClassVar[Sequence[int]] = (125,)  # exit codes: the container could not be started

    @classmethod
    def problem(cls, program: str, *, building: bool) -> str | None:
        """Why this copy of the program cannot be used, None where it can."""
        del program, building
        return None

    @classmethod
    def at(cls, program: str, word: str) -> Engine:
        """The engine of this copy, which `word` starts."""
        del program
        return cls(word)

    @abstractmethod
    def run_argv(self, run: Run) -> list[str]:
        """The command that runs the container in the foreground and ends with its exit code."""


# Ask an engine's program something; it may hang, or have no daemon to ask.

_LIMIT = 20.0  # seconds a healthy daemon answers within


def ask(argv: Sequence[str]) -> Outcome:
    """What the program says; exit code 1 and the reason where it does not answer in time."""
    done = child.run(argv, limit_s=_LIMIT)
    if done.late:
        return replace(done, code=1, out="", err=f"no answer within {_LIMIT:.0f} s{done.note}")
    return done


def last(words: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


# Which engine this machine has, and why one that it has cannot be used.


@functools.cache
def kinds() -> tuple[type[Engine], ...]:
    """The engines that the modules of `engines/` define, those taken unasked first."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent / "engines")]):
        importlib.import_module(f"{__package__}.engines.{module.name}")
    found = _named(Engine)  # type: ignore[type-abstract]  # asked for its subclasses alone
    return tuple(sorted(found, key=lambda kind: not kind.unasked))


def _named(base: type[Engine]) -> Iterator[type[Engine]]:
    for kind in base.__subclasses__():
        yield from [kind] if kind.name else []
        yield from _named(kind)


def choices() -> tuple[str, ...]:
    """What --engine takes."""
    return tuple(kind.name for kind in kinds())


def find(name: str | None = None, *, building: bool = False) -> Engine:
    """The engine of that name, else the first of those taken unasked that answers.

    `building` asks for one that can build the Dockerfile: a docker client from 23 on needs
    its buildx plugin. Raises UsageError with the reason and the remedy.
    """
    asked = [kind for kind in kinds() if kind.name == name or (not name and kind.unasked)]
    if not asked:
        raise UsageError(unknown("engine", name or "", choices()))
    problems = []
    for kind, program in _programs(asked):
        problem = kind.problem(program, building=building)
        if not problem:
            return kind.at(program, _word(program))
        problems.append(problem)
    raise UsageError(problems[0] if problems else _absent(name))


def _absent(name: str | None) -> str:
    missing = f"{name} is not" if name else "neither docker nor podman is"
    return f"{missing} on PATH; install one, then `invoke doctor` says what GPU containers lack"


def _programs(asked: Sequence[type[Engine]]) -> Iterator[tuple[type[Engine], str]]:
    """Every copy on PATH, in its order: the first may be the one that cannot build."""
    for kind in asked:
        for name in kind.programs or (kind.name,):
            for folder in os.environ.get("PATH", "").split(os.pathsep):
                program = shutil.which(name, path=folder) if folder else None
                if program:
                    yield kind, program


def _word(program: str) -> str:
    """The program's bare name where that starts this very copy."""
    name = Path(program).name
    return name if shutil.which(name) == program else program


# The jaxpad images that an engine has, told by their labels.

LABEL = "io.jaxpad."
_LIMIT_S = 120.0  # for a daemon that is busy; ten thousand images take it seconds


@dataclass(frozen=True)
class Image:
    """One image: a reference or a file, and what its labels say."""

    reference: str
    labels: Mapping[str, str]

    @property
    def jupyter(self) -> bool:
        return self.labels.get(f"{LABEL}target") == "jupyter"

    @property
    def jax(self) -> str:
        """The version of JAX in it, empty where it does not say."""
        return self.labels.get(f"{LABEL}jax", "")


def images(engine: Engine) -> list[Image]:
    """The tagged images of jaxpad, newest first."""
    if not engine.lists_images:
        return []
    argv = [engine.program, "image", "ls", "--filter", f"label={LABEL}profile"]
    listed = _ask([*argv, "--format", "{{.Repository}}:{{.Tag}}"]).split()
    tagged = [reference for reference in listed if "<none>" not in reference]
    return [found for reference in tagged if (found := inspect(engine, reference))]


def inspect(engine: Engine, reference: str) -> Image | None:
    """What is known of a reference; None for one that is not here."""
    if not engine.lists_images:
        return Image(reference, {}) if Path(reference).is_file() else None
    told = _ask([engine.program, "image", "inspect", "--format", "{{json .Config}}", reference])
    if not told:
        return None
    return Image(reference, json.loads(told).get("Labels") or {})


def _ask(argv: list[str]) -> str:
    done = child.run(argv, limit_s=_LIMIT_S)
    if done.late:
        raise UsageError(f"{argv[0]} gave no answer within {_LIMIT_S:.0f} s{done.note}")
    return done.out if done.code == 0 else ""


# What `launch` and `smoke --on` share: which engine, which image, as whom, with which GPUs.

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

    Raises UsageError where it cannot be made, is another user's, or others may write there.
    """
    try:
        paths.make_cache(folder)
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
    before = signal.signal(signal.SIGINT, _ignore)
    try:
        with child.passing_on(signal.SIGTERM, signal.SIGHUP) as to:
            running = to(child.start(argv, stdin=None, session=False, death=signal.SIGTERM))
            with running:
                code = running.wait()
    finally:
        signal.signal(signal.SIGINT, before)
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
