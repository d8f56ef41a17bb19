"""What every flag of every profile does, for each GPU, workload and jaxlib: the evidence.

    found = matrix.read()                    # configs/xla/matrix.json
    found.effects_of("base", jaxlib="0.12.0.1")

`invoke profile.matrix` computes the part of the installed jaxlib and puts it in place of
the one that was there. Nothing here imports JAX in the calling process.
"""

from jaxpad.matrix._again import Difference, Draw, again, drawn
from jaxpad.matrix._compute import compute
from jaxpad.matrix._file import kept, place, read, write
from jaxpad.matrix._model import Build, CellRow, Matrix
from jaxpad.matrix._picture import svg
from jaxpad.matrix._plan import GPUS, PEERS, peers, questions, shipped
from jaxpad.matrix._proven import unproven
from jaxpad.matrix._tables import (
    architectures,
    builds,
    exposed_us,
    latency_hiding,
    model_table,
    peers_table,
    shipped_table,
    triton_gemm_any,
)

__all__ = [
    "GPUS",
    "PEERS",
    "Build",
    "CellRow",
    "Difference",
    "Draw",
    "Matrix",
    "again",
    "architectures",
    "builds",
    "compute",
    "drawn",
    "exposed_us",
    "kept",
    "latency_hiding",
    "model_table",
    "peers",
    "peers_table",
    "place",
    "questions",
    "read",
    "shipped",
    "shipped_table",
    "svg",
    "triton_gemm_any",
    "unproven",
    "write",
]
