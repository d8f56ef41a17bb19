"""What `build` is asked for, and whether it can be had."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jaxpad import profiles
from jaxpad.core import child
from jaxpad.core.paths import settings
from jaxpad.core.results import UsageError

DOCKERFILE = "docker/Dockerfile"
CUDA = {"toolbox": "13", "wheels": "12"}  # the major that a base has unless another is asked for
MAJORS = ("12", "13")
TARGETS = ("workspace", "jupyter")


@dataclass(frozen=True)
class Options:
    """What the command line says, and the project's own choice where it says nothing."""

    base: str = field(default_factory=lambda: settings().base)
    cuda: str = ""
    profile: str = field(default_factory=lambda: settings().profile)
    target: str = "workspace"
    tag: str = ""
    ca_bundle: str = ""
    push: str = ""
    sif: str = ""
    engine: str = ""
    network: str = ""
    dry_run: bool = False

    @property
    def major(self) -> str:
        """The CUDA major version."""
        own = settings()
        return self.cuda or (own.cuda if self.base == own.base else "") or CUDA[self.base]

    @property
    def image(self) -> str:
        """The tag to build."""
        suffix = "" if self.target == "workspace" else f"-{self.target}"
        own = settings()
        tag = f"{own.version}-{self.base}-cuda{self.major}{suffix}"
        return self.tag or f"{own.repository}:{tag}"

    @property
    def ca_file(self) -> Path | None:
        """The bundle, wherever the command is pasted."""
        return Path(self.ca_bundle).resolve() if self.ca_bundle else None


def require(options: Options, home: Path) -> None:
    """Raises UsageError for an option that is not one of those that can be had."""
    if not (home / DOCKERFILE).is_file():
        raise UsageError("this jaxpad is installed: build works in a checkout")
    _among("base", options.base, _bases(home))
    _among("cuda", options.major, MAJORS)
    _require_cuda(options, home)
    _among("target", options.target, TARGETS)
    _among("profile", options.profile, profiles.names())
    if options.ca_bundle and not _holds_certificates(Path(options.ca_bundle)):
        raise UsageError(
            f"--ca-bundle {options.ca_bundle} is not a readable file of certificates in PEM form; "
            "Debian's is /etc/ssl/certs/ca-certificates.crt"
        )


def _require_cuda(options: Options, home: Path) -> None:
    """A project keeps the pins, or the base, of the CUDA that it chose."""
    stage = f" AS toolbox-cuda{options.major}\n"
    pins = home / f"requirements/jax-cuda{options.major}.txt"
    there = stage in (home / DOCKERFILE).read_text()
    if not (pins.is_file() if options.base == "wheels" else there):
        lacks = pins.relative_to(home) if options.base == "wheels" else "a base for it"
        raise UsageError(
            f"--cuda {options.major}: this project lacks {lacks}; it was made for another CUDA, "
            "see configs/project.toml"
        )


def _bases(home: Path) -> tuple[str, ...]:
    """Those that the Dockerfile has: a project keeps the one that it chose."""
    text = (home / DOCKERFILE).read_text()
    return tuple(base for base in CUDA if f" AS base-{base}\n" in text)


def _among(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = profiles.did_you_mean(value, known) or f"; expected {profiles.listed(known, 'or')}"
        raise UsageError(f"--{name} {value!r} is not known{hint}")


def _holds_certificates(bundle: Path) -> bool:
    try:
        return "BEGIN CERTIFICATE" in bundle.read_text(errors="replace")
    except OSError:
        return False


# What the built image says of itself, and the pins and tags this is read from.
#
# Keys: https://github.com/opencontainers/image-spec/blob/main/annotations.md

_OCI = "org.opencontainers.image."
_OURS = "io.jaxpad."
_GIT_S = 60.0
_FROM = re.compile(r"^FROM (\S+) AS (\S+)$", re.MULTILINE)


def labels(options: Options, versions: Mapping[str, str], home: Path) -> dict[str, str]:
    """The labels that only a build knows; the Dockerfile has those that never change."""
    revision = _git(home, "rev-parse", "HEAD")
    return {
        f"{_OCI}version": settings().version,
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
