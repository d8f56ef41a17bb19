"""Read a compiled program: kernels, collectives, overlap, memory, thunks, and a digest.

    compiled = aot.compile_for(gpu, step, args, compiler_options={"xla_dump_to": str(folder)})
    program = schedule.read(compiled.runtime_executable(), gpu, dump=folder)

Nothing is run and nothing is timed: times are a roofline model's. What each number means
and what cannot be read is in docs/schedule.md.
"""

from typing import TYPE_CHECKING, Any

from jaxpad.schedule._compare import compare
from jaxpad.schedule._model import (
    Between,
    Collective,
    Digest,
    Kernels,
    Memory,
    Overlap,
    Part,
    Program,
    RooflineFigure,
    Thunks,
)
from jaxpad.schedule._records import UnreadableError
from jaxpad.schedule._same import Same, same

if TYPE_CHECKING:
    from jaxpad.schedule._read import read

__all__ = [
    "Between",
    "Collective",
    "Digest",
    "Kernels",
    "Memory",
    "Overlap",
    "Part",
    "Program",
    "RooflineFigure",
    "Same",
    "Thunks",
    "UnreadableError",
    "compare",
    "read",
    "same",
]


def __getattr__(name: str) -> Any:
    """`read` brings numpy and protobuf, which whoever holds results to each other does without."""
    if name == "read":
        from jaxpad.schedule._read import read

        return read
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
