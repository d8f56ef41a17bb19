"""The installed XLA: which flags it knows, how it reads a flag string, what is in force.

Nothing here imports JAX in the calling process. XLA is asked in children, since it reads
XLA_FLAGS once in a process and exits where it refuses one.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later

if TYPE_CHECKING:
    from jaxpad.core.text import nearest
    from jaxpad.flags.in_effect import Effective, FlagInEffect, Status, effective
    from jaxpad.flags.installed import (
        Acceptance,
        Option,
        accept,
        catalogue,
        check,
        disagreements,
        plugin_fields,
        plugin_library,
        spellings,
        stray_remedy,
        unknown,
    )
    from jaxpad.flags.parser import Reading, complaint, read, without_notices
    from jaxpad.flags.releases import history, known_by, tested
    from jaxpad.flags.schema import jaxlib_version

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
    "stray_remedy",
    "tested",
    "unknown",
    "without_notices",
]
# Imported when asked for: most of them need protobuf, which a base install does without.
_LATER = {
    "Acceptance": ".installed",
    "Effective": ".in_effect",
    "FlagInEffect": ".in_effect",
    "Option": ".installed",
    "Reading": ".parser",
    "Status": ".in_effect",
    "accept": ".installed",
    "catalogue": ".installed",
    "check": ".installed",
    "complaint": ".parser",
    "disagreements": ".installed",
    "effective": ".in_effect",
    "history": ".releases",
    "jaxlib_version": ".schema",
    "known_by": ".releases",
    "nearest": "jaxpad.core.text",
    "plugin_fields": ".installed",
    "plugin_library": ".installed",
    "read": ".parser",
    "spellings": ".installed",
    "stray_remedy": ".installed",
    "tested": ".releases",
    "unknown": ".installed",
    "without_notices": ".parser",
}

__getattr__ = later(__name__, _LATER)
