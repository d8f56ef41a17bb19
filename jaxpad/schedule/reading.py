"""Read a compiled program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxpad.gpus import GpuDescription
from jaxpad.schedule import thunks
from jaxpad.schedule.cost import Roofline
from jaxpad.schedule.digests import cubins, digest
from jaxpad.schedule.hlo import Module
from jaxpad.schedule.model import Memory, Program, UnreadableError
from jaxpad.schedule.overlap import Reader, kernels

# What a program needs of the GPU's memory.


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


T = TypeVar("T")


def read(
    executable: Any,
    gpu: GpuDescription,
    dump: Path | None = None,
    seconds: float | None = None,
    devices_per_host: int | None = None,
) -> Program:
    """Read what `jax.stages.Compiled.runtime_executable()` returned.

    `dump` is the folder of the compile's own `xla_dump_to`, which alone holds the final
    thunks: without it the digest lacks that part. `seconds` is what the compile took.
    `devices_per_host` bounds what NVLink reaches; None means that all devices are in one
    host.

    A part that cannot be read has its reason in the digest. Raises UsageError where the CUDA
    plugin is not installed, UnreadableError where the executable holds no single HLO module.
    """
    module = Module(thunks.module(executable))
    places = tuple(module.placed())
    held = _try(lambda: thunks.serialised(executable))
    lines = _try(lambda: _final(dump, module.proto.name))
    there = None if isinstance(held, UnreadableError) else held
    reader = Reader(module, Roofline(gpu, devices_per_host))
    collectives = reader.collectives(places)
    return Program(
        gpu=gpu.name,
        kernels=kernels(module, places),
        collectives=collectives,
        overlap=reader.overlap(places, collectives),
        memory=memory(executable, gpu, sum(map(len, set(cubins(there)))) if there else None),
        thunks=thunks.thunks(
            there.thunks if there else None, None if isinstance(lines, UnreadableError) else lines
        ),
        digest=digest(module, held, lines),
        seconds=seconds,
    )


def _final(dump: Path | None, name: str) -> tuple[thunks.Line, ...]:
    if dump is None:
        raise UnreadableError("no dump was given; compile with xla_dump_to and give its folder")
    return thunks.final(dump, name)


def _try(work: Callable[[], T]) -> T | UnreadableError:
    try:
        return work()
    except UnreadableError as error:
        return error
