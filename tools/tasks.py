"""The tasks that only a checkout has: they keep its pins, style, tests and docs in order."""

from __future__ import annotations

from pathlib import Path

from invoke import Context

from jaxpad.cli.tasking import JSON, call, command, perform, refusals
from jaxpad.core.paths import HOME, found


@command(help={"upgrade": "take newer versions where there are some"})
def lock(_c: Context, upgrade: bool = False) -> None:
    """Renew the hash-pinned requirements/*.txt from requirements/*.in."""
    call("tools.upkeep:lock", HOME, upgrade=upgrade)


@command(
    help={
        "requirements": "the folder of the pins and of audit.toml; default: the checkout's own",
        "service": "whom to ask: pypi or osv",
        "osv-url": "with --service osv: its query address; default: the public one",
        "json": JSON,
    }
)
def audit(
    _c: Context,
    requirements: str = "",
    service: str = "pypi",
    osv_url: str = "",
    json: bool = False,
) -> None:
    """Say which pins have known vulnerabilities."""
    given = dict(locals())
    with refusals():
        given["requirements"] = Path(requirements or found("requirements"))
    perform("tools.audit:audit", given)


@command(
    help={
        "image": "the image to ask; default: this environment",
        "engine": "docker or podman; default: the first that answers",
        "out": "the file to write, - for standard output; default: sbom.cdx.json",
    }
)
def sbom(_c: Context, image: str = "", engine: str = "", out: str = "") -> None:
    """Write down every package of an image, as a CycloneDX document."""
    perform("tools.sbom:sbom", locals())


@command(help={"fix": "mend what can be mended"})
def lint(_c: Context, fix: bool = False) -> None:
    """Check style, types and shell scripts."""
    call("tools.upkeep:lint", HOME, fix=fix)


@command(
    help={
        "check": "only say which pages are out of date; 1 if any is",
        "pictures": "take the screenshots anew, with Chromium",
        "record": "run the smoke suite for the output that the README shows",
    }
)
def docs(_c: Context, check: bool = False, pictures: bool = False, record: bool = False) -> None:
    """Renew the generated tables in README.md and docs/."""
    call("tools.docs:docs", HOME, check=check, pictures=pictures, record=record)


@command(help={"out": "the folder to build into", "serve": "show it on loopback while you write"})
def site(_c: Context, out: str = "site", serve: bool = False) -> None:
    """Build the docs site."""
    perform("tools.site:site", locals())


@command(
    help={
        "k": "only the tests this expression names",
        "quick": "leave out what takes over a second: containers, Slurm, browsers, the compiler",
        "jax-only": "only what another JAX can change, for a second Python",
        "workers": "how many tests run at a time; default: one more than there are cores",
    }
)
def test(
    _c: Context, k: str = "", quick: bool = False, jax_only: bool = False, workers: int = 0
) -> None:
    """Run the project's own tests."""
    call("tools.upkeep:test", HOME, select=k, quick=quick, jax_only=jax_only, workers=workers)


TASKS = (lock, audit, sbom, lint, docs, site, test)
