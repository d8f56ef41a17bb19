"""Many node reports as one: who is to be drained, who differs, who is missing.

    found = fleet.merge(Path("reports"), expected=("n0", "n1"))
    fleet.write(found, Path("fleet-report"))
    raise SystemExit(found.verdict.exit_code)

`reports` holds one folder a node, named for it, with its smoke.json. The rules are in
docs/fleet.md. Nothing in a node's report is trusted: see `read_node`.
"""

from jaxpad.fleet._hostlist import compress as compress, expand as expand, expected as expected
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
from jaxpad.fleet._read import read_node as read_node
from jaxpad.fleet._refused import Refused as Refused
from jaxpad.fleet._write import write as write
