"""Is this node fit to compute on? Asked in seconds, through NVML and sysfs, without load.

    found = health.check(health.load())
    found.verdict  # the worst of found.findings

`judge` is the same without looking: from a snapshot to findings. No JAX is imported and no
CUDA context made; the questions and what they mean are in docs/health.md.
"""

from typing import TYPE_CHECKING

from jaxpad.core.later import later

if TYPE_CHECKING:
    from jaxpad.core.bounds import (
        Bound as Bound,
        Bounds as Bounds,
        load as load,
        overrides as overrides,
    )
    from jaxpad.health.judging import (
        LIMIT_S as LIMIT_S,
        QUESTIONS as QUESTIONS,
        Health as Health,
        Roots as Roots,
        about as about,
        check as check,
        concealed as concealed,
        describe as describe,
        judge as judge,
        look as look,
    )
    from jaxpad.health.model import (
        Facts as Facts,
        Finding as Finding,
        grouped as grouped,
        places as places,
        readings as readings,
        together as together,
    )
    from jaxpad.health.output import (
        UNKNOWN as UNKNOWN,
        nagios as nagios,
        prometheus as prometheus,
        require_textfile as require_textfile,
        unknown as unknown,
        write as write,
    )

_LATER = {
    "Bound": "jaxpad.core.bounds",
    "Bounds": "jaxpad.core.bounds",
    "load": "jaxpad.core.bounds",
    "overrides": "jaxpad.core.bounds",
    "Facts": ".model",
    "Finding": ".model",
    "Health": ".judging",
    "LIMIT_S": ".judging",
    "QUESTIONS": ".judging",
    "Roots": ".judging",
    "UNKNOWN": ".output",
    "about": ".judging",
    "check": ".judging",
    "concealed": ".judging",
    "describe": ".judging",
    "grouped": ".model",
    "judge": ".judging",
    "look": ".judging",
    "nagios": ".output",
    "places": ".model",
    "together": ".model",
    "prometheus": ".output",
    "readings": ".model",
    "require_textfile": ".output",
    "unknown": ".output",
    "write": ".output",
}

__getattr__ = later(__name__, _LATER)
