"""What a smoke run found: the data, and its forms for people and machines.

`write` puts smoke.json, traces.json, junit.xml and report.html into a folder, `summary` prints for
people, `Progress` shows how far a run has come. `redact` comes before all of them.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later
from jaxpad.core.results import (
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
    from jaxpad.report.data import (
        TRACES_SCHEMA as TRACES_SCHEMA,
        from_json as from_json,
        thin as thin,
        to_json as to_json,
        to_junit as to_junit,
        traces_from_json as traces_from_json,
        traces_to_json as traces_to_json,
    )
    from jaxpad.report.page import render as render, to_html as to_html, write as write
    from jaxpad.report.redaction import redact as redact
    from jaxpad.report.terminal import Progress as Progress, summary as summary

# Imported when asked for: a child that runs one check file needs only the data, and
# rich alone takes longer to import than all of the data.
_LATER = {
    "Progress": ".terminal",
    "TRACES_SCHEMA": ".data",
    "from_json": ".data",
    "redact": ".redaction",
    "render": ".page",
    "summary": ".terminal",
    "thin": ".data",
    "to_html": ".page",
    "to_json": ".data",
    "to_junit": ".data",
    "traces_from_json": ".data",
    "traces_to_json": ".data",
    "write": ".page",
}


__getattr__ = later(__name__, _LATER)
