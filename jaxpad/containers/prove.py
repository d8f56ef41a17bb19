"""What the build's last RUN asks of the image it has made.

Run as `python3 -m jaxpad.containers.prove BASE CUDA`.

The profiles are rendered for the image's own jaxlib and put to its XLA, and ENV is held to the
profile it claims to have. Ends with a sentence and code 1 if the image is not what it says.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import jaxpad
from jaxpad import flags, profiles
from jaxpad.core.results import UsageError
from jaxpad.effects import matrix
from jaxpad.machine import devices

SHARE = Path("/usr/local/share/jaxpad")


def prove(base: str, cuda: str, environ: Mapping[str, str], share: Path = SHARE) -> None:
    """Render and check every profile, and describe the image in image.json.

    Raises UsageError for a flag that this XLA refuses, and for an ENV that is not what the
    baked profile renders to.
    """
    version = flags.jaxlib_version()
    for name in profiles.names():
        profile = profiles.load(name)
        for note in filter(None, [*flags.check(profile), matrix.unproven(profile)]):
            sys.stdout.write(f"note: {name}: {note}\n")
    _baked(environ, version)
    share.mkdir(parents=True, exist_ok=True)
    profiles.write(share / "profiles", version)
    described = describe(base, cuda, environ)
    (share / "image.json").write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"proven: {described}\n")


def _baked(environ: Mapping[str, str], version: str) -> None:
    profile = environ.get("JAXPAD_BAKED_PROFILE", "")
    flags_ = profiles.render(profiles.load(profile), version)
    own = environ.get("JAXPAD_BASE_XLA_FLAGS", "")
    wanted = f"{own} {flags_}".split()
    if environ.get("XLA_FLAGS", "").split() != wanted:
        raise UsageError(
            f"profile {profile} is {flags_!r} for jaxlib {version} and ENV has XLA_FLAGS="
            f"{environ.get('XLA_FLAGS')!r}; build with `invoke build`, or give docker build "
            f"--build-arg {shlex.quote(f'PROFILE_FLAGS={flags_}')}"
        )


def describe(base: str, cuda: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The image in a few facts; the smoke report has them, and the labels say the same."""
    packages = devices.installed()
    return {
        "jaxpad": jaxpad.__version__,
        "base": base,
        "cuda": cuda,
        "profile": environ["JAXPAD_BAKED_PROFILE"],
        "python": platform.python_version(),
        "jax": packages["jax"],
        "jaxlib": packages["jaxlib"],
    }


def main() -> None:
    """Prove the image this runs in."""
    base, cuda = sys.argv[1:]
    try:
        prove(base, cuda, os.environ)
    except UsageError as error:
        sys.exit(f"jaxpad: {error}")


if __name__ == "__main__":
    main()
