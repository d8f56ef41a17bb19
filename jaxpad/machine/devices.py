"""Start JAX in a child and say what it found: the devices, or why there are none.

Run as a program (`python -m jaxpad.machine.devices`) it starts JAX and prints one JSON line.
A fatal XLA flag, a wrong plugin or a hanging driver ends that child, not the caller.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.core import child
from jaxpad.core.host import GpuEvidence
from jaxpad.core.results import UsageError
from jaxpad.nvml import Driver

PLUGINS = ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-cuda12-pjrt", "jax-cuda13-pjrt")
GPU_PLATFORMS = ("gpu", "cuda")
REFUSALS = (
    "Unknown flag",
    "interpret value",
    "Illegal value",
    "parsing failed",
    "Could not open file",
)
_MARK = "jaxpad-devices:"  # plugins print to stdout too


@dataclass(frozen=True)
class Started:
    """JAX as one process saw it come up."""

    platform: str | None = None  # "cpu" or "gpu"; None: JAX did not start
    xla: str | None = None  # the backend's own description of its XLA and CUDA build
    devices: tuple[tuple[int, str], ...] = ()  # (id, device kind)
    ordinals: tuple[int, ...] = ()  # of GPUs, as CUDA counts them: local_hardware_id
    error: str | None = None  # why JAX did not start
    log: str = ""  # what it wrote on stderr


def same_release(one: str, other: str) -> bool:
    """Whether two packages go together by their versions.

    Releases must be equal. Parts built from source on different days or with different
    suffixes (0.12.1.dev20260724+g0a1b2c3, 0.12.1.dev20260725+selfbuilt) go by their release.
    """
    from packaging.version import Version  # here: most callers only ask which platform

    first, second = Version(one), Version(other)
    if first.is_devrelease and second.is_devrelease:
        return first.release == second.release
    return first == second


def start(environ: Mapping[str, str], limit: float = 180.0) -> Started:
    """Start JAX in a child under `environ`, within `limit` seconds."""
    argv = child.python("-m", "jaxpad.machine.devices")
    done = child.run(argv, environ=child.importable(environ), limit_s=limit)
    if done.late:
        return Started(error=f"JAX did not start within {limit:.0f} s{done.note}", log=done.err)
    line = next((x for x in done.out.splitlines() if x.startswith(_MARK)), None)
    if line is None:
        return Started(error=_last_words(done.err, done.code), log=done.err)
    fields = json.loads(line.removeprefix(_MARK))
    devices = tuple((int(number), str(kind)) for number, kind in fields.pop("devices"))
    ordinals = tuple(map(int, fields.pop("ordinals", ())))
    return Started(**fields, devices=devices, ordinals=ordinals, log=done.err)


def _last_words(stderr: str, code: int) -> str:
    """Why a process died: what XLA said of its flags, else the last line of its log."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if any(any(sign in line for sign in REFUSALS) for line in lines):
        from jaxpad.flags import complaint

        return complaint(stderr)
    return lines[-1] if lines else f"JAX's process ended with code {code} and no message"


def installed(packages: tuple[str, ...] = ("jax", "jaxlib", *PLUGINS)) -> dict[str, str]:
    """The version of each of `packages` that is installed; the others are left out."""
    import importlib.metadata  # here: it takes longer to import than this module

    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _describe() -> dict[str, Any]:
    try:
        import jax
        from jax.extend import backend

        devices = jax.devices()
        client = backend.get_backend()
        return {
            "platform": devices[0].platform,
            "xla": client.platform_version,
            "devices": [(device.id, device.device_kind) for device in devices],
            "ordinals": [d.local_hardware_id for d in devices if d.platform in GPU_PLATFORMS],
        }
    except Exception as error:
        traceback.print_exc()
        return {"devices": [], "error": f"{type(error).__name__}: {error}"}


# Which platform JAX is expected on, and why it is not there.
#
# JAX falls back to the CPU with exit code 0. On a machine that has a GPU that is a
# failure, and this says what causes it.

CHOICES = ("auto", "gpu", "cpu")
INSTALL = "install the CUDA packages: pip install --require-hashes -r requirements/cuda12.txt"


@dataclass(frozen=True)
class Expectation:
    """Where JAX is to compute."""

    requested: str
    platform: str  # gpu or cpu
    why: str
    evidence: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """Where JAX is to compute and why, for the beginning of a run."""
        if self.platform == "gpu":
            return f"Expecting a GPU: {self.why}."
        return f"On the CPU: {self.why}. GPU checks are not applicable."


def require(requested: str) -> None:
    """Raises UsageError for another word than auto, gpu or cpu."""
    if requested not in CHOICES:
        raise UsageError(f"unknown platform {requested!r}: expected auto, gpu or cpu")


