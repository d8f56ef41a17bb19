"""gemm: a square matrix product, the work that a GPU's peak rate is quoted for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jaxpad.throughput._program import Answer, Program, differs, spread
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs._train import struct

# By the names of jaxpad.gpus.DTYPES: operands, result.
OPERANDS = {
    "bf16": jnp.bfloat16,
    "fp16": jnp.float16,
    "tf32": jnp.float32,
    "fp32": jnp.float32,
    "fp8": jnp.float8_e4m3fn,
}
_RESULT = OPERANDS | {"fp8": jnp.bfloat16}
# Without these XLA multiplies float32 in TF32 where the GPU has it, or as it likes.
_ALGORITHM = {
    "tf32": lax.DotAlgorithmPreset.TF32_TF32_F32,
    "fp32": lax.DotAlgorithmPreset.F32_F32_F32,
}
# XLA's Triton may multiply fp8 in fp16: it does for some tiles on H100 and B200 (jaxlib 0.10).
_CUBLASLT = {"xla_gpu_enable_triton_gemm": False}


@dataclass(frozen=True)
class Gemm(Program):
    """X (side, side) times Y (side, side) in `dtype`, a name of `jaxpad.gpus.DTYPES`.

    All sum in fp32. fp8 is float8_e4m3fn in and bf16 out, its product times two scales, as
    training in fp8 has it; Y lies transposed there, since the fp8 units of Ada and Hopper
    read no other layout and XLA would add a kernel that transposes it.
    """

    dtype: str
    side: int

    name = "gemm"
    unit = "TFLOP/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return self.dtype

    @property
    def work(self) -> float:
        """TFLOP of one call: side**3 multiplications and as many additions."""
        return 2 * self.side**3 / 1e12

    @property
    def intensity(self) -> float:
        """FLOP a byte where each operand is read once and the result written once."""
        read, written = (jnp.dtype(kind[self.dtype]).itemsize for kind in (OPERANDS, _RESULT))
        return float(2 * self.side / (2 * read + written))

    def build(self, mesh: Mesh) -> Built:
        """Two operands (side, side); for fp8 also their scales, two fp32 scalars."""
        matrix = struct(mesh, (self.side, self.side), OPERANDS[self.dtype])
        if self.dtype == "fp8":
            scale = struct(mesh, (), jnp.float32)
            jitted = jax.jit(_scaled, compiler_options=_CUBLASLT)
            return Built(jitted, (matrix, matrix, scale, scale))

        def product(x: jax.Array, y: jax.Array) -> jax.Array:
            return jnp.matmul(x, y, precision=_ALGORITHM.get(self.dtype))

        return Built(jax.jit(product), (matrix, matrix))

    def wrong(self, answer: Answer) -> str:
        """Eight rows, held to the product in float64."""
        rows = spread(self.side)
        x, y, scale = self._exact(answer)
        expected = scale * (x[rows].astype(np.float64) @ y.astype(np.float64))
        return differs(answer.result[rows].astype(np.float64), expected, self._bound(answer, rows))

    def bound(self, answer: Answer) -> Any:
        """The most that rounding can change: sums, and the result to its own dtype.

        An error of `_sums` |x_i| |y_j| for row i and column j, which Cauchy and Schwarz put
        above that of Higham, Accuracy and Stability of Numerical Algorithms, section 3.1.
        """
        return self._bound(answer, slice(None))

    def _bound(self, answer: Answer, rows: Any) -> Any:
        x, y, scale = self._exact(answer)
        lengths = np.outer(np.linalg.norm(x[rows], axis=1), np.linalg.norm(y, axis=0))
        epsilon = float(jnp.finfo(_RESULT[self.dtype]).eps)
        return scale * _sums(self.dtype, self.side) * lengths + 2 * epsilon * np.abs(
            answer.result[rows].astype(np.float32)
        )

    def _exact(self, answer: Answer) -> tuple[Any, Any, float]:
        x, y = (one.astype(np.float32) for one in answer.operands[:2])
        if self.dtype != "fp8":
            return x, y, 1.0
        return x, y.T, float(np.prod(np.asarray(answer.operands[2:], np.float64)))


def _scaled(x: jax.Array, y: jax.Array, x_scale: jax.Array, y_scale: jax.Array) -> jax.Array:
    transposed = (((1,), (1,)), ((), ()))
    product = lax.dot_general(x, y, transposed, preferred_element_type=jnp.bfloat16)
    return product * (x_scale * y_scale).astype(jnp.bfloat16)


def _sums(dtype: str, side: int) -> float:
    """The relative error of a sum of `side` products.

    Tensor cores cut off where a CPU rounds: 2**-23 a term. TF32 keeps 10 bits of each
    operand. Hopper sums fp8 in about 14 bits, 32 products at a time
    (https://arxiv.org/abs/2412.19437, section 3.3.2); partial sums of normal operands are
    below 4 |x_i| |y_j| / sqrt(side).
    """
    if dtype == "fp8":
        return float(side / 32 * 2.0**-13 * 4 / side**0.5 + side * 2.0**-24)
    return float(side * 2.0**-23 + (2.0**-9 if dtype == "tf32" else 0.0))
