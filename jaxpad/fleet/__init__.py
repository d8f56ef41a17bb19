"""Many node reports as one: who is to be drained, who differs, who is missing.

    found = fleet.merge(Path("reports"), expected=("n0", "n1"))
    fleet.write(found, Path("fleet-report"))
    raise SystemExit(found.verdict.exit_code)

`reports` holds one folder a node, named for it, with its smoke.json. The rules are in
docs/fleet.md. Nothing in a node's report is trusted: see `read_node`.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxpad.fleet._drain import SCHEDULERS as SCHEDULERS, line as line
from jaxpad.fleet._expected import expand as expand, expected as expected
from jaxpad.fleet._json import to_json as to_json
from jaxpad.fleet._merge import merge as merge
from jaxpad.fleet._model import (
    SCHEMA_VERSION as SCHEMA_VERSION,
    Difference as Difference,
    Distribution as Distribution,
    Drift as Drift,
    Fleet as Fleet,
    Node as Node,
    Outlier as Outlier,
    Problem as Problem,
    SetAside as SetAside,
)
from jaxpad.fleet._problems import also as also
from jaxpad.fleet._prometheus import prometheus as prometheus
from jaxpad.fleet._read import read_node as read_node
from jaxpad.fleet._refused import Refused as Refused

if TYPE_CHECKING:
    from jaxpad.fleet._html import to_html as to_html
    from jaxpad.fleet._terminal import summary as summary
    from jaxpad.fleet._write import write as write

# Imported when asked for: a worker that reads reports needs neither rich nor pictures.
_LATER = {"summary": "_terminal", "to_html": "_html", "write": "_write"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
