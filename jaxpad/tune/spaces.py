"""A search space: a TOML file that gives flags their values, held to the installed XLA."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import platform as system
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import flags, gpus
from jaxpad.core import host, paths
from jaxpad.core.results import UsageError
from jaxpad.machine import devices
from jaxpad.nvml import Driver
from jaxpad.profiles import ARCHITECTURES, UNSAFE, did_you_mean, listed
from jaxpad.profiles.model import Table, kind
from jaxpad.tune.model import Candidate

FOLDER = paths.CONFIGS / "tune"  # the shipped ones
PLATFORMS = ("cpu", "gpu")
LARGEST = 20_000  # candidates: each is compiled before the search
_NUMBERS = {"int32": int, "int64": int, "float": (int, float), "double": (int, float)}


@dataclass(frozen=True)
class Space:
    """Flags with the values to try. That a flag is absent is always a choice, the default."""

    path: Path
    description: str
    platform: str  # "" where both will do
    architecture: tuple[str, ...]
    flags: Mapping[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """How many candidates there are, the baseline among them."""
        return math.prod(1 + len(values) for values in self.flags.values())

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the flags and their values, whatever their order."""
        said = {name: sorted(values) for name, values in self.flags.items()}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    @property
    def singles(self) -> tuple[Candidate, ...]:
        """The candidates that set one flag."""
        return tuple(
            Candidate.of({name: value}) for name, values in self.flags.items() for value in values
        )

    def candidates(self) -> Iterator[Candidate]:
        """Every candidate, the baseline first, those with fewer flags before those with more."""
        rows = [[(name, value) for value in ("", *values)] for name, values in self.flags.items()]
        places = [range(len(row)) for row in rows]
        chosen = sorted(itertools.product(*places), key=lambda one: (sum(map(bool, one)), one))
        for one in chosen:
            yield Candidate.of(
                {row[at][0]: row[at][1] for row, at in zip(rows, one, strict=True) if at}
            )


def names() -> tuple[str, ...]:
    """The spaces of the project and those that jaxpad brings, in alphabetical order."""
    return paths.stems(paths.folders("configs/tune"))


def load(name_or_path: str, platform: str) -> Space:
    """One space for a platform, "cpu" or "gpu": a name in configs/tune, or a .toml file's path.

    Of two of one name it is the project's.

    A value that is XLA's default already is left out: the flag's absence is that choice.
    About 1 s, in which XLA is asked for its flags.

    Raises UsageError for a file that is not there or is no space, for a flag that the
    installed XLA does not know or that acts on the other platform only, for a value of the
    wrong type or one that is there twice, and for a space with nothing to choose.
    """
    path = _path(name_or_path)
    top = Table(path, "", paths.read_toml(path))
    top.only("description", "requires", "flags")
    required = top.table("requires")
    required.only("platform", "architecture")
    space = Space(
        path=path,
        description=top.text("description"),
        platform=_platform(required, platform),
        architecture=required.texts("architecture", ARCHITECTURES),
        flags=_without_defaults(_flags(top.table("flags"), platform)),
    )
    if not space.flags:
        top.refuse("its values are all XLA's defaults, so there is nothing to choose; add others")
    _hold_size(top, space.size)
    return space


def _hold_size(table: Table, size: int) -> None:
    if size > LARGEST:
        table.refuse(
            f"it has {size} candidates, expected at most {LARGEST}, since each is compiled; "
            "take values out"
        )


def _path(name_or_path: str) -> Path:
    if "/" in name_or_path or name_or_path.endswith(".toml"):
        return Path(name_or_path)
    if name_or_path not in names():
        hint = did_you_mean(name_or_path, names()) or f"; there are {listed(names())}"
        raise UsageError(
            f"no search space is called {name_or_path!r} (a file is named by its path){hint}"
        )
    return paths.found(f"configs/tune/{name_or_path}.toml")


def _platform(required: Table, platform: str) -> str:
    if "platform" not in required.items:
        return ""
    wanted = required.text("platform")
    if wanted not in PLATFORMS:
        required.refuse(f"platform is {wanted!r}, expected cpu or gpu; fix it")
    if wanted != platform:
        required.refuse(
            f"the space is for the {wanted} and this run is on the {platform}; give another "
            f"--space, or --platform {wanted}"
        )
    return wanted


def _flags(table: Table, platform: str) -> dict[str, tuple[str, ...]]:
    if not table.items:
        table.refuse("there is no flag, so nothing to choose; add name = [values]")
    return {name: _values(table, name, platform) for name in sorted(table.items)}


def _values(table: Table, name: str, platform: str) -> tuple[str, ...]:
    known = flags.catalogue()
    if name not in known or not known[name].flag:
        table.refuse(flags.unknown(name))
    other = {"cpu": "gpu", "gpu": "cpu"}[platform]
    if name.startswith(f"xla_{other}_"):
        table.refuse(
            f"{name} only acts on the {other} and this run is on the {platform}; remove it"
        )
    given = table.items[name]
    if not isinstance(given, list) or not given:
        what = "empty" if given == [] else kind(given)
        table.refuse(f"{name} is {what}, expected a list of values; write it like {name} = [true]")
    _hold_size(table, len(given))  # before XLA is asked what each of them means
    values = tuple(_value(table, name, known[name].type, one) for one in given)
    double = next((one for one, times in Counter(values).items() if times > 1), None)
    if double is not None:
        table.refuse(f"{name} has {double!r} twice, and each is one choice; keep one")
    return values


