"""Manifests as YAML that people like to read and yamllint has nothing to say about."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from jaxpad.kubernetes._pod import Manifest


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes equal parts out where the library would put an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def to_yaml(manifests: Iterable[Manifest]) -> str:
    """One document each."""
    return yaml.dump_all(manifests, Dumper=_Dumper, explicit_start=True, sort_keys=False, width=96)
