"""CDI specifications: the files that tell an engine which nodes and libraries a GPU is.

Format and folders: https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
YAML files are read by their lines alone: enough for `kind:`, `path:` and `hostPath:`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad.doctor._host import Host

KIND = "nvidia.com/gpu"
FOLDERS = ("etc/cdi", "var/run/cdi", "run/cdi")
_KIND = re.compile(r"""^kind:\s*["']?([^\s"']+)""", re.MULTILINE)
_NODE = re.compile(
    r"""^\s*-?\s*path:\s*["']?(/dev/[^\s"']+)["']?[ ]*(?:\n\s*hostPath:\s*["']?([^\s"']+))?""",
    re.MULTILINE,
)
_HOST_PATH = re.compile(r"""hostPath:\s*["']?([^\s"']+)""")
_LIBRARY = re.compile(r"/lib(?:cuda|nvidia-[\w-]+)\.so\.(\d{3,}\.\d+(?:\.\d+)?)$")


@dataclass(frozen=True)
class Spec:
    """One file that defines nvidia.com/gpu, or that cannot be read."""

    file: Path
    nodes: tuple[str, ...] = ()  # device nodes on the host
    versions: tuple[str, ...] = ()  # of the driver libraries it names
    problem: str = ""


def specs(host: Host) -> tuple[Spec, ...]:
    """The specifications for NVIDIA GPUs, and the files that cannot be read."""
    files = {file.resolve(): file for folder in FOLDERS for file in _files(host.root / folder)}
    return tuple(filter(None, map(_spec, files.values())))


def _files(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return []
    return [entry for entry in entries if entry.suffix in (".json", ".yaml", ".yml")]


def _spec(file: Path) -> Spec | None:
    try:
        text = file.read_text()
        kind, nodes, mounts = _json(text) if file.suffix == ".json" else _yaml(text)
    except OSError as error:
        return Spec(file, problem=error.strerror or str(error))
    except (ValueError, TypeError, AttributeError) as error:
        return Spec(file, problem=f"it is not valid: {error}")
    if kind != KIND:
        return None
    versions = {found[1] for mount in mounts if (found := _LIBRARY.search(mount))}
    return Spec(file, tuple(dict.fromkeys(nodes)), tuple(sorted(versions)))


def _yaml(text: str) -> tuple[str | None, list[str], list[str]]:
    kind = _KIND.search(text)
    nodes = [on_host or path for path, on_host in _NODE.findall(text)]
    return kind and kind[1], nodes, _HOST_PATH.findall(text)


def _json(text: str) -> tuple[str | None, list[str], list[str]]:
    spec = json.loads(text)
    edits = list(_edits(spec))
    nodes = [n for edit in edits for n in edit.get("deviceNodes") or ()]
    mounts = [m for edit in edits for m in edit.get("mounts") or ()]
    on_host = [node.get("hostPath") or node["path"] for node in nodes]
    return spec.get("kind"), on_host, [mount["hostPath"] for mount in mounts]


def _edits(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield spec.get("containerEdits") or {}
    for device in spec.get("devices") or ():
        yield device.get("containerEdits") or {}


def stale(host: Host, spec: Spec, version: str | None) -> str | None:
    """Why the file is out of date: a node that is gone, or another driver's libraries."""
    gone = [node for node in spec.nodes if not (host.root / node.lstrip("/")).exists()]
    if gone:
        return f"names {', '.join(gone[:3])}, which is not there"
    others = [other for other in spec.versions if version and other != version]
    return f"names libraries of driver {others[0]}, and {version} is loaded" if others else None
