"""Many node reports as one: who is to be drained, who differs, who is missing.

    found = fleet.merge(Path("reports"), expected=("n0", "n1"))
    fleet.write(found, Path("fleet-report"))
    raise SystemExit(found.verdict.exit_code)

`reports` holds one folder a node, named for it, with its smoke.json. The rules are in
docs/fleet.md. Nothing in a node's report is trusted: see `read_node`.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later
from jaxpad.fleet.digest import read_node as read_node
from jaxpad.fleet.gathering import expand as expand, expected as expected, require as require
from jaxpad.fleet.merging import also as also, merge as merge
from jaxpad.fleet.model import (
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
from jaxpad.fleet.untrusted import Refused as Refused

if TYPE_CHECKING:
    from jaxpad.fleet.page import (
        kept as kept,
        to_html as to_html,
        to_json as to_json,
        write as write,
    )
    from jaxpad.fleet.text import (
        SCHEDULERS as SCHEDULERS,
        line as line,
        prometheus as prometheus,
        summary as summary,
    )

# Imported when asked for: a worker that reads reports needs neither rich nor pictures.
_LATER = {
    "SCHEDULERS": ".text",
    "kept": ".page",
    "line": ".text",
    "prometheus": ".text",
    "summary": ".text",
    "to_html": ".page",
    "to_json": ".page",
    "write": ".page",
}


__getattr__ = later(__name__, _LATER)
