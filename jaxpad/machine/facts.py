"""All that a smoke run knows before its first check: gathered once, read by the checks.

The runner writes it as JSON for its children; a check file run by hand with pytest
gathers its own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from jaxpad import health, nvml, profiles
from jaxpad.core import child, host, paths
from jaxpad.core.bounds import Bounds
from jaxpad.core.host import GpuEvidence
from jaxpad.gpus import GpuDescription
from jaxpad.health import Finding, Roots
from jaxpad.machine import devices
from jaxpad.machine.devices import Cause, Expectation, Started
from jaxpad.nvml import CudaDevice, Driver, Match, Reading, Snapshot

FACTS = "JAXPAD_FACTS"  # path of the JSON file, for the children
STEERING = (
    "CUDA_",
    "JAX",  # jaxtyping's, too
    "LD_LIBRARY_PATH",
    "NCCL_",
    "NVIDIA_VISIBLE",
    "PYTHONOPTIMIZE",
    "TF_",
    "XLA_",
)
NVML_LIMIT = 30.0  # seconds: a healthy driver answers in one


@dataclass(frozen=True)
class Facts:
    """The machine, what was asked of it, and how JAX came up on it."""

    expected: Expectation
    gpus: GpuEvidence
    driver: Driver
    packages: dict[str, str]
    cache: str  # JAX's persistent compilation cache
    cache_problem: str | None  # why it cannot be written
    profile: str | None = None  # asked for by --profile or JAXPAD_PROFILE, or the image's
    asked_environ: dict[str, str] = field(default_factory=dict)  # as the user had it
    started: Started = field(default_factory=Started)
    folder: str | None = None  # where the runner leaves what it saw; None: run by hand
    thresholds: str | None = None  # a file that changes bounds
    strict: bool = False  # a shortfall that is explained fails, too
    expect: int | None = None  # how many GPUs there should be
    allowed: tuple[str, ...] = ()  # variables that may change what JAX means

    @property
    def gpu(self) -> bool:
        """JAX really computes on a GPU."""
        return self.started.platform in devices.GPU_PLATFORMS

    def fallback(self) -> Cause:
        """Why JAX is on the CPU although a GPU was expected."""
        return devices.fallback(
            self.asked_environ, self.gpus, self.driver, self.packages, self.started
        )

    @property
    def not_started(self) -> Cause | None:
        """Why JAX does not start, in a line, with a remedy where it is the GPU's; else None."""
        error = self.started.error
        if not error:
            return None
        if self.expected.platform == "gpu" and "Unable to initialize backend" in error:
            return self.fallback()
        return Cause(error.splitlines()[0], "")

    @property
    def steered(self) -> str:
        """The variables that make JAX another than the one tested here; empty: none."""
        asked = {name: plain for name, plain in MEANING.items() if name not in self.allowed}
        names = [name for name, plain in asked.items() if _told(self.asked_environ, name, plain)]
        if self.expected.platform == "cpu" and self.expected.requested == "auto":
            names += [x for x in _CHOOSING if _told(self.asked_environ, x, ("cpu",), "cpu,")]
        return ", ".join(f"{name}={self.asked_environ[name]}" for name in names)

    def to_json(self) -> str:
        return json.dumps(nvml.to_plain(self))


