"""What a smoke run found: the data, and its forms for people and machines.

`write` puts smoke.json, traces.json, junit.xml and report.html into a folder, `summary` prints for
people, `Progress` shows how far a run has come. `redact` comes before all of them.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxpad.report._json import from_json as from_json, to_json as to_json
from jaxpad.results import (
    SCHEMA_VERSION as SCHEMA_VERSION,
    CheckResult as CheckResult,
    Device as Device,
    EffectiveFlag as EffectiveFlag,
    Fact as Fact,
    Gpu as Gpu,
    GpuFinding as GpuFinding,
    Judgement as Judgement,
    Measurement as Measurement,
    Platform as Platform,
    Rate as Rate,
    Report as Report,
    XlaFlags as XlaFlags,
)

if TYPE_CHECKING:
    from jaxpad.report._html import to_html as to_html
    from jaxpad.report._junit import to_junit as to_junit
    from jaxpad.report._progress import Progress as Progress
    from jaxpad.report._redact import redact as redact
    from jaxpad.report._terminal import summary as summary
    from jaxpad.report._thin import thin as thin
    from jaxpad.report._traces import (
        TRACES_SCHEMA as TRACES_SCHEMA,
        shift as shift,
        traces_from_json as traces_from_json,
        traces_to_json as traces_to_json,
    )
    from jaxpad.report._write import write as write

# Imported when asked for: a child that runs one check file needs only the data, and
# rich alone takes longer to import than all of the data.
_LATER = {
    "Progress": "_progress",
    "TRACES_SCHEMA": "_traces",
    "redact": "_redact",
    "shift": "_traces",
    "summary": "_terminal",
    "thin": "_thin",
    "to_html": "_html",
    "to_junit": "_junit",
    "traces_from_json": "_traces",
    "traces_to_json": "_traces",
    "write": "_write",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
