"""jaxpad: a launch pad for JAX on NVIDIA GPUs."""

__version__ = "0.1.0"
