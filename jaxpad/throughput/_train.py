"""train: one training step of a small decoder, in model FLOPs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from jaxpad.throughput import _operands
from jaxpad.throughput._gemm import OPERANDS
from jaxpad.throughput._program import Answer, Program, Step, built
from jaxpad.throughput._scale import Scale
from jaxpad.workloads import Program as Built
from jaxpad.workloads.programs import transformer
from jaxpad.workloads.programs._decoder import rms_norm, weights
from jaxpad.workloads.programs._mlp import Layers, cross_entropy
from jaxpad.workloads.programs._train import sharding_of, struct, training_step

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
        return made(_operands.normal(params, seed), jax.random.key(seed))  # type: ignore[no-any-return]

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
