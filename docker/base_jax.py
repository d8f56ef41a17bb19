"""The JAX of the base image: `record` it before anything is added, `check` it afterwards.

Standard library only, and no part of jaxpad: it runs before jaxpad is in the image.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import metadata
from pathlib import Path

FOLDER = Path("/opt/jaxpad")
RECORD = FOLDER / "base-jax.json"
CONSTRAINTS = FOLDER / "constraints.txt"  # what `pip install` in the image may not change
OURS = ("jax-", "jaxlib", "nvidia-")


def found() -> dict[str, str]:
    """Where jax and jaxlib lie, and the version of every package of JAX's and NVIDIA's."""
    specs = {name: importlib.util.find_spec(name) for name in ("jax", "jaxlib")}
    places = {name: str(spec and spec.origin) for name, spec in specs.items()}
    return places | dict(sorted(_versions()))


def _versions() -> list[tuple[str, str]]:
    names = [(dist.metadata["Name"] or "", dist.version) for dist in metadata.distributions()]
    return [(f"{name}==", version) for name, version in names if _of_jax(name.lower())]


def _of_jax(name: str) -> bool:
    return name == "jax" or (name.startswith(OURS) and name != "nvidia-ml-py")


def record() -> None:
    """Write down what is there, also as constraints for pip."""
    now = found()
    RECORD.write_text(json.dumps(now, indent=1) + "\n")
    pins = [name + version for name, version in now.items() if name.endswith("==")]
    CONSTRAINTS.write_text("".join(f"{pin}\n" for pin in pins))


def check() -> None:
    """End with a sentence if the base's JAX is not what it was."""
    before, now = json.loads(RECORD.read_text()), found()
    changed = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    if changed:
        sys.exit(f"jaxpad: the build has changed the base image's own {', '.join(sorted(changed))}")


if __name__ == "__main__":
    {"record": record, "check": check}[sys.argv[1]]()
