"""Kubernetes: a run's manifests, kubectl's words, and what becomes of its pods.

The manifests are plain dicts made by pure functions; `to_yaml` is what `--dry-run` prints
and what kubectl is given. `whole` runs a plan.
"""

import importlib
from typing import TYPE_CHECKING, Any

from jaxpad.kubernetes._kubectl import require as require_kubectl
from jaxpad.kubernetes._names import require as require_name
from jaxpad.kubernetes._parcel import Lost as Lost, pack as pack, unpack as unpack
from jaxpad.kubernetes._plan import Plan as Plan, Suite as Suite

if TYPE_CHECKING:
    from jaxpad.kubernetes._dry import dry_run as dry_run
    from jaxpad.kubernetes._examples import examples as examples
    from jaxpad.kubernetes._stages import whole as whole
    from jaxpad.kubernetes._yaml import to_yaml as to_yaml

__all__ = [
    "Lost",
    "Plan",
    "Suite",
    "dry_run",
    "examples",
    "pack",
    "require_kubectl",
    "require_name",
    "to_yaml",
    "unpack",
    "whole",
]

# Imported when asked for: in a pod only `pack` is used, and needs no fleet and no YAML.
_LATER = {
    "dry_run": "_dry",
    "examples": "_examples",
    "to_yaml": "_yaml",
    "whole": "_stages",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
