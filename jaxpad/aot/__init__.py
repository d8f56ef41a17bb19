"""Compile a JAX function for a GPU that is not there.

JAX's CUDA plugin compiles for a described GPU with no driver and no device. It needs the
wheels in requirements/proof.txt, and JAX_PLATFORMS=cpu set before JAX is imported. The
program is the one that GPU would get, but for what XLA learns by timing kernels on the
device (autotuning): there it takes its default.

XLA says on standard error that it "could not find cuda drivers" (cudart_stub.cc); here
that is as it should be. A program's text names the source lines it was traced from: hold
only programs traced in one place to each other.

Method: https://docs.jax.dev/en/latest/aot.html, and XLA's deviceless compilation,
https://openxla.org/xla/tools
"""

from jaxpad.aot._compile import compile_for, compile_lowered, lower_for
from jaxpad.aot._toolkit import toolkit
from jaxpad.aot._topology import topology

__all__ = ["compile_for", "compile_lowered", "lower_for", "toolkit", "topology"]
