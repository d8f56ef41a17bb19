"""Read a compiled program: kernels, collectives, overlap, memory, thunks, and a digest.

    compiled = aot.compile_for(gpu, step, args, compiler_options={"xla_dump_to": str(folder)})
    program = schedule.read(compiled.runtime_executable(), gpu, dump=folder)

Nothing is run and nothing is timed: times are a roofline model's. What each number means
and what cannot be read is in docs/schedule.md.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later
from jaxpad.schedule.comparison import Same, compare, same
from jaxpad.schedule.model import (
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
    UnreadableError,
)

if TYPE_CHECKING:
    from jaxpad.schedule.reading import read

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


# It brings numpy and protobuf, which whoever holds results to each other does without.
__getattr__ = later(__name__, {"read": ".reading"})
