"""`sbom`: ask an image, or this environment, what is installed, and write it down."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxpad.containers import engine as containers_engine
from jaxpad.containers.engines.oci import Oci
from jaxpad.core import child, files
from jaxpad.core.paths import settings
from jaxpad.core.results import UsageError
from tools import sbom_collect
from tools.options import SbomOptions

_HERE = "-"
_LIMIT_S = 3600.0  # the engine may have to pull the image first
_HELP = re.compile(r"(Run|See) 'docker run --help'")  # clients from 28 on, and those before


def sbom(options: SbomOptions) -> int:
    """Write the document; 0.

    Raises UsageError for an image that is not here or has no Python, no cyclonedx, a file that
    cannot be written.
    """
    try:
        from tools import sbom_document
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed: run this with the development packages, "
            "python3 -m jaxpad.bootstrap --packages dev sbom"
        ) from error
    found, labels = _of_image(options) if options.image else (sbom_collect.found(), {})
    name = options.image or f"{settings().name} environment"
    document = sbom_document.document_text(found, name, labels, _made(os.environ))
    _write(options.out, document)
    counts = f"{len(found['python'])} of Python and {len(found['debian'])} of Debian"
    where = "standard output" if options.out == _HERE else options.out
    sys.stderr.write(f"{name}: {counts} packages, CycloneDX 1.6 in {where}\n")
    return 0


def _of_image(options: SbomOptions) -> tuple[dict[str, Any], Mapping[str, str]]:
    engine = containers_engine.find(options.engine or None)
    if not isinstance(engine, Oci):
        raise UsageError(f"{engine.name} images are not read; take docker or podman")
    image = containers_engine.inspect(engine, options.image)
    done = child.run(collect_argv(engine.program, options.image), limit_s=_LIMIT_S)
    if done.code:
        late = f"no answer within {_LIMIT_S:.0f} s{done.note}"
        said = late if done.late else _reason(done.err)
        raise UsageError(f"--image {options.image} cannot be asked what is in it: {said}")
    found: dict[str, Any] = json.loads(done.out)
    return found, (image.labels if image else {}) or {"io.jaxpad.reference": options.image}


def _reason(stderr: str) -> str:
    """The engine's last line; docker ends with where to find help, which is no reason."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if not _HELP.match(line)]
    return (told or ["it gives no reason"])[-1]


def collect_argv(program: str, image: str) -> list[str]:
    """Run the collector in the image: as its user, with no network and nothing mounted."""
    run = [program, "run", "--rm", "--network", "none", "--entrypoint", "python3"]
    return [*run, image, "-P", "-c", Path(sbom_collect.__file__).read_text(encoding="utf-8")]


def _made(environ: Mapping[str, str]) -> datetime.datetime:
    """SOURCE_DATE_EPOCH, else now: https://reproducible-builds.org/specs/source-date-epoch/."""
    given = environ.get("SOURCE_DATE_EPOCH", "")
    if not given:
        return datetime.datetime.now(datetime.UTC)
    with contextlib.suppress(ValueError, OverflowError, OSError):  # a year that there is not
        if given.isdecimal():
            return datetime.datetime.fromtimestamp(int(given), datetime.UTC)
    raise UsageError(f"SOURCE_DATE_EPOCH is {given!r}, expected seconds since 1970; unset it")


def _write(out: str, document: str) -> None:
    """Whole or not at all."""
    if out == _HERE:
        sys.stdout.write(document)
        return
    file = Path(out)
    try:
        files.write_whole(file, document)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written ({error.strerror}); give another --out"
        ) from error
