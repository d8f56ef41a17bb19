"""The installed XLA: which flags it knows, how it reads a flag string, what is in force.

Nothing here imports JAX in the calling process. XLA is asked in children, since it reads
XLA_FLAGS once in a process and exits where it refuses one.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxpad.flags._accept import Acceptance, accept
    from jaxpad.flags._ask import Reading, complaint, read
    from jaxpad.flags._catalogue import Option, catalogue, spellings
    from jaxpad.flags._check import check, unknown
    from jaxpad.flags._effective import Effective, effective
    from jaxpad.flags._history import history, known_by, tested
    from jaxpad.flags._judge import FlagInEffect, Status
    from jaxpad.flags._notices import without_notices
    from jaxpad.flags._plugin import disagreements, plugin_fields, plugin_library
    from jaxpad.flags._schema import jaxlib_version
    from jaxpad.profiles import nearest

__all__ = [
    "Acceptance",
    "Effective",
    "FlagInEffect",
    "Option",
    "Reading",
    "Status",
    "accept",
    "catalogue",
    "check",
    "complaint",
    "disagreements",
    "effective",
    "history",
    "jaxlib_version",
    "known_by",
    "nearest",
    "plugin_fields",
    "plugin_library",
    "read",
    "spellings",
    "tested",
    "unknown",
    "without_notices",
]
# Imported when asked for: most of them need protobuf, which a base install does without.
_MODULES = {
    "_accept": ("Acceptance", "accept"),
    "_ask": ("Reading", "complaint", "read"),
    "_catalogue": ("Option", "catalogue", "spellings"),
    "_check": ("check", "unknown"),
    "_effective": ("Effective", "effective"),
    "_history": ("history", "known_by", "tested"),
    "_judge": ("FlagInEffect", "Status"),
    "_notices": ("without_notices",),
    "_plugin": ("disagreements", "plugin_fields", "plugin_library"),
    "_schema": ("jaxlib_version",),
    "_words": ("nearest",),
}
_LATER = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    package = "jaxpad.profiles" if name == "nearest" else __name__
    return getattr(importlib.import_module(f"{package}.{_LATER[name]}"), name)
