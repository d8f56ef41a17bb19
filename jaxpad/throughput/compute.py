"""gemm: a square matrix product, the work that a GPU's peak rate is quoted for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jaxpad.throughput import program
from jaxpad.throughput.program import Answer, Program, Step, built, differs, spread
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs import transformer
from jaxpad.workloads.programs._models import (
    Layers,
    cross_entropy,
    rms_norm,
    sharding_of,
    struct,
    training_step,
    weights,
)

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


# attention: `jax.nn.dot_product_attention`, as XLA compiles it.


@dataclass(frozen=True)
class Attention(Program):
    """Every query sees every key: q, k, v (batch, sequence, heads, depth) in `dtype`.

    XLA's own form, which keeps the scores in memory: JAX's default, and the one that can be
    compiled, and so read, without a GPU. cuDNN's fused form (implementation="cudnn") is
    faster; a rate here is no bound on it.
    """

    dtype: str
    batch: int
    sequence: int
    heads: int = 16
    depth: int = 128

    name = "attention"
    unit = "TFLOP/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return self.dtype

    @property
    def work(self) -> float:
        """TFLOP of one call: two products of 2 sequence**2 depth for each head, no softmax.

        https://arxiv.org/abs/2307.08691, section 4.1, counts alike.
        """
        return 4 * self.batch * self.heads * self.sequence**2 * self.depth / 1e12

    @property
    def intensity(self) -> float:
        """FLOP a byte where q, k and v are read once, the result written once, no scores."""
        return float(self.sequence / jnp.dtype(OPERANDS[self.dtype]).itemsize)

    def build(self, mesh: Mesh) -> Built:
        """q, k and v."""
        shape = (self.batch, self.sequence, self.heads, self.depth)
        args = (struct(mesh, shape, OPERANDS[self.dtype]),) * 3
        return Built(jax.jit(jax.nn.dot_product_attention), args)

    def wrong(self, answer: Answer) -> str:
        """The first and the last head, held to attention in float64."""
        for place in ((0, slice(None), 0), (-1, slice(None), -1)):
            q, k, v = (one[place].astype(np.float64) for one in answer.operands)
            shares = np.exp(q @ k.T / self.depth**0.5)
            shares /= shares.sum(axis=-1, keepdims=True)
            result = answer.result[place].astype(np.float64)
            said = differs(result, shares @ v, 2 * self._unit * (shares @ np.abs(v)))
            if said:
                return f"batch {place[0]}, head {place[2]}: {said}"
        return ""

    def bound(self, answer: Answer) -> Any:
        """Two devices' roundings: values are sums of shares that add up to 1."""
        return 2 * self._unit * np.abs(answer.operands[2].astype(np.float32)).max()

    @property
    def _unit(self) -> float:
        return float(jnp.finfo(OPERANDS[self.dtype]).eps)


# How large the programs are: as large as fills a device, and as fits its free memory.

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


# train: one training step of a small decoder, in model FLOPs.

_STEPS = 8  # of the trial in which the loss must fall
_TINY = transformer.Sizes(2, 128, 4, 512, vocabulary=512, sequence=64)


def decoder(scale: Scale) -> transformer.Sizes:
    """The decoder for a device of that scale."""
    return _TINY if scale.tiny else transformer.Sizes()


@dataclass(frozen=True)
class Train(Program):
    """SGD with momentum on `batch` sequences at once, its blocks scanned and recomputed.

    The decoder of the workload `transformer`. The rate is of model FLOPs, what a step needs
    and not what is recomputed, so rate / peak is the model FLOP utilisation (MFU).
    """

    dtype: str
    batch: int
    sizes: transformer.Sizes = field(default_factory=transformer.Sizes)

    name = "train"
    unit = "TFLOP/s"

    @property
    def variant(self) -> str:
        """The dtype."""
        return self.dtype

    @property
    def parameters(self) -> int:
        """All that is multiplied: the blocks, and the embedding, which makes the logits."""
        one = self.sizes
        block = 4 * one.width * one.width + 2 * one.width * one.hidden
        return one.layers * block + one.vocabulary * one.width

    @property
    def work(self) -> float:
        """TFLOP of one step: 6 for a parameter and token, 12 layers x width x sequence for it.

        Source: PaLM, https://arxiv.org/abs/2204.02311, appendix B.
        """
        one = self.sizes
        attention = 12 * one.layers * one.width * one.sequence
        return self.batch * one.sequence * (6 * self.parameters + attention) / 1e12

    def build(self, mesh: Mesh) -> Built:
        """State (params, velocity), donated; tokens and labels (batch, sequence) in int32."""
        one = self.sizes

        def loss(params: dict[str, Layers], tokens: jax.Array, labels: jax.Array) -> jax.Array:
            @jax.checkpoint
            def body(x: jax.Array, block: Layers) -> tuple[jax.Array, None]:
                return jax.vmap(lambda row: transformer._block(row, block, one.heads))(x), None

            embed = params["ends"]["embed"]
            x = lax.scan(body, embed[tokens], params["blocks"])[0]
            return cross_entropy(rms_norm(x) @ embed.T, labels)

        tokens = struct(mesh, (self.batch, one.sequence), jnp.int32)
        params = jax.tree.map(
            lambda leaf: struct(mesh, leaf.shape, OPERANDS[self.dtype]), weights(mesh, one)
        )
        return training_step(loss, params, tokens, tokens)

    def operands(self, mesh: Mesh, seed: int) -> tuple[Any, ...]:
        """Weights N(0, 1 / width), no velocity, random tokens; labels are the tokens."""
        (params, _), tokens, _ = built(self, mesh).args
        sizes = self.sizes

        def start(drawn: Any, key: jax.Array) -> Any:
            scaled = jax.tree.map(lambda leaf: leaf * leaf.dtype.type(sizes.width**-0.5), drawn)
            still = jax.tree.map(jnp.zeros_like, drawn)
            text = jax.random.randint(key, tokens.shape, 0, sizes.vocabulary, tokens.dtype)
            return (scaled, still), text, text

        where = sharding_of(built(self, mesh).args)
        made = jax.jit(start, out_shardings=where)
        return made(program.normal_operand(params, seed), jax.random.key(seed))  # type: ignore[no-any-return]

    def step(self, mesh: Mesh) -> Step:
        """Each call goes on from the state that the last one left."""
        jitted = built(self, mesh).jitted
        state, *batch = self.operands(mesh, 0)
        held = [state]

        def call(_: int) -> Any:
            held[0], loss = jitted(held[0], *batch)
            return loss

        return call

    def answer(self, mesh: Mesh) -> Answer:
        """The losses of the first steps."""
        step = self.step(mesh)
        return Answer((), np.asarray([np.asarray(step(number)) for number in range(_STEPS)]))

    def wrong(self, answer: Answer) -> str:
        """A loss that does not fall."""
        first, last = answer.result[0], answer.result[-1]
        return "" if last < first else f"the loss went from {first:.4f} to {last:.4f}"

    def bound(self, answer: Answer) -> Any:
        """Rounding adds up over the steps: a hundredth of the first loss."""
        return 0.01 * answer.result[0]
