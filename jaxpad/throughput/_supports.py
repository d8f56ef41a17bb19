"""Which dtypes a device has a unit for."""

from __future__ import annotations

from typing import Any

# Compute capability from which NVIDIA's tensor cores take it:
# https://docs.nvidia.com/cuda/cuda-c-programming-guide/ (arithmetic instructions)
_SINCE = {"bf16": (8, 0), "tf32": (8, 0), "fp8": (8, 9)}


def why_not(dtype: str, platform: str, capability: str) -> str:
    """Why a dtype is not timed on a device; empty where it is.

    `capability` is the compute capability of a GPU, such as "9.0". A CPU multiplies the
    narrow dtypes by way of float32, and has nothing like TF32.
    """
    if platform == "cpu":
        return "a CPU has no TF32" if dtype == "tf32" else ""
    least = _SINCE.get(dtype, (0, 0))
    if _parts(capability) >= least:
        return ""
    return (
        f"{dtype} needs compute capability {least[0]}.{least[1]}, this GPU has "
        f"{capability or 'one that JAX does not tell'}"
    )


def capability(device: Any) -> str:
    """The compute capability of a JAX device, empty where it has none."""
    return str(getattr(device, "compute_capability", ""))


def half(platform: str, capability: str) -> str:
    """The 16-bit dtype that one computes in on this device: bf16, on older GPUs fp16."""
    return "fp16" if why_not("bf16", platform, capability) else "bf16"


def _parts(capability: str) -> tuple[int, ...]:
    return tuple(int(part) for part in capability.split(".") if part.isdigit())
