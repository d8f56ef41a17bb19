"""What XLA calls the figures of a GPU, and what is the same for all of them.

Source: https://github.com/openxla/xla/blob/main/xla/stream_executor/device_description.proto
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxpad.gpus._model import Scalar

_WHOLE = (
    *("core_count", "fpus_per_core", "threads_per_core_limit", "shared_memory_per_core"),
    *("shared_memory_per_block_optin", "l2_cache_size", "device_memory_size", "memory_bandwidth"),
    *("reserved_shared_memory_per_block", "max_blocks_per_multiprocessor", "active_links"),
    *("collective_memory_granularity", "device_address_bits", "pcie_bandwidth"),
)
_VERSIONS = (
    *("driver_version", "runtime_version", "compile_time_toolkit_version"),
    *("dnn_version", "cub_version"),
)
KINDS: Mapping[str, type] = (
    dict.fromkeys(_WHOLE, int)
    | dict.fromkeys(("clock_rate_ghz", "mem_clock_ghz"), float)
    | dict.fromkeys(_VERSIONS, str)
    | {"feature_extension": str, "ecc_enabled": bool}
)
NEEDED = (*_WHOLE[:8], "clock_rate_ghz")
UNITS = ("scalar_unit", "matrix_unit")
# The same for every NVIDIA GPU that XLA ships a target config for.
COMMON: dict[str, Scalar] = {
    "threads_per_block_limit": 1024,
    "threads_per_warp": 32,
    "shared_memory_per_block": 49152,
    "block_dim_limit_x": 2147483647,
    "block_dim_limit_y": 65535,
    "block_dim_limit_z": 65535,
    "thread_dim_limit_x": 1024,
    "thread_dim_limit_y": 1024,
    "thread_dim_limit_z": 64,
    "registers_per_core_limit": 65536,
    "registers_per_block_limit": 65536,
}
# xla.PrimitiveType; numbers of the wire format never change.
PRIMITIVE_TYPES = dict(
    (
        *(("s8", 2), ("s32", 4), ("u8", 6), ("u32", 8), ("f16", 10), ("f32", 11), ("f64", 12)),
        *(("bf16", 16), ("f8e5m2", 19), ("f8e4m3fn", 20), ("f8e4m3b11fnuz", 23)),
        *(("f8e5m2fnuz", 24), ("f8e4m3fnuz", 25), ("f8e4m3", 28), ("f8e3m4", 29)),
        *(("f4e2m1fn", 32), ("f8e8m0fnu", 33), ("f6e3m2fn", 35), ("f6e2m3fn", 36)),
    )
)
EXTENSIONS = ("NONE", "ACCELERATED_FEATURES", "FAMILY_COMPATIBLE_FEATURES")
