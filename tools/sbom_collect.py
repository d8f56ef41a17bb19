"""What is installed here, Python's packages and Debian's, as JSON on standard output.

Standard library only, and one file: its text is run by the Python of an image.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from typing import Any

_DPKG = "${db:Status-Status}\t${Package}\t${Version}\t${Architecture}\n"


def found() -> dict[str, Any]:
    """The system, and every package once."""
    return {"system": _system(), "python": _python(), "debian": _debian()}


def _system() -> dict[str, str]:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    named = {"id": release.get("ID", ""), "version": release.get("VERSION_ID", "")}
    return {**named, "machine": platform.machine(), "python": platform.python_version()}


def _python() -> list[dict[str, str]]:
    by_key = {}
    for dist in metadata.distributions():
        name = dist.metadata["Name"]
        if name:  # a folder that was left behind by a removed package has none
            by_key[name.lower().replace("_", "-"), dist.version] = dist
    return [
        {"name": name, "version": version, "licence": _licence(dist)}
        for (name, version), dist in sorted(by_key.items())
    ]


def _licence(dist: metadata.Distribution) -> str:
    """As the package says: an SPDX expression, a short text, or its classifiers."""
    said = dist.metadata
    text = said["License-Expression"] or said["License"] or ""
    if text and "\n" not in text.strip() and len(text) < 100:
        return text.strip()
    classifiers = [c for c in said.get_all("Classifier") or [] if c.startswith("License ::")]
    return " and ".join(c.rpartition(":: ")[2] for c in classifiers)


def _debian() -> list[dict[str, str]]:
    if not shutil.which("dpkg-query"):
        return []
    argv = ["dpkg-query", "--show", f"--showformat={_DPKG}"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    words = [line.split("\t") for line in lines]
    return [
        {"name": name, "version": version, "architecture": architecture}
        for status, name, version, architecture in sorted(words)
        if status == "installed"
    ]


if __name__ == "__main__":
    json.dump(found(), sys.stdout)
