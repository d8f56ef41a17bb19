"""Where the folders that a user sees (configs, smoke_tests, tasks.py) are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _home() -> Path:
    checkout = _PACKAGE.parent
    return checkout if (checkout / "tasks.py").is_file() else _PACKAGE / "_home"


HOME = _home()  # the checkout, or the copy inside an installed package
CONFIGS = HOME / "configs"
SMOKE_TESTS = HOME / "smoke_tests"


def importable(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` for a child Python that imports this very package, installed or not.

    And nothing from the current folder: neither as Python does where it is not told otherwise,
    nor for an empty part of PYTHONPATH, which means that folder.
    """
    parts = [str(_PACKAGE.parent), *environ.get("PYTHONPATH", "").split(os.pathsep)]
    ours = {"PYTHONPATH": os.pathsep.join(filter(None, parts)), "PYTHONSAFEPATH": "1"}
    return dict(environ) | ours


def user_cache() -> Path:
    """The user's cache folder for jaxpad: $XDG_CACHE_HOME/jaxpad or ~/.cache/jaxpad.

    Source: the XDG base directory specification, which says to ignore a relative path.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return (base if base.is_absolute() else _home_folder() / ".cache") / "jaxpad"


def _home_folder() -> Path:
    """The user's home; a folder of their own under /tmp for a uid that has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(tempfile.gettempdir()) / f"home-{os.getuid()}"
