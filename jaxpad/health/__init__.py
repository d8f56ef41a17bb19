"""Is this node fit to compute on? Asked in seconds, through NVML and sysfs, without load.

    found = health.check(health.load())
    found.verdict  # the worst of found.findings

`judge` is the same without looking: from a snapshot to findings. No JAX is imported and no
CUDA context made; the questions and what they mean are in docs/health.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxpad.health._public import *  # noqa: F403 - the names that __getattr__ finds


def __getattr__(name: str) -> Any:
    """The names of `_public`: the child that asks NVML needs none of them."""
    if name.startswith("_"):  # a submodule on its way in
        raise AttributeError(name)
    from jaxpad.health import _public

    return getattr(_public, name)
