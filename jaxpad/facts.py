"""All that a smoke run knows before its first check: gathered once, read by the checks.

The runner writes it as JSON for its children; a check file run by hand with pytest
gathers its own.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import devices, host, nvml, paths, platforms, profiles
from jaxpad.core import child
from jaxpad.devices import Started
from jaxpad.host import GpuEvidence
from jaxpad.nvml import Driver
from jaxpad.platforms import Cause, Expectation

FACTS = "JAXPAD_FACTS"  # path of the JSON file, for the children
STEERING = ("CUDA_", "JAX_", "JAXPAD_", "NCCL_", "NVIDIA_VISIBLE", "TF_", "XLA_")
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
    asked_environ: dict[str, str] = dataclasses.field(default_factory=dict)  # as the user had it
    started: Started = dataclasses.field(default_factory=Started)
    folder: str | None = None  # where the runner leaves what it saw; None: run by hand
    thresholds: str | None = None  # a file that changes bounds
    strict: bool = False  # a shortfall that is explained fails, too

    @property
    def gpu(self) -> bool:
        """JAX really computes on a GPU."""
        return self.started.platform in devices.GPU_PLATFORMS

    def fallback(self) -> Cause:
        """Why JAX is on the CPU although a GPU was expected."""
        return platforms.fallback(
            self.asked_environ, self.gpus, self.driver, self.packages, self.started
        )

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def from_json(text: str) -> Facts:
    """The facts that `Facts.to_json` wrote."""
    fields: dict[str, Any] = json.loads(text)
    kinds: dict[str, type] = {
        "expected": Expectation,
        "gpus": GpuEvidence,
        "driver": Driver,
        "started": Started,
    }
    return Facts(**{name: _revive(kinds.get(name), value) for name, value in fields.items()})


def _revive(kind: type | None, value: Any) -> Any:
    if kind is None:
        return value
    return kind(**{name: _tupled(entry) for name, entry in value.items()})


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def gather(
    requested: str,
    environ: Mapping[str, str],
    profile: str | None = None,
    sysfs: Path = Path("/sys"),
    dev: Path = Path("/dev"),
) -> Facts:
    """Look at the machine; JAX is not started yet (see `start_jax`)."""
    gpus, driver = host.gpu_evidence(sysfs, dev), read_driver(environ)
    cache = cache_folder(environ)
    return Facts(
        expected=platforms.expect(requested, environ, gpus, driver),
        gpus=gpus,
        driver=driver,
        packages=devices.installed(),
        cache=str(cache),
        cache_problem=host.unwritable(cache),
        profile=profile or profiles.in_force(environ),
        asked_environ=relevant(environ),
    )


def relevant(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that steer JAX, XLA, CUDA and NCCL; the others are nobody's business."""
    return {name: environ[name] for name in sorted(environ) if name.startswith(STEERING)}


def read_driver(environ: Mapping[str, str]) -> Driver:
    """NVML's account, read in a child: a broken driver may hang or crash its callers."""
    argv = child.python("-m", "jaxpad.nvml")
    done = child.run(argv, environ=paths.importable(environ), limit_s=NVML_LIMIT)
    if done.late:
        return Driver(error=f"NVML did not answer within {NVML_LIMIT:.0f} s{done.note}")
    try:
        return nvml.from_json(done.out)
    except ValueError:
        return Driver(error=f"NVML ended its process with code {done.code}")


def cache_folder(environ: Mapping[str, str]) -> Path:
    """JAX's compilation cache: the user's own, else one of ours, kept apart by jaxlib version."""
    own = environ.get("JAX_COMPILATION_CACHE_DIR")
    version = devices.installed().get("jaxlib", "none")
    return Path(own) if own else paths.user_cache() / f"jax-{version}"


def start_jax(facts: Facts, environ: Mapping[str, str]) -> Facts:
    """The facts, with how JAX comes up in a child under `environ`."""
    return dataclasses.replace(facts, started=devices.start(environ))


def for_check() -> Facts:
    """The facts for a check: the runner's, or gathered here when pytest is run by hand."""
    written = os.environ.get(FACTS)
    if written:
        return from_json(Path(written).read_text())
    facts = gather("auto", os.environ)
    return start_jax(facts, os.environ | platforms.jax_platforms(facts.expected))
