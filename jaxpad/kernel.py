"""`kernel`: a Jupyter kernel that runs in this environment, under a profile if asked.

A kernelspec is a folder with a kernel.json below the user's Jupyter data folder, so that no
Jupyter is needed to install one:
https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs
"""

from __future__ import annotations

import importlib.util
import json as json_
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxpad import flags, profiles, whole_file
from jaxpad.errors import UsageError


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    profile: str = ""
    dry_run: bool = False
    json: bool = False


def kernel(options: Options) -> int:
    """Write the kernelspec and say where; 0.

    Raises UsageError for an unknown profile, no ipykernel, a folder that cannot be written.
    """
    spec = kernelspec(options.profile)
    file = data_folder(os.environ) / "kernels" / _name(options.profile) / "kernel.json"
    if not options.dry_run:
        _require_ipykernel()
        _write(file, json_.dumps(spec, indent=2) + "\n")
    _tell(options, file, spec)
    return 0


def kernelspec(profile: str) -> dict[str, Any]:
    """What kernel.json holds: this Python, and the profile's variables for its jaxlib."""
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    words = f" under {profile}" if profile else ""
    found = {"argv": argv, "display_name": f"JAX (jaxpad{words})", "language": "python"}
    return {**found, "metadata": {"debugger": True}, "env": _variables(profile)}


def _variables(profile: str) -> dict[str, str]:
    if not profile:
        return {}
    composed = profiles.compose(profiles.load(profile), {}, flags.jaxlib_version())
    return dict(composed.environ)


def _name(profile: str) -> str:
    """Letters, digits and -._ are allowed in a kernel's name; a file's profile goes by its stem."""
    return f"jaxpad-{Path(profile).stem}" if profile else "jaxpad"


def data_folder(environ: Mapping[str, str]) -> Path:
    """The user's Jupyter data folder on Linux: JUPYTER_DATA_DIR, or below XDG_DATA_HOME.

    Source: https://docs.jupyter.org/en/latest/use/jupyter-directories.html.
    """
    if given := environ.get("JUPYTER_DATA_DIR"):
        return Path(given)
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "jupyter"


def _require_ipykernel() -> None:
    if importlib.util.find_spec("ipykernel") is None:
        raise UsageError(
            f"{sys.executable} has no ipykernel, which the kernel runs in; "
            f"install it there: {sys.executable} -m pip install ipykernel"
        )


def _write(file: Path, text: str) -> None:
    """Whole or not at all."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(file, text)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written ({error.strerror}); set JUPYTER_DATA_DIR to a folder of "
            "your own"
        ) from error


def _tell(options: Options, file: Path, spec: dict[str, Any]) -> None:
    if options.json:
        json_.dump({"file": str(file), "kernel": spec}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif options.dry_run:
        sys.stdout.write(f"{file}\n{json_.dumps(spec, indent=2)}\n")
    else:
        sys.stderr.write(f"Installed {spec['display_name']}: {file}\n")
