"""`build`: the image, in three steps: its base, what JAX the base has, the rest for that JAX."""

from jaxpad.build._build import build
from jaxpad.build._options import Options

__all__ = ["Options", "build"]