def expect(
    requested: str, environ: Mapping[str, str], gpus: GpuEvidence, driver: Driver
) -> Expectation:
    """What `--platform` and this machine lead one to expect.

    `auto` expects a GPU if the machine shows one or JAX_PLATFORMS names one.
    Raises UsageError for another word than auto, gpu or cpu.
    """
    require(requested)
    counted = (f"NVML counts {len(driver.names)} GPU(s)",) if driver.names else ()
    evidence = (*gpus.sentences, *counted)
    if requested != "auto":
        return Expectation(requested, requested, f"--platform {requested} asks for it", evidence)
    if evidence:
        return Expectation(requested, "gpu", "this machine shows a GPU", evidence)
    if _names_gpu(environ):
        setting = f"JAX_PLATFORMS={environ['JAX_PLATFORMS']} asks for it"
        return Expectation(requested, "gpu", setting)
    return Expectation(requested, "cpu", "this machine shows no NVIDIA GPU")


def _names_gpu(environ: Mapping[str, str]) -> bool:
    platforms = environ.get("JAX_PLATFORMS", "").split(",")
    return any(platform.startswith(GPU_PLATFORMS) for platform in platforms)


def jax_platforms(expected: Expectation) -> dict[str, str]:
    """The JAX_PLATFORMS to set for the checks: nothing where JAX is to choose itself.

    Under `auto` on a GPU machine the user's own setting stands, so that its effect shows.
    `cpu` stays in the list beside a GPU, since checks make virtual CPU devices.
    """
    if expected.requested == "gpu":
        return {"JAX_PLATFORMS": "cuda,cpu"}
    if expected.platform == "cpu":
        return {"JAX_PLATFORMS": "cpu"}
    return {}


@dataclass(frozen=True)
class Cause:
    """Why something is as it is, and what mends it."""

    reason: str
    remedy: str


def fallback(
    environ: Mapping[str, str],
    gpus: GpuEvidence,
    driver: Driver,
    packages: Mapping[str, str],
    started: Started,
) -> Cause:
    """Why JAX computes on the CPU although a GPU was expected; the first cause that fits."""
    return (
        _forbidden(environ, gpus)
        or _no_plugin(packages)
        or _other_version(packages)
        or _no_driver(gpus, driver)
        or _refused(driver, started)
    )


def _forbidden(environ: Mapping[str, str], gpus: GpuEvidence) -> Cause | None:
    platforms = environ.get("JAX_PLATFORMS")
    if platforms and not _names_gpu(environ):
        return Cause(
            f"JAX_PLATFORMS={platforms} keeps JAX off the GPU",
            "unset JAX_PLATFORMS, or say --platform cpu if the CPU is what you want",
        )
    # CDI sets NVIDIA_VISIBLE_DEVICES=void itself, beside the device nodes it brings in.
    void = () if gpus.nodes else ("void", "none")
    for name, hidden in (
        ("CUDA_VISIBLE_DEVICES", ("", "-1")),
        ("NVIDIA_VISIBLE_DEVICES", void),
    ):
        if environ.get(name) in hidden:
            return Cause(f"{name}={environ[name]!r} hides every GPU", f"unset {name}")
    return None


def _no_plugin(packages: Mapping[str, str]) -> Cause | None:
    if any(name.endswith("-plugin") for name in packages):
        return None
    return Cause("this JAX has no CUDA plugin: only the CPU packages are installed", INSTALL)


def _other_version(packages: Mapping[str, str]) -> Cause | None:
    jaxlib = packages.get("jaxlib", "0")
    odd = [
        f"{name} {version}"
        for name, version in packages.items()
        if name.startswith("jax-cuda") and not same_release(version, jaxlib)
    ]
    if not odd:
        return None
    return Cause(f"{', '.join(odd)} does not go with jaxlib {jaxlib}", INSTALL)


def _no_driver(gpus: GpuEvidence, driver: Driver) -> Cause | None:
    if gpus.nodes or gpus.kernel_driver or driver.version:
        return None
    seen = f"{len(gpus.pci)} NVIDIA device(s) on the PCI bus, but" if gpus.pci else "there is"
    return Cause(
        f"{seen} no NVIDIA kernel driver and no /dev/nvidia* node",
        "install or load the NVIDIA driver (modprobe nvidia); in a container start it with "
        "--gpus all and the NVIDIA Container Toolkit on the host",
    )


def _refused(driver: Driver, started: Started) -> Cause:
    """The driver is there and JAX could not use it: the plugin's own last error."""
    errors = [line for line in started.log.splitlines() if "Error: " in line]
    words = errors[-1].strip() if errors else "JAX gave no reason"
    nvml = f"; NVML says {driver.error}" if driver.error else ""
    return Cause(f"the CUDA plugin could not start: {words}{nvml}", _driver_remedy(words))


def _driver_remedy(words: str) -> str:
    if "Is it installed?" in words or "not found" in words:
        return INSTALL
    if "cuInit" in words or "CUDA_ERROR" in words:
        return (
            "the driver does not answer: run nvidia-smi; if it fails too, reload or reinstall "
            "the driver or reboot, and in a container check --gpus and the container toolkit"
        )
    return "read test_environment's output; `--platform cpu` tests JAX without the GPU"


if __name__ == "__main__":
    print(_MARK + json.dumps(_describe()))  # noqa: T201 - the parent reads it
