"""The commands of a build, each as it would be typed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpad import profiles
from jaxpad.build._labels import epoch, labels
from jaxpad.build._options import DOCKERFILE, Options
from jaxpad.engines import Apptainer, Build, Oci
from jaxpad.project import project

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_LAST = "baked"  # the stage that holds a profile's variables


@dataclass(frozen=True)
class Step:
    """One command. `appended` goes behind the Dockerfile, which comes on standard input then."""

    argv: tuple[str, ...]
    appended: str = ""

    def line(self, home: Path) -> str:
        """The command as it can be pasted into a shell."""
        if not self.appended:
            return shlex.join(self.argv)
        file = shlex.quote(str(home / DOCKERFILE))
        words = shlex.quote(self.appended.replace("\\", "\\\\").replace("\n", "\\n"))
        return f"{{ cat {file}; printf %b {words}; }} | {shlex.join(self.argv)}"


def base(options: Options, engine: Oci, home: Path) -> Step:
    """Build the base alone: the layers that the whole image takes from the cache."""
    return Step(tuple(engine.build_argv(_base(options, home))))


def ask(options: Options, engine: Oci, home: Path) -> Step:
    """List the base's Python packages, as JSON."""
    run = [engine.program, "run", "--rm", "--network", "none", "--entrypoint", "python3"]
    return Step((*run, _base(options, home).tag, "-m", "pip", "list", "--format", "json"))


def rest(
    options: Options,
    engine: Oci,
    apptainer: Apptainer | None,
    versions: Mapping[str, str],
    home: Path,
) -> list[Step]:
    """Build the whole image for the JAX its base has, then push and convert it if asked to."""
    steps = [_final(options, engine, versions, home)]
    if options.push:
        steps.append(Step((engine.program, "tag", options.image, options.push)))
        steps.append(Step((engine.program, "push", options.push)))
    if apptainer:
        steps.append(Step(tuple(apptainer.build_argv(options.image, Path(options.sif)))))
    return steps


def _base(options: Options, home: Path) -> Build:
    passed: dict[str, str | None] = {name: None for name in _PROXIES if os.environ.get(name)}
    return Build(
        target=f"base-{options.base}",
        tag=f"{project().name}-base:{options.base}-cuda{options.major}",
        context=home,
        dockerfile=home / DOCKERFILE,
        args={"BASE": options.base, "CUDA": options.major, **passed},
        ca_bundle=options.ca_file,
        network=options.network or None,
    )


def _final(options: Options, engine: Oci, versions: Mapping[str, str], home: Path) -> Step:
    profile = profiles.load(options.profile)
    args = {"PROFILE": profile.name, "PROFILE_FLAGS": profiles.render(profile, versions["jaxlib"])}
    args |= {"SOURCE_DATE_EPOCH": seconds} if (seconds := epoch(home)) else {}
    shared = _base(options, home)
    appended = _variables(profile, options.target)
    image = replace(
        shared,
        target=_LAST if appended else options.target,
        tag=options.image,
        dockerfile=None if appended else shared.dockerfile,
        args={**shared.args, **args},
        labels=labels(options, versions, home),
    )
    return Step(tuple(engine.build_argv(image)), appended)


def _variables(profile: profiles.Profile, target: str) -> str:
    """A last stage with the profile's variables in ENV, whose names no argument can carry."""
    found = profiles.environment(profile)
    if not found:
        return ""
    lines = [f"ENV {name}={_quoted(value)}\n" for name, value in found.items()]
    return f"\nFROM {target} AS {_LAST}\n{''.join(lines)}"


def _quoted(value: str) -> str:
    """The value as the Dockerfile's ENV reads it back."""
    for special in ("\\", '"', "$"):
        value = value.replace(special, f"\\{special}")
    return f'"{value}"'