_OFF = ("", "0", "false", "f", "no", "n", "off")
_CHOOSING = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
# Variables that change what a program means, and the values with which they do not; the names
# are those of jax/_src/config.py, jaxtyping and Python.
MEANING = {
    "JAX_DISABLE_JIT": _OFF,
    "JAX_DEBUG_NANS": _OFF,
    "JAX_DEBUG_INFS": _OFF,
    "JAX_ENABLE_CHECKS": _OFF,
    "JAX_CHECK_TRACER_LEAKS": _OFF,
    "JAX_ENABLE_X64": _OFF,
    "JAX_ENABLE_CUSTOM_PRNG": _OFF,
    "JAX_NUMPY_DTYPE_PROMOTION": ("", "standard"),
    "JAX_NUMPY_RANK_PROMOTION": ("", "allow"),
    "JAX_DEFAULT_MATMUL_PRECISION": ("", "default"),
    "JAX_DEFAULT_DTYPE_BITS": ("", "64"),
    "JAX_DEFAULT_PRNG_IMPL": ("", "threefry2x32"),
    "JAX_TRANSFER_GUARD": ("", "allow"),
    "JAX_TRANSFER_GUARD_HOST_TO_DEVICE": ("", "allow"),
    "JAX_TRANSFER_GUARD_DEVICE_TO_DEVICE": ("", "allow"),
    "JAX_TRANSFER_GUARD_DEVICE_TO_HOST": ("", "allow"),
    "JAX_LEGACY_PRNG_KEY": ("", "allow"),
    "JAX_DEBUG_KEY_REUSE": _OFF,
    "JAX_CHECK_STATIC_INDICES": _OFF,
    "JAX_NO_TRACING": _OFF,
    "JAX_NO_EXECUTION": _OFF,
    "JAX_DISABLE_MOST_OPTIMIZATIONS": _OFF,
    "JAX_ERROR_CHECKING_BEHAVIOR_DIVIDE": ("", "ignore"),
    "JAX_ERROR_CHECKING_BEHAVIOR_NAN": ("", "ignore"),
    "JAX_ERROR_CHECKING_BEHAVIOR_OOB": ("", "ignore"),
    "JAX_RANDOM_SEED_OFFSET": ("", "0"),
    "JAX_MOCK_GPU_TOPOLOGY": ("",),
    "JAX_DISALLOW_MESH_CONTEXT_MANAGER": _OFF,
    "JAX_NUM_CPU_DEVICES": ("", "-1"),
    "JAXTYPING_DISABLE": _OFF,
    "PYTHONOPTIMIZE": ("", "0"),
}


def _told(environ: Mapping[str, str], name: str, plain: Sequence[str], start: str = "\0") -> bool:
    value = environ.get(name, "").lower()
    return bool(value) and value not in plain and not value.startswith(start)


def from_json(text: str) -> Facts:
    """The facts that `Facts.to_json` wrote."""
    return nvml.revive(Facts, json.loads(text), "facts")


def gather(
    requested: str,
    environ: Mapping[str, str],
    profile: str | None = None,
    sysfs: Path = Path("/sys"),
    dev: Path = Path("/dev"),
    expect: int | None = None,
) -> Facts:
    """Look at the machine; JAX is not started yet (see `start_jax`)."""
    gpus, driver = host.gpu_evidence(sysfs, dev), read_driver(environ)
    cache = cache_folder(environ)
    return Facts(
        expected=devices.expect(requested, environ, gpus, driver, expect),
        gpus=gpus,
        driver=driver,
        packages=devices.installed(),
        cache=cache,
        cache_problem=_cache_problem(cache, environ),
        profile=profile or profiles.in_force(environ),
        asked_environ=relevant(environ),
        expect=expect,
    )


