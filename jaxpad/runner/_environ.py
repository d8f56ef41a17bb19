"""The environment each check file's child runs in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jaxpad import paths, platforms
from jaxpad.facts import FACTS, Facts

THROUGHPUT = "test_throughput.py"  # alone keeps JAX's preallocation: it measures as users run


def for_jax(environ: Mapping[str, str], facts: Facts) -> dict[str, str]:
    """`environ` with the platform, JAX's compilation cache and our package's place set."""
    chosen = platforms.jax_platforms(facts.expected)
    return paths.importable(environ) | chosen | _cache(facts)


def for_file(environ: Mapping[str, str], facts: Path, file: str) -> dict[str, str]:
    """`environ` for the checks of `file`: the facts' place, and pytest left to itself.

    Plugins and options the user's environment would add could change what is tested.
    """
    added = {FACTS: str(facts), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if file != THROUGHPUT:
        added["XLA_PYTHON_CLIENT_PREALLOCATE"] = environ.get(
            "XLA_PYTHON_CLIENT_PREALLOCATE", "false"
        )
    return {name: value for name, value in environ.items() if name != "PYTEST_ADDOPTS"} | added


def _cache(facts: Facts) -> dict[str, str]:
    """Every program is kept, however quick its compile; none if the folder is not writable."""
    if facts.cache_problem:
        return {"JAX_ENABLE_COMPILATION_CACHE": "false"}
    return {
        "JAX_COMPILATION_CACHE_DIR": facts.cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
