"""Compile for described devices."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from jax.experimental import topologies
from jax.experimental.topologies import TopologyDescription
from jax.sharding import NamedSharding, PartitionSpec

from jaxpad import flags
from jaxpad.core.results import UsageError
from jaxpad.gpus import GpuDescription, text_proto

# Devices that are described and not there.

_PROTO = "xla/stream_executor/device_description.proto"
_MESSAGE = "stream_executor.GpuDeviceInfoProto"
_SHAPE = re.compile(r"[1-9]\d*x[1-9]\d*x[1-9]\d*")


def topology(gpu: GpuDescription, devices: int | str = 1) -> TopologyDescription:
    """Described devices, as many as wanted, to build a mesh of.

    `devices` is a number of devices in one host, or "partitions x hosts x devices per host"
    such as "1x2x8". `jax.experimental.topologies.make_mesh(topology, shape, names)` makes
    the mesh.

    Raises UsageError where the CUDA plugin is not installed or JAX did not start it, for a
    shape that is none, and for a target that this XLA does not read.
    """
    shape = devices if isinstance(devices, str) else f"1x1x{devices}"
    if not _SHAPE.fullmatch(shape):
        raise UsageError(
            f"{devices!r} is no set of devices, expected a number above 0 or "
            "partitions x hosts x devices per host; write it like '1x2x8'"
        )
    text = text_proto(gpu, _known_figures().__contains__)
    try:
        return topologies.get_topology_desc(platform="cuda", target_config=text, topology=shape)
    except NotImplementedError:  # JAX's own word for a platform without a topology
        raise UsageError(
            "JAX did not start its CUDA plugin, since it looks for CUDA's libraries first; "
            "set JAX_PLATFORMS=cpu before JAX is imported"
        ) from None
    except jax.errors.JaxRuntimeError as error:
        problem = str(error).splitlines()[0].rstrip(".")
        raise UsageError(
            f"{gpu.path}: [target]: XLA refuses it ({problem}); fix the figures, or install "
            "the plugin that requirements/proof.txt names"
        ) from None


def _known_figures() -> frozenset[str]:
    """The figures that the installed plugin's XLA can be told; releases differ."""
    if flags.plugin_library() is None:
        raise UsageError(
            "JAX's CUDA plugin, which compiles for GPUs, is not installed; "
            "install requirements/proof.txt"
        )
    known = flags.plugin_fields(_PROTO, _MESSAGE)
    if not known:
        raise UsageError(
            "JAX's CUDA plugin does not say how a GPU is described to it; install the one that "
            "requirements/proof.txt names"
        )
    return known


# The part of CUDA that XLA needs to finish a program: ptxas and libdevice.

_PACKAGES = ("nvidia.cuda_nvcc", "nvidia.cu13")  # nvidia-cuda-nvcc-cu12, nvidia-cuda-nvcc
_NEEDED = ("bin/ptxas", "nvvm/libdevice/libdevice.10.bc")


def toolkit() -> Path | None:
    """The folder of the installed wheel with ptxas and libdevice, None where there is none.

    XLA would take a toolkit in /usr/local/cuda or on PATH first: another on each machine,
    and CUDA 13's ptxas no longer compiles for Volta.
    """
    for package in _PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:  # not even nvidia
            return None
        for folder in (spec.submodule_search_locations if spec else None) or ():
            if all((Path(folder) / needed).is_file() for needed in _NEEDED):
                return Path(folder)
    return None


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
            "mesh of the devices that jaxpad.schedule.aot.topology returns"
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
