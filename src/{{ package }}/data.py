"""Batches of text as bytes: each is a function of the seed and the step alone.

So a run that goes on from a checkpoint sees what an uninterrupted one would have seen.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics  # the text of Python's own help: 700 kB of English

import numpy as np
from numpy.typing import NDArray

from .config import Config
from .errors import TrainError


@dataclass(frozen=True)
class Text:
    """The bytes that are trained on."""

    data: NDArray[np.uint8]

    @property
    def digest(self) -> str:
        """SHA-256, to tell whether a run goes on with the text it began with."""
        return hashlib.sha256(self.data.tobytes()).hexdigest()

    def batch(self, config: Config, seed: int, step: int) -> NDArray[np.int32]:
        """Random windows: (batch, sequence + 1)."""
        random = np.random.default_rng((seed, step))
        starts = random.integers(0, len(self.data) - config.sequence, config.batch)
        windows = starts[:, None] + np.arange(config.sequence + 1)[None]
        rows: NDArray[np.int32] = self.data[windows].astype(np.int32)
        return rows


def load(files: Sequence[Path], config: Config) -> Text:
    """The files one after the other, or Python's help where none is given."""
    text = b"\n".join(map(_read, files)) if files else "\n".join(topics.values()).encode()
    if len(text) <= config.sequence:
        raise TrainError(
            f"the text has {len(text)} bytes and a sequence takes {config.sequence + 1}; "
            "give longer files with --text"
        )
    return Text(np.frombuffer(text, np.uint8))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TrainError(
            f"cannot read {file}: {error.strerror}; give --text a file that is there"
        ) from error
