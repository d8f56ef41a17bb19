"""What a program needs of the GPU's memory."""

from __future__ import annotations

from typing import Any

from jaxpad.gpus import GpuDescription
from jaxpad.schedule._model import Memory


def memory(executable: Any, gpu: GpuDescription, code: int | None) -> Memory | None:
    """Bytes by XLA's buffer assignment, None where jaxlib does not give them.

    `code` is the size of the device code, which XLA leaves at 0 where no device loaded it.
    """
    try:
        told = executable.get_compiled_memory_stats()
    except RuntimeError:  # JaxRuntimeError: not implemented
        return None
    size = gpu.memory.size_gb
    return Memory(
        arguments=told.argument_size_in_bytes,
        outputs=told.output_size_in_bytes,
        temporaries=told.temp_size_in_bytes,
        aliased=told.alias_size_in_bytes,
        code=told.generated_code_size_in_bytes or code,
        peak=getattr(told, "peak_memory_in_bytes", 0) or None,
        available=int(size.value * 10**9) if size.value and size.confirmed else None,
    )
