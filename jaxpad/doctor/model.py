"""One question about the host and its answer, as plain data."""

from __future__ import annotations

import ctypes
import functools
import grp
import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from jaxpad import nvml
from jaxpad.core import child, host
from jaxpad.core.host import GpuEvidence
from jaxpad.core.results import Verdict
from jaxpad.machine import facts
from jaxpad.nvml import Driver


@dataclass(frozen=True)
class Answer:
    """What a question found."""

    verdict: Verdict
    found: str  # what was seen, or why nothing was
    remedy: str = ""  # what to do, where it is no pass


@dataclass(frozen=True)
class Finding:
    """A question with its answer."""

    name: str
    question: str
    verdict: Verdict
    found: str
    remedy: str


def passed(found: str) -> Answer:
    return Answer(Verdict.PASS, found)


def failed(found: str, remedy: str) -> Answer:
    return Answer(Verdict.FAIL, found, remedy)


def inconclusive(found: str, remedy: str) -> Answer:
    return Answer(Verdict.INCONCLUSIVE, found, remedy)


def not_applicable(found: str) -> Answer:
    return Answer(Verdict.NOT_APPLICABLE, found)


# Run outside programs that may be absent, slow or stuck, and never wait for them long.

LIMIT = 10.0  # seconds; docker, podman and nvidia-ctk answer in well under one
_STUCK_S = 1.0  # one that is stuck in the kernel is not waited for


@dataclass(frozen=True)
class Ran:
    """What a program said. `code` is None where `problem` says why it gave no answer."""

    code: int | None = None
    stdout: str = ""
    stderr: str = ""
    problem: str = ""  # "docker is not installed", "docker gave no answer within 10 s"
    installed: bool = True
    note: str = ""  # that it was left behind, as part of a sentence

    @property
    def ok(self) -> bool:
        return self.code == 0

    @property
    def why(self) -> str:
        """Why it is not ok, in one line: the problem, or what the program wrote last."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines()]
        said = next((line for line in lines if line), f"exit code {self.code}")
        return self.problem or said


Run = Callable[..., Ran]


def runner(environ: Mapping[str, str], limit: float = LIMIT) -> Run:
    """A function that runs a program once for each argv, found on `environ`'s PATH."""

    @functools.cache
    def run(*argv: str) -> Ran:
        return run_program(argv, environ, limit)

    return run


def run_program(argv: tuple[str, ...], environ: Mapping[str, str], limit: float) -> Ran:
    """Run `argv` under `environ` for `limit` seconds at most; its children end with it."""
    program = shutil.which(argv[0], path=environ.get("PATH", os.defpath))
    if program is None:
        return Ran(problem=f"{argv[0]} is not installed", installed=False)
    words = dict(environ) | {"LC_ALL": "C"}  # messages are read in English
    try:
        ran = child.run((program, *argv[1:]), environ=words, limit_s=limit, stuck_s=_STUCK_S)
    except OSError as error:
        return Ran(problem=f"{argv[0]} cannot be run: {error.strerror}")
    if ran.late:
        late = f"{argv[0]} gave no answer within {limit:g} s{ran.note}"
        return Ran(problem=late, note=ran.note)
    return Ran(ran.code, ran.out, ran.err)


# Which NVIDIA driver a CUDA needs: the one table, and how versions compare.
#
# Within one CUDA major release any minor runs on the oldest driver of that major, with a
# limited set of features (minor version compatibility), and newer drivers run older CUDA.
# An older driver needs NVIDIA's forward compatibility package (cuda-compat), which works on
# data-center GPUs, some RTX cards for servers and Jetson only.
#
# Sources: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
# (525 and 580), the release notes below (the full numbers), and
# https://docs.nvidia.com/deploy/cuda-compatibility/forward-compatibility.html

DRIVERS_SOURCE = "https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/"
OLDEST_DRIVERS = {"12": "525.60.13", "13": "580.65.06"}  # by CUDA major, on Linux


def numbers(version: str) -> tuple[int, ...]:
    """The leading dotted numbers: (20, 10, 24) for `20.10.24+dfsg1`; raises ValueError if none."""
    found = re.match(r"\d+(?:\.\d+)*", version.strip().removeprefix("v"))
    if found is None:
        raise ValueError(f"{version!r} is no version: it should begin with a number")
    return tuple(map(int, found[0].split(".")))


def older_than(version: str, than: str) -> bool:
    """Whether `version` comes before `than`, number by number."""
    return numbers(version) < numbers(than)


# The host as the questions see it: its folders, its variables, its programs.

ENGINES = ("docker", "podman")


@dataclass(frozen=True)
class Space:
    """The size of a file system and what is free on it, in bytes."""

    total: int
    free: int


def space(folder: Path) -> Space:
    """Raises OSError if there is no such folder."""
    usage = shutil.disk_usage(folder)
    return Space(usage.total, usage.free)


