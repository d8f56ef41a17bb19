"""How large the programs are: as large as fills a device, and as fits its free memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_MIB, _GIB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Scale:
    """Sizes for one kind of device; those in bytes are of one vector or message."""

    side: int  # of a GEMM in fp32 and tf32
    narrow_side: int  # of a GEMM in the narrower dtypes
    vector: int
    transfer: int
    attention: tuple[int, int, int, int]  # batch, sequence, heads, depth
    batch: int  # sequences of a training step
    tiny: bool  # a model for a CPU
    messages: tuple[int, ...]


def free_bytes(device: Any) -> int:
    """What JAX may still allocate on a device; 2 GiB where it does not say, as on a CPU."""
    stats: dict[str, int] = device.memory_stats() or {}
    return max(0, stats.get("bytes_limit", 2 * _GIB) - stats.get("bytes_in_use", 0))


def scale(platform: str, free: int) -> Scale:
    """Sizes for a device of a platform, `cpu` or a GPU's, with `free` bytes.

    A GPU gets GEMMs of 8192, vectors of 512 MiB and messages of up to 1 GiB, half of each
    where less than 8 GiB are free, a quarter below 3 GiB. At most four calls are in flight,
    so a triad takes 7 vectors at once.
    """
    if platform == "cpu":
        return Scale(1024, 512, 32 * _MIB, 16 * _MIB, (1, 512, 4, 64), 2, True, (_MIB,))
    step = 1 if free >= 8 * _GIB else 2 if free >= 3 * _GIB else 4
    messages = tuple(size for size in _MESSAGES if size <= _GIB // step)
    attention = (4 // step, 2048, 16, 128)
    side = 8192 // step
    return Scale(
        side,
        side,
        512 * _MIB // step,
        256 * _MIB // step,
        attention,
        max(1, 8 // step**2),
        False,
        messages,
    )


_MESSAGES = (_MIB, 16 * _MIB, 64 * _MIB, 256 * _MIB, _GIB)
