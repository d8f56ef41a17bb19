"""What the commands take that only a checkout has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxpad.commands.options import ENGINES, JSON, option


def _pins() -> Path:
    from jaxpad.core.paths import found  # here: `--help` reads no project

    return found("requirements")


@dataclass(frozen=True)
class LockOptions:
    """The pins."""

    upgrade: bool = option("take newer versions where there are some", False)


@dataclass(frozen=True)
class AuditOptions:
    """The pins, held to a service."""

    requirements: Path = option(
        "the folder of the pins and of audit.toml; default: the checkout's own",
        factory=_pins,
        value="FOLDER",
    )
    service: str = option("whom to ask", "pypi", choices=("pypi", "osv"))
    osv_url: str = option(
        "with --service osv: its query address; default: the public one", value="URL"
    )
    json: bool = option(JSON, False)


@dataclass(frozen=True)
class SbomOptions:
    """An image's packages."""

    image: str = option("the image to ask; default: this environment")
    engine: str = option("the engine; default: the first that answers", choices=ENGINES)
    out: str = option("the file to write, - for standard output", "sbom.cdx.json", value="FILE")


@dataclass(frozen=True)
class LintOptions:
    """Style, types and scripts."""

    fix: bool = option("fix what can be fixed", False)


@dataclass(frozen=True)
class DocsOptions:
    """Generated tables and pictures."""

    check: bool = option("only say which pages are out of date; 1 if any is", False)
    pictures: bool = option("take the screenshots anew, with Chromium", False)
    record: bool = option("run the smoke suite for the output that the README shows", False)


@dataclass(frozen=True)
class SiteOptions:
    """The docs site."""

    out: Path = option("the folder to build into", Path("site"), value="FOLDER")
    serve: bool = option("show it on loopback while you write", False)


@dataclass(frozen=True)
class OwnTestsOptions:
    """The project's own tests."""

    k: str = option("only the tests this expression names", value="EXPRESSION")
    quick: bool = option(
        "leave out what takes over a second: containers, Slurm, browsers, the compiler", False
    )
    jax_only: bool = option("only what another JAX can change, for a second Python", False)
    workers: int = option(
        "how many tests run at a time; default: one more than there are cores", 0, least=0
    )