def relevant(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that steer JAX, XLA, CUDA and NCCL; the others are nobody's business."""
    return {name: environ[name] for name in sorted(environ) if name.startswith(STEERING)}


def read_driver(environ: Mapping[str, str]) -> Driver:
    """NVML's account, read in a child: a broken driver may hang or crash its callers."""
    argv = child.python("-m", "jaxpad.nvml")
    done = child.run(argv, environ=child.importable(environ), limit_s=NVML_LIMIT)
    if done.late:
        return Driver(error=f"NVML did not answer within {NVML_LIMIT:.0f} s{done.note}")
    try:
        return nvml.from_json(done.out)
    except ValueError:
        return Driver(error=f"NVML ended its process with code {done.code}")


def is_url(place: str) -> bool:
    """Whether a cache is no local folder: gs://bucket/cache, s3://…, which JAX opens itself.

    A Path makes one slash of two, so one is enough.
    """
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", place) is not None


def cache_folder(environ: Mapping[str, str]) -> str:
    """JAX's compilation cache: the user's own, else one of ours, kept apart by jaxlib version."""
    own = environ.get("JAX_COMPILATION_CACHE_DIR")
    version = devices.installed().get("jaxlib", "none")
    return own or str(paths.user_cache() / f"jax-{version}")


def _cache_problem(cache: str, environ: Mapping[str, str]) -> str | None:
    """Why JAX's cache is not used; the user's own need only be writable."""
    if is_url(cache):
        return None
    if not environ.get("JAX_COMPILATION_CACHE_DIR"):
        try:
            paths.make_cache(Path(cache))
        except OSError as error:
            return error.strerror or str(error)
    return host.unwritable(Path(cache))


def start_jax(facts: Facts, environ: Mapping[str, str]) -> Facts:
    """The facts, with how JAX comes up in a child under `environ`."""
    return replace(facts, started=devices.start(environ))


def for_check() -> Facts:
    """The facts for a check: the runner's, or gathered here when pytest is run by hand."""
    written = os.environ.get(FACTS)
    if written:
        return from_json(Path(written).read_text(encoding="utf-8"))
    facts = gather("auto", os.environ)
    return start_jax(facts, os.environ | devices.jax_platforms(facts.expected))


# What the driver says of the node before the checks, and which CUDA device is which GPU.
#
# The runner looks once, before JAX is started, and leaves it as JSON for the checks: at that
# moment nobody of ours is on the GPUs.

HIDING = ("CUDA_VISIBLE_DEVICES", "JAX_CUDA_VISIBLE_DEVICES")
NOT_ASKED: Reading[tuple[CudaDevice, ...]] = Reading(None, "not asked: NVML lists no GPU")


@dataclass(frozen=True)
class Survey:
    """A node: what NVML and the kernel say, what it shows without them, CUDA's own list.

    `hiding` is the variable that keeps GPUs from us, where one is set.
    """

    snapshot: Snapshot
    shown: health.Facts
    cuda: Reading[tuple[CudaDevice, ...]]
    hiding: str | None = None

    @cached_property
    def described(self) -> tuple[GpuDescription | None, ...]:
        """The description of each GPU that NVML lists; None for one that has none."""
        return health.describe(self.snapshot)

    @property
    def visible(self) -> frozenset[int]:
        """NVML's indices of the GPUs that are ours: all, unless a variable hides some.

        Without one, a GPU that CUDA does not list is broken, not somebody else's.
        """
        every = frozenset(gpu.index for gpu in self.snapshot.gpus)
        if self.hiding is None:
            return every
        ordinals = [device.ordinal for device in self.cuda.value or ()]
        found = frozenset(each.gpu.index for each in self.match(ordinals) if each.gpu)
        return found or every

    def match(self, ordinals: Sequence[int]) -> tuple[Match, ...]:
        """The GPU of each CUDA ordinal, by UUID or PCI bus id, never by index."""
        return nvml.match(ordinals, self.cuda, self.snapshot)

    def findings(
        self, bounds: Bounds, *, idle: bool = False, expect: int | None = None
    ) -> tuple[Finding, ...]:
        """What `jaxpad health` finds on the node and on the GPUs that are visible to us.

        `expect` is how many GPUs there should be.

        A kernel log that we may not read is left out: users and containers seldom may, and
        `jaxpad health`, run as root, asks it.
        """
        xids = bounds["xid_hours_most"]
        if not self.snapshot.kernel.xids.known:
            bounds = {**bounds, xids.name: replace(xids, value=0)}
        found = health.judge(
            self.snapshot, self.described, bounds, self.shown, expect=expect, idle=idle
        )
        return health.about(found, self.visible)

    def to_json(self) -> str:
        return json.dumps(nvml.to_plain(self))


def survey_from_json(text: str) -> Survey:
    """The survey that `Survey.to_json` wrote."""
    return nvml.revive(Survey, json.loads(text), "survey")


def look(environ: Mapping[str, str], roots: Roots | None = None, *, names: bool = False) -> Survey:
    """Look now, each library in a child with a time limit. Raises nothing.

    `names`: keep the names of processes, which may hold anything.
    """
    snapshot, shown = health.look(roots, health.LIMIT_S, environ)
    kept = snapshot if names else health.concealed(snapshot)
    cuda = nvml.cuda_devices(environ) if snapshot.gpus else NOT_ASKED
    return Survey(kept, shown, cuda, next(filter(environ.get, HIDING), None))
