"""Start JAX in a child and say what it found: the devices, or why there are none.

Run as a program (`python -m jaxpad.machine.devices`) it starts JAX and prints one JSON line.
A fatal XLA flag, a wrong plugin or a hanging driver ends that child, not the caller.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
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
    requested: str,
    environ: Mapping[str, str],
    gpus: GpuEvidence,
    driver: Driver,
    count: int | None = None,
) -> Expectation:
    """What `--platform`, `--expect` and this machine lead one to expect.

    `auto` expects a GPU if the machine shows one, or JAX_PLATFORMS or `count` asks for one.
    Raises UsageError for another word than auto, gpu or cpu.
    """
    require(requested)
    counted = (f"NVML counts {len(driver.names)} GPU(s)",) if driver.names else ()
    evidence = (*gpus.sentences, *counted)
    if requested != "auto":
        return Expectation(requested, requested, f"--platform {requested} asks for it", evidence)
    if evidence:
        return Expectation(requested, "gpu", "this machine shows a GPU", evidence)
    if count:
        return Expectation(requested, "gpu", f"--expect {count} asks for it")
    if _names_gpu(environ):
        setting = f"JAX_PLATFORMS={environ['JAX_PLATFORMS']} asks for it"
        return Expectation(requested, "gpu", setting)
    return Expectation(requested, "cpu", "this machine shows no NVIDIA GPU")


def _names_gpu(environ: Mapping[str, str]) -> bool:
    platforms = environ.get("JAX_PLATFORMS", "").split(",")
    return any(platform.startswith(GPU_PLATFORMS) for platform in platforms)


def jax_platforms(expected: Expectation) -> dict[str, str]:
    """The JAX_PLATFORMS to set for the checks: nothing on a GPU, where JAX is to choose itself.

    Named by us, a platform that fails would raise: JAX would name a variable that the user
    never set. Left to itself JAX logs the cause and goes on, and the user's own setting shows.
    """
    return {"JAX_PLATFORMS": "cpu"} if expected.platform == "cpu" else {}


@dataclass(frozen=True)
class Cause:
    """Why something is as it is, and how to fix it."""

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
        or _hidden(environ, driver)
        or _no_plugin(packages)
        or half_plugin(packages)
        or _other_version(packages)
        or _no_driver(gpus, driver)
        or _refused(environ, driver, started)
    )


def _forbidden(environ: Mapping[str, str], gpus: GpuEvidence) -> Cause | None:
    platforms = environ.get("JAX_PLATFORMS")
    older = environ.get("JAX_PLATFORM_NAME", "")  # counts only where the other is not set
    if platforms and not _names_gpu(environ):
        return Cause(
            f"JAX_PLATFORMS={platforms} keeps JAX off the GPU",
            "unset JAX_PLATFORMS, or say --platform cpu if the CPU is what you want",
        )
    if older and not platforms and not older.lower().startswith(GPU_PLATFORMS):
        return Cause(
            f"JAX_PLATFORM_NAME={older} keeps JAX off the GPU",
            "unset JAX_PLATFORM_NAME, or say --platform cpu if the CPU is what you want",
        )
    # CDI sets NVIDIA_VISIBLE_DEVICES=void itself, beside the device nodes it brings in.
    shown = environ.get("NVIDIA_VISIBLE_DEVICES")
    if shown in ("void", "none", "") and not gpus.nodes:
        return Cause(
            f"NVIDIA_VISIBLE_DEVICES={shown!r} hides every GPU", "unset NVIDIA_VISIBLE_DEVICES"
        )
    return None


def _hidden(environ: Mapping[str, str], driver: Driver) -> Cause | None:
    """CUDA_VISIBLE_DEVICES leaves no GPU: CUDA stops at the first entry that names none."""
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return None
    first = value.split(",")[0].strip()
    if first == "NoDevFiles":
        words = f"CUDA_VISIBLE_DEVICES={value} hides every GPU: Slurm gave this job none"
        return Cause(words, "ask Slurm for a GPU (--gres=gpu:1)")
    if first.isdecimal() and (not driver.names or int(first) < len(driver.names)):
        return None
    if first.startswith(("GPU-", "MIG-")):
        return None  # a UUID: whether there is such a GPU, the driver says
    many = f": the driver counts {len(driver.names)}" if first.isdecimal() else ""
    return Cause(f"CUDA_VISIBLE_DEVICES={value!r} hides every GPU{many}", _UNSET_VISIBLE)


_UNSET_VISIBLE = "unset CUDA_VISIBLE_DEVICES"


def _no_plugin(packages: Mapping[str, str]) -> Cause | None:
    if any(name in PLUGINS for name in packages):
        return None
    return Cause("this JAX has no CUDA plugin: only the CPU packages are installed", INSTALL)


def half_plugin(packages: Mapping[str, str]) -> Cause | None:
    """A CUDA plugin is two packages, and JAX passes over one alone without a word."""
    for one in (name for name in PLUGINS if name in packages):
        stem, _, half = one.rpartition("-")
        other = f"{stem}-{'pjrt' if half == 'plugin' else 'plugin'}"
        if other not in packages:
            return Cause(
                f"{other} is missing beside {one} {packages[one]}",
                f"pip install {other}=={packages[one]}",
            )
    return None


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


def _refused(environ: Mapping[str, str], driver: Driver, started: Started) -> Cause:
    """The driver is there and JAX could not use it: the plugin's own last error."""
    words = _plugin_words(f"{started.log}\n{started.error or ''}")
    nvml = f"; NVML says {driver.error}" if driver.error else ""
    reason = f"the CUDA plugin could not start: {words or 'JAX gave no reason'}{nvml}"
    return Cause(reason, _driver_remedy(words, environ))


