"""Read a compiled program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jaxpad.gpus import GpuDescription
from jaxpad.schedule import _executable, _thunks
from jaxpad.schedule._digest import cubins, digest
from jaxpad.schedule._hlo import Module
from jaxpad.schedule._kernels import kernels
from jaxpad.schedule._memory import memory
from jaxpad.schedule._model import Program
from jaxpad.schedule._overlap import Reader
from jaxpad.schedule._records import UnreadableError
from jaxpad.schedule._roofline import Roofline

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
    module = Module(_executable.module(executable))
    places = tuple(module.placed())
    held = _try(lambda: _executable.serialised(executable))
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
        thunks=_thunks.thunks(
            there.thunks if there else None, None if isinstance(lines, UnreadableError) else lines
        ),
        digest=digest(module, held, lines),
        seconds=seconds,
    )


def _final(dump: Path | None, name: str) -> tuple[_thunks.Line, ...]:
    if dump is None:
        raise UnreadableError("no dump was given; compile with xla_dump_to and give its folder")
    return _thunks.final(dump, name)


def _try(work: Callable[[], T]) -> T | UnreadableError:
    try:
        return work()
    except UnreadableError as error:
        return error
