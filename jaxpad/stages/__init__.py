"""The two stages of a smoke run on a cluster, whichever engine runs them.

Every node is asked a `Suite` by itself, then one run goes over all that passed. The engines,
slurm and kubernetes, say what happens with a `Told` and answer with a `Whole`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxpad.stages._suite import Suite as Suite
from jaxpad.stages._told import Told as Told, some as some

if TYPE_CHECKING:
    from jaxpad.stages._whole import Second as Second, Whole as Whole, whole as whole

__all__ = ["Second", "Suite", "Told", "Whole", "some", "whole"]

# Imported when asked for: what runs in a pod needs no fleet.
_LATER = ("Second", "Whole", "whole")


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}._whole"), name)
