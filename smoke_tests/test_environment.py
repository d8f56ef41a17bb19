"""Environment: versions that go together, a JAX that starts, flags that arrive, folders to write.

This file imports no JAX: it must give its answers where JAX cannot start.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from jaxpad import checks, flags, profiles
from jaxpad.core import host
from jaxpad.doctor import model
from jaxpad.machine import devices
from jaxpad.machine.facts import MEANING, Facts, is_url

FROM_FILE = "put the flags themselves into XLA_FLAGS to have them judged"
MATCHING = (
    "install one matching set: pip install --require-hashes -r requirements/cpu.txt, "
    "or cuda12.txt where there is a GPU"
)
ALLOCATORS = ("default", "platform", "bfc", "cuda_async", "vmm", "address")
_FALSE = ("0", "false", "False")
MEMORY_FRACTION = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")


def test_jax_starts(facts: Facts) -> None:
    """JAX starts in this environment, and no variable changes what it does."""
    if facts.steered:
        raise checks.Failed(
            f"{facts.steered} changes what JAX does: the checks would judge another JAX",
            _unset([each.partition("=")[0] for each in facts.steered.split(", ")]),
        )
    cause, error = facts.not_started, facts.started.error or ""
    if cause:
        remedy = cause.remedy or _start_remedy(error)
        raise checks.Failed(f"JAX does not start: {cause.reason}", remedy)


def _unset(names: list[str]) -> str:
    """JAX_PLATFORMS and its older twin are no matter of meaning: there is nothing to allow."""
    meant = [name for name in names if name in MEANING]
    own = f"; if it is meant, jaxpad smoke --allow {meant[0]}" if meant else ""
    return f"unset {' '.join(names)}{own}"


def _start_remedy(error: str) -> str:
    if any(sign in error for sign in devices.REFUSALS):
        return "fix XLA_FLAGS: test_flags_accepted says what is wrong with it"
    if any(word in error for word in ("jaxlib", "ModuleNotFoundError", "ImportError")):
        return MATCHING
    if "Unable to initialize backend" in error:
        return "unset JAX_PLATFORMS, or install the packages of the platform it names"
    return "read the log in this check's output; a driver problem shows in nvidia-smi too"


def test_versions_match(facts: Facts, measure: Callable[..., None]) -> None:
    """jax, jaxlib and the CUDA plugins are of one version."""
    for name, version in facts.packages.items():
        measure(name, version)
    assert {"jax", "jaxlib"} <= facts.packages.keys(), "jax or jaxlib is not installed"
    jaxlib = facts.packages["jaxlib"]
    odd = {n: v for n, v in facts.packages.items() if not devices.same_release(v, jaxlib)}
    if odd:
        words = ", ".join(f"{name} {version}" for name, version in odd.items())
        found = f"{words} beside jaxlib {jaxlib}"
        raise checks.Failed(found, MATCHING)
    half = devices.half_plugin(facts.packages)
    if half:
        raise checks.Failed(half.reason, half.remedy)


def test_driver_recent(facts: Facts, measure: Callable[..., None]) -> None:
    """The NVIDIA driver is recent enough for the CUDA of the installed plugin.

    Oldest drivers: `jaxpad.doctor.model`, from NVIDIA's release notes.
    """
    if facts.expected.platform != "gpu":
        checks.not_applicable(f"no GPU is expected: {facts.expected.why}")
    if facts.driver.version is None:
        raise checks.Inconclusive(f"NVML gives no driver version: {facts.driver.error}")
    measure("driver", facts.driver.version)
    for cuda, oldest in model.OLDEST_DRIVERS.items():
        older = model.older_than(facts.driver.version, oldest)
        if f"jax-cuda{cuda}-plugin" in facts.packages and older:
            found = f"driver {facts.driver.version} is older than {oldest}, which CUDA {cuda} needs"
            raise checks.Failed(
                found, "update the driver, or install the packages of an older CUDA"
            )


def test_memory_settings(measure: Callable[..., None]) -> None:
    """The memory settings in force are ones that JAX's GPU client understands.

    https://docs.jax.dev/en/latest/gpu_memory_allocation.html
    """
    fractions = [name for name in MEMORY_FRACTION if os.environ.get(name)]
    for name in (*fractions, "XLA_PYTHON_CLIENT_PREALLOCATE", "XLA_PYTHON_CLIENT_ALLOCATOR"):
        measure(name, os.environ.get(name, "unset"))
    if len(fractions) == 2:
        raise checks.Failed(
            f"{' and '.join(fractions)} are both set, and JAX refuses that", f"unset {fractions[1]}"
        )
    _check_preallocate(os.environ.get("XLA_PYTHON_CLIENT_PREALLOCATE", ""))
    for name in fractions:
        _check_fraction(name, os.environ[name])
    allocator = os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default").lower()
    if allocator not in ALLOCATORS:
        known = ", ".join(ALLOCATORS)
        raise checks.Failed(
            f"XLA_PYTHON_CLIENT_ALLOCATOR={allocator} is not one of {known}", "correct or unset it"
        )


def _check_preallocate(text: str) -> None:
    """JAX takes every word but three for true (jaxlib's xla_client.py)."""
    if text.strip().lower() in ("false", "off", "no", "n", "f", "0") and text not in _FALSE:
        raise checks.Failed(
            f"XLA_PYTHON_CLIENT_PREALLOCATE={text} is true to JAX, which knows only "
            f"{', '.join(_FALSE)} as false: the memory is preallocated",
            "XLA_PYTHON_CLIENT_PREALLOCATE=false",
        )


def _check_fraction(name: str, text: str) -> None:
    try:
        sound = float(text) > 0
    except ValueError:
        sound = False
    if not sound:
        raise checks.Failed(f"{name}={text} is not a number above 0", f"correct or unset {name}")


def test_flags_not_cut() -> None:
    """XLA reads XLA_FLAGS to its end: a stray word would silently drop every flag after it."""
    parsed = profiles.parse(os.environ.get("XLA_FLAGS", ""))
    if parsed.file is not None:
        found = f"XLA_FLAGS is {parsed.file!r}, which XLA takes for the path of a file of flags"
        if Path(parsed.file).is_file():
            raise checks.Inconclusive(f"{found}: they are in force, and not looked at", FROM_FILE)
        raise checks.Failed(found, "put the flags themselves into XLA_FLAGS, each with its dashes")
    if parsed.dropped:
        found = f"XLA stops at {parsed.stray!r} in XLA_FLAGS and drops the rest: {parsed.dropped}"
        raise checks.Failed(found, flags.stray_remedy(parsed))


def test_flags_accepted() -> None:
    """The installed XLA accepts every flag in XLA_FLAGS: one it does not know ends the process."""
    text = os.environ.get("XLA_FLAGS", "")
    accepted = flags.accept(text, checks.CHILD_S)
    if accepted.late:
        raise checks.late("XLA's parser", checks.CHILD_S)
    if accepted.unknown:
        raise checks.Failed(
            "; ".join(map(flags.unknown, accepted.unknown)), "correct or remove what is named"
        )
    if not accepted.ok:
        raise checks.Failed(
            accepted.message, "correct or remove the flag; invoke profile.check explains a profile"
        )


def test_flags_in_effect(facts: Facts, measure: Callable[..., None]) -> None:
    """The options a program is compiled with are those that XLA_FLAGS says."""
    if facts.not_started:
        raise checks.Inconclusive(
            f"no program can be compiled: JAX does not start: {facts.not_started.reason}",
            "fix what test_jax_starts names, then run again",
        )
    if Path(os.environ.get("XLA_FLAGS", "") or "/").is_file():
        raise checks.Inconclusive("XLA_FLAGS names a file, which is not looked at", FROM_FILE)
    effective = flags.effective(os.environ, checks.CHILD_S)
    if effective.late:
        raise checks.late("a compile of a tiny program", checks.CHILD_S)
    for flag in effective.flags:
        measure(flag.name, flag.value)
    if not effective.ok:
        remedy = "fix what is named; invoke profile.check says more of a flag in a profile"
        raise checks.Failed(effective.message, remedy)


def test_cache_writable(facts: Facts, measure: Callable[..., None]) -> None:
    """JAX's compilation cache can be written: else every process compiles everything again."""
    measure("compilation cache", facts.cache)
    if is_url(facts.cache):
        raise checks.Inconclusive(
            f"the compilation cache {facts.cache} is no local folder, and is not tried here",
            "look after a run of your own whether programs are there; JAX needs etils for it",
        )
    if facts.cache_problem:
        raise checks.Failed(
            f"the compilation cache {facts.cache} cannot be written: {facts.cache_problem}",
            "free space there, or set JAX_COMPILATION_CACHE_DIR to a folder that can be written",
        )


def test_temporary_writable() -> None:
    """The temporary folder takes a file: XLA and ptxas compile through it.

    Python itself would quietly move on to another folder; they do not.
    """
    folder = Path(os.environ.get("TMPDIR", "/tmp"))
    problem = host.unwritable(folder) if folder.is_dir() else "there is no such folder"
    if problem:
        raise checks.Failed(
            f"{folder} cannot be written: {problem}", "free space there or set TMPDIR"
        )
