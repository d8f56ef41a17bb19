"""`smoke` as it is typed: here, or inside the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxpad import smoke, smoke_in
from jaxpad.containers import Wanted


@dataclass(frozen=True)
class Options:
    """The words of the command line; an empty one leaves it to us."""

    profile: str
    on: str
    image: str
    gpus: str
    platform: str
    k: str
    out: str
    limit: str
    thresholds: str
    strict: bool
    json: bool
    dry_run: bool
    no_redact: bool


def smoke_command(options: Options) -> int:
    """Run the suite where it is asked for and return its exit code.

    Raises UsageError as `smoke` and `smoke_in` do.
    """
    suite = smoke.Options(
        profile=options.profile or None,
        platform=options.platform,
        select=options.k or None,
        out=Path(options.out),
        limit=smoke.seconds(options.limit),
        as_json=options.json,
        dry_run=options.dry_run,
        redact=not options.no_redact,
        thresholds=Path(options.thresholds) if options.thresholds else None,
        strict=options.strict,
    )
    if not (options.on or options.image or options.gpus):
        return smoke.smoke(suite)
    wanted = Wanted(image=options.image, engine=options.on, gpus=options.gpus)
    return smoke_in.smoke_in(suite, wanted)
