"""What JAX's CUDA plugin says of itself: a second copy of XLA, in a library of its own.

jaxlib and the plugin parse XLA_FLAGS each for itself. Released together they are built
from one XLA; installed apart they may know different flags.
"""

from __future__ import annotations

import functools as ft
import importlib.util
import mmap
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from jaxpad.flags._schema import _FILE, _MESSAGE, _add, descriptor

_PACKAGES = ("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12")
_TOLD = ("type", "choices", "deprecation")


def plugin_library() -> Path | None:
    """The shared library of JAX's CUDA plugin, None where the plugin is not installed."""
    for package in _PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:  # not even jax_plugins
            return None
        for folder in (spec.submodule_search_locations if spec else None) or ():
            found = Path(folder) / "xla_cuda_plugin.so"
            if found.is_file():
                return found
    return None


@ft.cache
def plugin_fields(file: str, message: str) -> frozenset[str]:
    """The fields of a protobuf message as the plugin knows it; empty where it does not."""
    found = _message(file, message)
    return frozenset(field.name for field in found.fields) if found else frozenset()


@ft.cache
def disagreements() -> Mapping[str, str] | None:
    """Where jaxlib's and the plugin's options are not the same: name to what differs.

    Compares name, type, choices and deprecation. Defaults are code, not description, and
    are not compared. None where there is no plugin, or it carries no description.

    Raises UsageError where jaxlib is absent or not described.
    """
    plugin = _message(_FILE, _MESSAGE)
    if plugin is None:
        return None
    ours, theirs = ({field.name: field for field in one.fields} for one in (descriptor(), plugin))
    told = {name: _difference(ours.get(name), theirs.get(name)) for name in {*ours, *theirs}}
    return {name: told[name] for name in sorted(told) if told[name]}


def _message(file: str, message: str) -> Descriptor | None:
    library = plugin_library()
    if library is None:
        return None
    with (
        library.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        pool = descriptor_pool.DescriptorPool()
        return pool.FindMessageTypeByName(message) if _add(pool, data, file, set()) else None


def _difference(ours: FieldDescriptor | None, theirs: FieldDescriptor | None) -> str:
    """What differs, in a few words; empty where nothing does."""
    if ours is None:
        return "only in the CUDA plugin"
    if theirs is None:
        return "not in the CUDA plugin"
    told = zip(_TOLD, _told(ours), _told(theirs), strict=True)
    differ = [part for part, one, other in told if one != other]
    return f"other {' and '.join(differ)} in the CUDA plugin" if differ else ""


def _told(field: FieldDescriptor) -> tuple[object, ...]:
    choices = [value.name for value in field.enum_type.values] if field.enum_type else []
    return (field.cpp_type, field.is_repeated), choices, field.GetOptions().deprecated
