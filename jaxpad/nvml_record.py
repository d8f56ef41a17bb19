"""`nvml.record`: write down what this machine's NVML answers, for the tests to play back."""

from __future__ import annotations

import json as json_
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import nvml, whole_file
from jaxpad.errors import UsageError

HEAD = """\
# What NVML answers on one machine, written by `jaxpad nvml.record`. UUIDs, serial numbers,
# PCI bus ids, process ids and names are replaced, the same input by the same output.
"""


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    out: str = "nvml-recording.toml"
    json: bool = False


def nvml_record(options: Options) -> int:
    """Write the recording whole or not at all, or print it as JSON; 0.

    Raises UsageError where no driver answers or the file cannot be written.
    """
    found = _recorded()
    if options.json:
        json_.dump(found, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return 0
    _write(Path(options.out), HEAD + to_toml(found))
    sys.stderr.write(f"wrote {options.out}; read it before you send it\n")
    return 0


def _recorded() -> dict[str, Any]:
    told = nvml.record()
    if told.value is None:
        raise UsageError(
            f"nothing to record, as NVML does not answer here ({told.reason}); "
            "run it on a machine with an NVIDIA driver, and see jaxpad doctor"
        )
    found: dict[str, Any] = told.value
    return found


def to_toml(found: Mapping[str, Any]) -> str:
    """The recording as TOML: what is the machine's, then one table a GPU."""
    gpus = found.get("gpu", {})
    lines = list(_lines({name: value for name, value in found.items() if name != "gpu"}))
    for index, answers in gpus.items():
        lines += ["", f"[gpu.{index}]", *_lines(answers)]
    return "\n".join(lines) + "\n"


def _lines(table: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            yield from _lines(value, key)
        else:
            yield f"{key} = {json_.dumps(value)}"  # of a string, number or list: TOML's own form


def _write(path: Path, text: str) -> None:
    try:
        whole_file.write(path, text)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot write {path} ({why}); name another file with --out") from error
