"""Start JAX in a child and say what it found: the devices, or why there are none.

Run as a program (`python -m jaxpad.devices`) it starts JAX and prints one JSON line.
A fatal XLA flag, a wrong plugin or a hanging driver ends that child, not the caller.
"""

from __future__ import annotations

import importlib.metadata
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from jaxpad import paths
from jaxpad.core import child

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
    first, second = Version(one), Version(other)
    if first.is_devrelease and second.is_devrelease:
        return first.release == second.release
    return first == second


def start(environ: Mapping[str, str], limit: float = 180.0) -> Started:
    """Start JAX in a child under `environ`, within `limit` seconds."""
    argv = child.python("-m", "jaxpad.devices")
    done = child.run(argv, environ=paths.importable(environ), limit_s=limit)
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


if __name__ == "__main__":
    print(_MARK + json.dumps(_describe()))  # noqa: T201 - the parent reads it
