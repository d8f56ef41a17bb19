"""Manifests as YAML that people like to read and yamllint has nothing to say about."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from jaxpad.kubernetes._pod import Manifest

# To the library's YAML 1.1 the text 1e3 is no number; to kubectl's 1.2 it is.
_LIKE_A_NUMBER = re.compile(r"[-+]?\.?[0-9][0-9a-fox_.+-]*")


class _Dumper(yaml.SafeDumper):
    """Indents lists, and writes equal parts out where the library would put an alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "'" if _LIKE_A_NUMBER.fullmatch(data.lower()) else "|" if "\n" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def to_yaml(manifests: Iterable[Manifest]) -> str:
    """One document each."""
    return yaml.dump_all(manifests, Dumper=_Dumper, explicit_start=True, sort_keys=False, width=96)
