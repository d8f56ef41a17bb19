"""The driver's own account of the machine's GPUs, through NVML.

    now = nvml.ask()  # a snapshot, taken in a child with a time limit
    now.gpus[0].power.draw_watts  # Reading(value=71.3, reason=None)

    with nvml.Sampler(period_s=0.02) as sampler:
        work()
    sampler.trace().gpus[0].mean_watts

Every field is a value, or None and the reason. What is read, and what a missing field
means, is in docs/nvml.md.
"""

from typing import TYPE_CHECKING, Any

from jaxpad.nvml._driver import Driver, from_json, read

if TYPE_CHECKING:
    from jaxpad.nvml._public import *  # noqa: F403 - the names that __getattr__ finds

__all__ = ["Driver", "from_json", "read"]


def __getattr__(name: str) -> Any:
    """The rest, when it is asked for: every check of a smoke run imports `Driver`."""
    if name.startswith("_"):  # a submodule on its way in
        raise AttributeError(name)
    from jaxpad.nvml import _public

    return getattr(_public, name)