@dataclass(frozen=True)
class Host:
    """A machine to examine. Tests lay one out; `here` is the one we run on."""

    environ: Mapping[str, str]
    run: Run  # run(*argv) -> Ran, each argv once
    ask_driver: Callable[[], Driver]
    ask_clock: Callable[[], Clock]
    space: Callable[[Path], Space] = space
    root: Path = Path("/")  # what /sys, /proc, /dev, /etc and /run are under
    uid: int = 0
    groups: tuple[str, ...] = ()  # of this process, which a fresh login may have more of
    member: Callable[[str], bool] = field(default=lambda _: False)  # by the group file
    engines: tuple[str, ...] = ENGINES  # the ones asked about
    image: str | None = None

    @cached_property
    def gpus(self) -> GpuEvidence:
        return host.gpu_evidence(self.root / "sys", self.root / "dev")

    @cached_property
    def driver(self) -> Driver:
        return self.ask_driver()

    @property
    def count(self) -> int:
        """How many GPUs the machine shows, on the bus, in /dev or by NVML."""
        foreign = "ForeignPynvml" in (self.driver.error or "")  # NVML started: it has one
        return max(len(self.gpus.pci), len(self.gpus.nodes), len(self.driver.names), foreign)

    def text(self, path: str) -> str:
        """The file at `path`, which is relative to the root; empty if it cannot be read."""
        try:
            return (self.root / path).read_text(errors="replace", encoding="utf-8")
        except OSError:
            return ""


def here(engine: str | None = None, image: str | None = None) -> Host:
    """The machine we run on."""
    environ = dict(os.environ)
    return Host(
        environ=environ,
        run=runner(environ),
        ask_driver=lambda: ask_driver(environ),
        ask_clock=read_clock,
        uid=os.getuid(),
        groups=tuple(filter(None, map(_group, os.getgroups()))),
        member=_member,
        engines=(engine,) if engine else ENGINES,
        image=image,
    )


def ask_driver(environ: Mapping[str, str], limit: float = facts.NVML_LIMIT) -> Driver:
    """NVML's account, read in a child that is left behind if it is stuck in the kernel."""
    argv = tuple(child.python("-m", "jaxpad.nvml"))
    ran = run_program(argv, child.importable(environ), limit)
    try:
        return nvml.from_json(ran.stdout)
    except ValueError:
        silent = f"NVML ended its process with code {ran.code}"
        late = f"NVML did not answer within {limit:g} s{ran.note}"
        return Driver(error=silent if ran.code is not None else late)


def _group(number: int) -> str | None:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return None


def _member(name: str) -> bool:
    """Whether the group file makes the caller a member, in this session or not."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name in grp.getgrnam(name).gr_mem
    except KeyError:
        return False


# Whether the clock is right, as far as one machine can tell.

# jaxpad was written in 2026, for a JAX of that year: no right clock shows an earlier one.
BORN = datetime(2026, 1, 1, tzinfo=UTC)
UNSYNCHRONISED = 0x40  # STA_UNSYNC, linux/timex.h
LARGEST = 16.0  # seconds of possible error; systemd's own bound for "synchronised"
KEEP = "let a time service keep the clock: systemctl enable --now systemd-timesyncd, or chrony"


@dataclass(frozen=True)
class Clock:
    """The time, and what the kernel says of it."""

    now: datetime
    synchronised: bool | None  # None: the kernel does not say
    error: float = 0.0  # seconds it may be off at most, where synchronised


class _Timex(ctypes.Structure):
    """The beginning of the kernel's struct timex; the rest is room for it to write into."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),  # microseconds
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def read_clock() -> Clock:
    """Ask the kernel, as timedatectl does for NTPSynchronized; needs no rights.

    Source: adjtimex(2), and ntp_synced() in systemd's src/basic/time-util.c (unconfirmed).
    """
    now, timex = datetime.fromtimestamp(time.time(), UTC), _Timex()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (AttributeError, OSError):
        state = -1
    if state < 0:
        return Clock(now, None)
    error = timex.maxerror / 1e6
    return Clock(now, not timex.status & UNSYNCHRONISED and error < LARGEST, error)


def clock(host: Host) -> Answer:
    """Pass: the kernel says it is kept by a time service. Fail: it is before jaxpad existed.

    Inconclusive: nothing keeps it, which one machine alone cannot tell from a right clock.
    A wrong clock breaks TLS (certificates not yet valid), Slurm's munge and logs of
    several nodes.
    """
    found = host.ask_clock()
    shown = f"{found.now:%Y-%m-%d %H:%M} UTC"
    if found.now < BORN:
        return failed(f"it shows {shown}, before jaxpad existed ({BORN:%Y-%m-%d})", KEEP)
    if found.synchronised is None:
        return inconclusive(f"it shows {shown}; the kernel does not say if it is kept", KEEP)
    if not found.synchronised:
        return inconclusive(f"it shows {shown}, and no time service keeps it", KEEP)
    return passed(f"it shows {shown}, kept by a time service, {found.error:.3f} s off at most")
