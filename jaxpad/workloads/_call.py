"""Call a user's function, and hold what it returns to what is expected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxpad.errors import UsageError
from jaxpad.workloads._import import mistakes
from jaxpad.workloads._model import Program

if TYPE_CHECKING:
    from jax.sharding import Mesh


def build(reference: str, function: Callable[[Mesh], Any], mesh: Mesh) -> Program:
    """What the function makes of the mesh, traced once. Raises UsageError as own() says."""
    with mistakes(f"{reference}: calling it"):
        found = function(mesh)
    program = _program(reference, found)
    with mistakes(f"{reference}: tracing it"):
        program.jitted.trace(*program.args)
    return program


def _program(reference: str, found: Any) -> Program:
    if isinstance(found, Program):
        found = (found.jitted, found.args)
    if not isinstance(found, tuple) or len(found) != 2:
        raise UsageError(
            f"{reference} returns {_kind(found)}, expected a jitted function and a tuple of its "
            "abstract arguments; return both"
        )
    jitted, args = found
    if not hasattr(jitted, "trace"):
        raise UsageError(
            f"{reference} returns {_kind(jitted)} first, expected a jitted function; wrap it in "
            "jax.jit"
        )
    if not isinstance(args, tuple):
        raise UsageError(
            f"{reference} returns {_kind(args)} as its arguments, expected a tuple of them; write "
            "(x,) for one"
        )
    _refuse_arrays(reference, args)
    return Program(jitted, args)


def _refuse_arrays(reference: str, args: tuple[Any, ...]) -> None:
    import jax
    import numpy as np

    for leaf in jax.tree.leaves(args):
        if isinstance(leaf, jax.Array | np.ndarray):
            raise UsageError(
                f"{reference} returns an array {leaf.shape} among its arguments, expected abstract "
                "ones; give jax.ShapeDtypeStruct(shape, dtype, sharding=…)"
            )


def _kind(thing: Any) -> str:
    return "nothing" if thing is None else f"a {type(thing).__name__}"
