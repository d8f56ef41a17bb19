"""What `build` is asked for, and whether it can be had."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from jaxpad import profiles
from jaxpad.errors import UsageError
from jaxpad.project import project

DOCKERFILE = "docker/Dockerfile"
CUDA = {"toolbox": "13", "wheels": "12"}  # the major that a base has unless another is asked for
MAJORS = ("12", "13")
TARGETS = ("workspace", "jupyter")


@dataclass(frozen=True)
class Options:
    """What the command line says, and the project's own choice where it says nothing."""

    base: str = field(default_factory=lambda: project().base)
    cuda: str = ""
    profile: str = field(default_factory=lambda: project().profile)
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
        own = project()
        return self.cuda or (own.cuda if self.base == own.base else "") or CUDA[self.base]

    @property
    def image(self) -> str:
        """The tag to build."""
        suffix = "" if self.target == "workspace" else f"-{self.target}"
        own = project()
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
