"""What the built image says of itself, and the pins and tags this is read from.

Keys: https://github.com/opencontainers/image-spec/blob/main/annotations.md
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from pathlib import Path

from jaxpad.build._options import DOCKERFILE, Options
from jaxpad.core import child
from jaxpad.project import project

_OCI = "org.opencontainers.image."
_OURS = "io.jaxpad."
_GIT_S = 60.0
_FROM = re.compile(r"^FROM (\S+) AS (\S+)$", re.MULTILINE)


def labels(options: Options, versions: Mapping[str, str], home: Path) -> dict[str, str]:
    """The labels that only a build knows; the Dockerfile has those that never change."""
    revision = _git(home, "rev-parse", "HEAD")
    return {
        f"{_OCI}version": project().version,
        f"{_OCI}created": _created(home),
        f"{_OCI}base.name": base_name(options, home),
        **({f"{_OCI}revision": revision} if revision else {}),
        f"{_OURS}jax": versions["jax"],
        f"{_OURS}jaxlib": versions["jaxlib"],
    }


def base_name(options: Options, home: Path) -> str:
    """The image that the Dockerfile's base is from."""
    found: list[tuple[str, str]] = _FROM.findall((home / DOCKERFILE).read_text())
    stages = {stage: image for image, stage in found}
    return stages["debian" if options.base == "wheels" else f"toolbox-cuda{options.major}"]


def pinned(options: Options, home: Path) -> dict[str, str]:
    """The JAX that the pins have for the newest Python: what a wheels base will hold.

    What a toolbox base holds only a build knows. A project on one has no pins for a base: its
    CPU's are near enough for a dry run.
    """
    of_base = home / f"requirements/jax-cuda{options.major}.txt"
    text = (of_base if of_base.is_file() else home / "requirements/cpu.txt").read_text()
    pins = re.findall(r"^(jax|jaxlib)==(\S+)", text, re.MULTILINE)
    return dict(pins)  # the newest comes last


def epoch(home: Path) -> str:
    """SOURCE_DATE_EPOCH: the caller's, else the commit's; empty outside git.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    return os.environ.get("SOURCE_DATE_EPOCH") or _git(home, "log", "-1", "--format=%ct")


def _created(home: Path) -> str:
    seconds = epoch(home)
    now = datetime.datetime.now(datetime.UTC)
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC) if seconds else now
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _git(home: Path, *words: str) -> str:
    try:
        done = child.run(["git", "-C", str(home), *words], limit_s=_GIT_S)
    except FileNotFoundError:
        return ""
    return done.out.strip() if done.code == 0 else ""