_ISSUES = "issues with CUDA components:"
_CLASSIC = ("CUDA backend failed to initialize", "failed call to cuInit", _ISSUES)
_LOG_LINE = re.compile(
    r"An NVIDIA GPU may be|Traceback |During handling|The above exception| |[IWEF]\d{4} |\w+:\d{4}-"
)
_MOST_LINES = 9


UNKNOWN_BACKEND = "is not in the list of known backends"  # of a plugin that had not come up


def _plugin_words(log: str) -> str:
    """The plugin's last error with the lines that belong to it, on one line.

    That JAX then does not know the backend is what comes of it.
    """
    lines = log.splitlines()
    every = [at for at, line in enumerate(lines) if _is_error(line)]
    told = [at for at in every if UNKNOWN_BACKEND not in lines[at]] or every
    if not told:
        return ""
    whole = [lines[told[-1]].strip()]
    for line in lines[told[-1] + 1 :][:_MOST_LINES]:
        if _LOG_LINE.match(line) or _is_error(line):
            break
        whole += [line.strip()] if line.strip() and line.strip() not in whole else []
    return " ".join(whole)


def _is_error(line: str) -> bool:
    return "Error: " in line or any(sign in line for sign in _CLASSIC)


_FABRIC = (
    "start the fabric manager of the driver's own version (systemctl start "
    "nvidia-fabricmanager), and see nvidia-smi -q -i 0 for the state of the fabric"
)
_COMPAT = (
    "the cuda-compat library (libcuda.so of another driver) is found first: remove its folder "
    "from LD_LIBRARY_PATH or uninstall cuda-compat; after an update of the driver, reboot"
)
_OLD_DRIVER = "update the driver, or install the packages of an older CUDA"
_NO_NODES = (
    "give this process a GPU: in a container --gpus all, in a Slurm job --gres=gpu:1; "
    "nvidia-smi -L lists what the driver sees"
)
# What the driver or the plugin says, and how to fix it; the first that is found counts.
_SIGNS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("CUDA_ERROR_SYSTEM_NOT_READY", "system not yet initialized", "error 802"), _FABRIC),
    (
        (
            "CUDA_ERROR_COMPAT_NOT_SUPPORTED",
            "forward compatibility was attempted",
            "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
            "driver / cuda driver combination",
        ),
        _COMPAT,
    ),
    (
        ("Found CUDA version", "CUDA_ERROR_INSUFFICIENT_DRIVER", "driver version is insufficient"),
        _OLD_DRIVER,
    ),
    (("CUDA_ERROR_NO_DEVICE", "no CUDA-capable device"), _NO_NODES),
)


def _driver_remedy(words: str, environ: Mapping[str, str]) -> str:
    if "CUDA_ERROR_NO_DEVICE" in words and environ.get("CUDA_VISIBLE_DEVICES"):
        value = environ["CUDA_VISIBLE_DEVICES"]
        return f"CUDA_VISIBLE_DEVICES={value} names no GPU here (nvidia-smi -L): {_UNSET_VISIBLE}"
    found = (remedy for signs, remedy in _SIGNS if any(sign in words for sign in signs))
    return next(found, "") or _library_remedy(words, environ)


def _library_remedy(words: str, environ: Mapping[str, str]) -> str:
    older = _cuda_folders(environ)
    outdated = re.search(r"Outdated (\S+) installation", words)
    if older and (outdated or _ISSUES in words or "Is it installed?" in words):
        return (
            f"LD_LIBRARY_PATH puts the CUDA of {older} before the installed packages: "
            f"unset LD_LIBRARY_PATH; if that does not help, {INSTALL}"
        )
    if outdated:
        return f"upgrade the package that brings {outdated[1]}, or {INSTALL}"
    if _ISSUES in words or "Is it installed?" in words or "not found" in words:
        return INSTALL
    if "cuInit" in words or "CUDA_ERROR" in words:
        return (
            "the driver does not answer: run nvidia-smi; if it fails too, reload or reinstall "
            "the driver or reboot, and in a container check --gpus and the container toolkit"
        )
    return "read test_environment's output; `--platform cpu` tests JAX without the GPU"


def _cuda_folders(environ: Mapping[str, str]) -> str:
    """The folders in LD_LIBRARY_PATH that hold a CUDA by their name or content."""
    folders = filter(None, environ.get("LD_LIBRARY_PATH", "").split(":"))
    return ", ".join(one for one in folders if "cuda" in one.lower() or _of_toolkit(Path(one)))


def _of_toolkit(folder: Path) -> bool:
    """Whether it has a CUDA library; libcuda is the driver's."""
    return any(not file.name.startswith("libcuda.") for file in folder.glob("libcu*.so*"))


if __name__ == "__main__":
    print(_MARK + json.dumps(_describe()))  # noqa: T201 - the parent reads it
