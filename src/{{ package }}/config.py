"""The sizes of the model and of a batch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """A decoder transformer over bytes; the defaults train on a CPU in seconds."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    sequence: int = 64
    batch: int = 16
    vocabulary: int = 256  # bytes
    learning_rate: float = 3e-3
    warmup: int = 10


# What the workloads compile: layers as large as a model's, so that XLA fuses, overlaps and picks
# its kernels as it does for one, and few enough to compile in seconds.
LARGE = Config(layers=8, width=2048, heads=16, sequence=1024, batch=16, learning_rate=3e-4)
