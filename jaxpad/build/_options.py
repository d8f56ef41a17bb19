"""What `build` is asked for, and whether it can be had."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jaxpad
from jaxpad import profiles
from jaxpad.errors import UsageError

DOCKERFILE = "docker/Dockerfile"
CUDA = {"toolbox": "13", "wheels": "12"}  # the major that a base has unless another is asked for
MAJORS = ("12", "13")
TARGETS = ("workspace", "jupyter")


@dataclass(frozen=True)
class Options:
    """What the command line says; an empty word leaves it to us."""

    base: str = "toolbox"
    cuda: str = ""
    profile: str = "base"
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
        return self.cuda or CUDA[self.base]

    @property
    def image(self) -> str:
        """The tag to build."""
        suffix = "" if self.target == "workspace" else f"-{self.target}"
        return self.tag or f"jaxpad:{jaxpad.__version__}-{self.base}-cuda{self.major}{suffix}"

    @property
    def ca_file(self) -> Path | None:
        """The bundle, wherever the command is pasted."""
        return Path(self.ca_bundle).resolve() if self.ca_bundle else None


def require(options: Options, home: Path) -> None:
    """Raises UsageError for an option that is not one of those that can be had."""
    if not (home / DOCKERFILE).is_file():
        raise UsageError("this jaxpad is installed: build works in a checkout")
    _among("base", options.base, tuple(CUDA))
    _among("cuda", options.major, MAJORS)
    _among("target", options.target, TARGETS)
    _among("profile", options.profile, profiles.names())
    if options.ca_bundle and not _holds_certificates(Path(options.ca_bundle)):
        raise UsageError(
            f"--ca-bundle {options.ca_bundle} is not a readable file of certificates in PEM form; "
            "Debian's is /etc/ssl/certs/ca-certificates.crt"
        )


def _among(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = profiles.did_you_mean(value, known) or f"; expected {profiles.listed(known, 'or')}"
        raise UsageError(f"--{name} {value!r} is not known{hint}")


def _holds_certificates(bundle: Path) -> bool:
    try:
        return "BEGIN CERTIFICATE" in bundle.read_text(errors="replace")
    except OSError:
        return False