def _value(table: Table, name: str, type_: str, given: Any) -> str:
    """As XLA_FLAGS spells it."""
    expected = {"bool": "true or false"}.get(type_, "a number" if type_ in _NUMBERS else "a string")
    wanted: Any = bool if type_ == "bool" else _NUMBERS.get(type_, str)
    if not isinstance(given, wanted) or (isinstance(given, bool) and type_ != "bool"):
        table.refuse(
            f"{name} has {given!r}, {kind(given)}, expected {expected} ({type_}); fix the value"
        )
    text = str(given).lower() if isinstance(given, bool) else str(given)
    if UNSAFE.search(text):
        table.refuse(f"{name} has {given!r}, expected printable ASCII with no space; fix the value")
    return text


def _without_defaults(found: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Only the values that XLA reads as something else than no flag at all."""
    words = [Candidate.of({name: one}) for name, values in found.items() for one in values]
    clean, *readings = flags.read(["", *(one.words[0] for one in words)])
    default = {
        one.flags[0]
        for one, reading in zip(words, readings, strict=True)
        if reading.ok and reading.options == clean.options
    }
    left = {
        name: tuple(value for value in values if (name, value) not in default)
        for name, values in found.items()
    }
    return {name: values for name, values in left.items() if values}


# What else the machine did during a turn, as the kernel tells it to the process that ran.

Counters = Mapping[str, float]

_TICK = os.sysconf("SC_CLK_TCK")
_MOST_STOLEN = 0.05  # of the turn, taken by the hypervisor from all cores together
_FOREIGN = 0.1  # cores in use by others, below which waiting is the step's own threads' doing


def now() -> Counters:
    """Seconds, all since some past: of this process, of all, and of waiting.

    `waiting` is the run-queue time of our threads (schedstat, the second number:
    https://docs.kernel.org/scheduler/sched-stats.html), `busy` and `stolen` are the machine's
    (https://docs.kernel.org/filesystems/proc.html, 1.7).
    """
    busy, stolen = _machine()
    return {
        "wall": time.monotonic(),
        "own": time.process_time(),
        "waiting": _waiting(),
        "busy": busy,
        "stolen": stolen,
        "throttled": _throttled(),
    }


def between(before: Counters, after: Counters) -> dict[str, float]:
    """What each counter gained."""
    return {name: after[name] - before[name] for name in before}


def disturbed(gained: Counters, waiting: float) -> str:
    """Why a turn does not count, or nothing; `waiting` is the share of it that may be waited."""
    wall = gained["wall"] or 1e-9
    foreign = (gained["busy"] - gained["own"]) / wall
    if gained["throttled"] > 0:
        return "the CPU was throttled"
    if gained["stolen"] > _MOST_STOLEN * wall + 1 / _TICK:
        return f"the hypervisor took {gained['stolen'] / wall:.0%} of a core"
    if gained["waiting"] > waiting * wall and foreign > _FOREIGN:
        share = gained["waiting"] / wall
        return f"waited {share:.0%} of the time for a core, others used {foreign:.1f} cores"
    return ""


def _machine() -> tuple[float, float]:
    """User, nice, system, irq and softirq time, and stolen time."""
    with contextlib.suppress(OSError, ValueError):
        with Path("/proc/stat").open(encoding="utf-8") as stat:
            user, nice, system, _, _, irq, soft, stolen = map(int, stat.readline().split()[1:9])
        return (user + nice + system + irq + soft) / _TICK, stolen / _TICK
    return 0.0, 0.0


def _waiting() -> float:
    return sum(map(_waited, Path("/proc/self/task").glob("*/schedstat")))


def _waited(file: Path) -> float:
    with contextlib.suppress(OSError, ValueError, IndexError):  # a thread that has ended
        return int(file.read_text(encoding="utf-8").split()[1]) / 1e9
    return 0.0


def _throttled() -> float:
    files = Path("/sys/devices/system/cpu").glob("cpu*/thermal_throttle/core_throttle_count")
    total = 0
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            total += int(file.read_text(encoding="utf-8"))
    return total


# Where a tuning run is: the platform, the device, what it holds.


@dataclass(frozen=True)
class Machine:
    """What is compiled for, and whether it is here to be measured on.

    `gpu` is a description's name, "" on the CPU; `memory` the device's in bytes, 0 if unknown.
    """

    platform: str
    gpu: str = ""
    device: str = ""
    driver: str = ""
    memory: int = 0
    here: bool = True


def find(
    requested: str, gpu: str, environ: Mapping[str, str], driver: Driver, shown: host.GpuEvidence
) -> Machine:
    """The machine that --platform and --gpu ask for.

    Raises UsageError where they contradict each other, and for a GPU that has no description.
    """
    if gpu and requested == "cpu":
        raise UsageError(f"--gpu {gpu} and --platform cpu contradict each other; leave one out")
    if gpu:
        return _described(gpu, driver)
    expected = devices.expect(requested, environ, shown, driver)
    if expected.platform == "cpu":
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Machine("cpu", device=_processor(), memory=memory)
    found = _first(driver)
    if found is None:
        seen = driver.names[0] if driver.names else driver.error or "NVML lists no GPU"
        raise UsageError(
            f"this machine's GPU has no description in configs/gpus ({seen}); name one with --gpu"
        )
    return _described(found, driver)


def _described(gpu: str, driver: Driver) -> Machine:
    one = gpus.load(gpu)
    here = _first(driver) == gpu
    size = one.memory.size_gb
    return Machine(
        platform="gpu",
        gpu=gpu,
        device=driver.names[0] if here else one.target.name,
        driver=(driver.version or "") if here else "",
        memory=int(size.value * 10**9) if size.value and size.confirmed else 0,
        here=here,
    )


def _first(driver: Driver) -> str | None:
    """The name of the description of the first GPU, where there is one."""
    found = gpus.recognise(None, driver.names[0]) if driver.names else None
    return found.path.stem if found else None


def _processor() -> str:
    """The processor's model, as Linux calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or system.machine()
