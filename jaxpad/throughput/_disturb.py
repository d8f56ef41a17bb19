"""Faults that a test has a device show: slow, hanging, wrong."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Disturbance:
    """What is wrong with the device of JAX's id `device`. Only a test passes one.

    `slow` is how many times longer its calls take. `nan` and `wrong` spoil one entry of its
    result. `hang` is for ever.
    """

    device: int
    slow: float = 1.0
    nan: bool = False
    wrong: bool = False
    hang: bool = False

    def during(self, device: int | None, begun: float) -> None:
        """Holds up what `device` began at that monotonic time; None is all devices as one."""
        if device not in (None, self.device):
            return
        if self.hang:
            threading.Event().wait()
        time.sleep((self.slow - 1) * (time.monotonic() - begun))

    def spoil(self, device: int | None, result: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """The result as `device` would give it."""
        if device not in (None, self.device) or not (self.nan or self.wrong):
            return result
        spoilt = np.array(result)
        place = 5 * spoilt.size // 7  # of a matrix in no row that verify computes itself
        value = spoilt.flat[place]
        spoilt.flat[place] = np.nan if self.nan else 1000 + 2 * value
        return spoilt
