"""Devices that are described and not there."""

from __future__ import annotations

import re

import jax
from jax.experimental import topologies
from jax.experimental.topologies import TopologyDescription

from jaxpad import flags
from jaxpad.errors import UsageError
from jaxpad.gpus import GpuDescription, text_proto

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
            f"{gpu.path}: [target]: XLA refuses it ({problem}); mend the figures, or install "
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
