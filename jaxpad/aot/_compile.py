"""Compile for described devices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
from jax.experimental import topologies
from jax.experimental.topologies import TopologyDescription
from jax.sharding import NamedSharding, PartitionSpec

from jaxpad.aot._toolkit import toolkit
from jaxpad.aot._topology import topology
from jaxpad.errors import UsageError
from jaxpad.gpus import GpuDescription

_NO_TOOLKIT = re.compile(r"No PTX compilation provider|ptxas too old|libdevice not found")


def compile_for(
    gpu: GpuDescription,
    jitted: Any,
    abstract_args: tuple[Any, ...],
    *,
    devices: int | str | TopologyDescription = 1,
    compiler_options: Mapping[str, Any] | None = None,
) -> jax.stages.Compiled:
    """Compile a jitted function for a described GPU: 0.2 s to some seconds.

    Arguments and errors are those of `lower_for` and `compile_lowered`.
    """
    lowered = lower_for(gpu, jitted, abstract_args, devices=devices)
    return compile_lowered(gpu, lowered, compiler_options)


def lower_for(
    gpu: GpuDescription,
    jitted: Any,
    abstract_args: tuple[Any, ...],
    *,
    devices: int | str | TopologyDescription = 1,
) -> jax.stages.Lowered:
    """Trace and lower a jitted function once, to be compiled under any options.

    `abstract_args` holds trees of `jax.ShapeDtypeStruct`. One with a sharding keeps it: its
    mesh is of `topology(gpu, …)`'s devices. One without is replicated over `devices`, which
    is a number, a shape as for `topology`, or what `topology` returned.

    Raises UsageError as `topology` does, for a sharding over other devices, and for a
    function of no arguments, which JAX would lower for the CPU.
    """
    described = devices if isinstance(devices, TopologyDescription) else topology(gpu, devices)
    _refuse_none(gpu, abstract_args)
    args = jax.tree.map(lambda arg: _placed(arg, gpu, described), abstract_args)
    lowered: jax.stages.Lowered = jitted.lower(*args)
    return lowered


def compile_lowered(
    gpu: GpuDescription,
    lowered: jax.stages.Lowered,
    compiler_options: Mapping[str, Any] | None = None,
) -> jax.stages.Compiled:
    """Compile what `lower_for` returned for the same GPU.

    `compiler_options` are XLA's flags without dashes, for this program only; they outweigh
    XLA_FLAGS. `xla_gpu_cuda_data_dir` is `toolkit()` unless it is among them.

    Raises UsageError where no ptxas compiles for this GPU; jax.errors.JaxRuntimeError, a
    RuntimeError, for a program that XLA does not compile and for options it does not know.
    """
    options = _toolkit_option() | dict(compiler_options or {})
    try:
        compiled: jax.stages.Compiled = lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as error:
        if not _NO_TOOLKIT.search(str(error)):
            raise
        raise UsageError(_no_toolkit(gpu, str(error))) from None
    return compiled


def _refuse_none(gpu: GpuDescription, abstract_args: tuple[Any, ...]) -> None:
    if not any(hasattr(leaf, "shape") for leaf in jax.tree.leaves(abstract_args)):
        raise UsageError(
            f"a function of no arguments is not compiled for {gpu.name}, since its arguments say "
            "where it runs; give it a jax.ShapeDtypeStruct"
        )


def _placed(arg: Any, gpu: GpuDescription, described: TopologyDescription) -> Any:
    """The argument on described devices: its own, else on all of them."""
    sharding = getattr(arg, "sharding", None)
    if sharding is not None:
        _refuse_others(gpu, sharding.device_set)
    elif hasattr(arg, "shape"):
        mesh = topologies.make_mesh(described, (len(described.devices),), ("all",))
        everywhere = NamedSharding(mesh, PartitionSpec())
        return jax.ShapeDtypeStruct(arg.shape, arg.dtype, sharding=everywhere)
    return arg


def _refuse_others(gpu: GpuDescription, devices: set[Any]) -> None:
    others = sorted({device.device_kind for device in devices} - {gpu.target.name})
    if others:
        raise UsageError(
            f"an argument is sharded over {others[0]}, expected {gpu.target.name}; make its "
            "mesh of the devices that jaxpad.aot.topology returns"
        )


def _toolkit_option() -> dict[str, str]:
    found = toolkit()
    return {"xla_gpu_cuda_data_dir": str(found)} if found else {}


def _no_toolkit(gpu: GpuDescription, said: str) -> str:
    problem = said.partition(". ")[0].splitlines()[0].rstrip(".")
    return (
        f"XLA cannot finish a program for {gpu.name}, compute capability "
        f"{gpu.compute_capability} ({problem}); install requirements/proof.txt, which has a "
        "ptxas for every GPU (nvidia-cuda-nvcc-cu12)"
    )
