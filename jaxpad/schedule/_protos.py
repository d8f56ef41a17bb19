"""XLA's own messages, as the installed CUDA plugin describes them."""

from __future__ import annotations

import functools as ft
import mmap
from typing import Any

from google.protobuf import descriptor_pool, message_factory

from jaxpad.errors import UsageError
from jaxpad.flags import plugin_library
from jaxpad.flags._schema import _add

_FILES = (
    "xla/service/gpu/gpu_executable.proto",
    "xla/util/split_proto/split_proto.proto",
    "xla/pjrt/proto/compile_options.proto",
)


@ft.cache
def message(name: str) -> type[Any]:
    """The class of a message such as `xla.HloModuleProto`.

    Raises KeyError for one that this XLA does not have, UsageError where the plugin is not
    installed or carries no descriptions.
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(name))


@ft.cache
def _pool() -> descriptor_pool.DescriptorPool:
    """Every message of a GPU executable: half a second, once in a process."""
    library = plugin_library()
    if library is None:
        raise UsageError(
            "JAX's CUDA plugin, which describes compiled programs, is not installed; "
            "install requirements/proof.txt"
        )
    pool, done = descriptor_pool.DescriptorPool(), set[str]()
    with (
        library.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        for file in _FILES:
            if not _add(pool, data, file, done):
                raise UsageError(
                    f"JAX's CUDA plugin does not describe {file}; install the one that "
                    "requirements/proof.txt names"
                )
    return pool
