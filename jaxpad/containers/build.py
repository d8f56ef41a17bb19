"""Run the commands of a build, and say in one sentence why one failed."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jaxpad import profiles
from jaxpad.containers import engine as containers_engine
from jaxpad.containers.build_options import (
    DOCKERFILE,
    Options,
    base_name,
    epoch,
    labels,
    pinned,
    require,
)
from jaxpad.containers.engine import Build
from jaxpad.containers.engines.apptainer import Apptainer
from jaxpad.containers.engines.oci import Oci
from jaxpad.core import child
from jaxpad.core.paths import HOME, settings
from jaxpad.core.results import UsageError, Verdict

# What a failed build says, in one sentence where the cause is a known one.

_FULL = re.compile(r"no space left on device", re.IGNORECASE)
_PULL = re.compile(
    r"failed to (?:resolve|do request|load metadata|authorize|copy)|pull access denied|"
    r"manifest unknown|error (?:creating build container|initializing source)|"
    r"unable to (?:pull|copy from)|Error response from daemon: Get ",
    re.IGNORECASE,
)
_TLS = re.compile(r"CERTIFICATE_VERIFY_FAILED|certificate signed by unknown authority", re.I)


def cause(output: str, base: str) -> str | None:
    """The sentence for a full disk, a base that cannot be pulled, a proxy's certificate."""
    if _FULL.search(output):
        return "the engine's disk is full; free space, for example with `docker system prune`"
    if _TLS.search(output):
        return (
            "a certificate is not trusted, as behind a proxy that opens TLS; give its bundle "
            "with --ca-bundle, it is not kept in the image"
        )
    if _PULL.search(output):
        return f"the base image {base} cannot be pulled; the engine's reason is above"
    return None


# The commands of a build, each as it would be typed.

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


def base_step(options: Options, engine: Oci, home: Path) -> Step:
    """Build the base alone: the layers that the whole image takes from the cache."""
    return Step(tuple(engine.build_argv(_base(options, home))))


def version_step(options: Options, engine: Oci, home: Path) -> Step:
    """List the base's Python packages, as JSON."""
    run = [engine.program, "run", "--rm", "--network", "none", "--entrypoint", "python3"]
    return Step((*run, _base(options, home).tag, "-m", "pip", "list", "--format", "json"))


def later_steps(
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
        tag=f"{settings().name}-base:{options.base}-cuda{options.major}",
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


_ASK_S = 600.0  # for a container of the base to say what is installed in it
_TAIL = 100  # lines of output that are searched for the cause of a failure


def build(options: Options, home: Path = HOME) -> int:
    """Build the image: 0, or 1 where a step of the Dockerfile fails.

    Raises UsageError for bad options, no engine, a full disk, a base that cannot be pulled.
    """
    require(options, home)
    engine, apptainer = _engines(options)
    first, ask = base_step(options, engine, home), version_step(options, engine, home)
    if options.dry_run:
        steps = later_steps(options, engine, apptainer, pinned(options, home), home)
        sys.stdout.write(" && ".join(step.line(home) for step in (first, ask, *steps)) + "\n")
        return 0
    built = _run(first, options, home) and _build_on(ask, options, engine, apptainer, home)
    sys.stderr.write(
        f"Built {options.image}\n" if built else "jaxpad: the build failed, see above\n"
    )
    return 0 if built else Verdict.FAIL.exit_code


def _engines(options: Options) -> tuple[Oci, Apptainer | None]:
    engine = containers_engine.find(options.engine or None, building=True)
    if not isinstance(engine, Oci):
        raise UsageError(f"{engine.name} builds no Dockerfile; take docker or podman")
    sys.stderr.write(f"Engine: {engine.name} ({engine.program})\n")
    apptainer = containers_engine.find("apptainer") if options.sif else None
    return engine, apptainer if isinstance(apptainer, Apptainer) else None


def _build_on(
    ask: Step, options: Options, engine: Oci, apptainer: Apptainer | None, home: Path
) -> bool:
    steps = later_steps(options, engine, apptainer, _versions(ask), home)
    return all(_run(step, options, home) for step in steps)


def _versions(ask: Step) -> dict[str, str]:
    """The base's JAX; raises UsageError for a base that has none."""
    done = child.run(ask.argv, limit_s=_ASK_S)
    if done.code:
        said = f"no answer within {_ASK_S:.0f} s{done.note}" if done.late else done.err.strip()
        raise UsageError(f"the base image does not run: {said}")
    versions = {package["name"]: package["version"] for package in json.loads(done.out)}
    if not {"jax", "jaxlib"} <= versions.keys():
        raise UsageError(
            "the base image has no jax or no jaxlib; name another in docker/Dockerfile"
        )
    return versions


def _run(step: Step, options: Options, home: Path) -> bool:
    """Run one step with its output on stderr; raises UsageError where the cause is known."""
    sys.stderr.write(f"+ {step.line(home)}\n")
    sys.stderr.flush()
    code, tail = _follow(step, home)
    known = cause(tail, base_name(options, home)) if code else None
    if known:
        raise UsageError(known)
    return code == 0


def _follow(step: Step, home: Path) -> tuple[int, str]:
    """The exit code and the last lines of the output, which is passed on as it comes."""
    dockerfile = (home / DOCKERFILE).read_text() + step.appended if step.appended else ""
    tail: deque[str] = deque(maxlen=_TAIL)
    pipe = child.PIPE
    with child.start(
        step.argv, stdin=pipe, stdout=pipe, stderr=child.STDOUT, session=False
    ) as building:
        assert building.stdin
        assert building.stdout
        with contextlib.suppress(BrokenPipeError), building.stdin:  # it says itself what is wrong
            building.stdin.write(dockerfile.encode())
        for line in io.TextIOWrapper(building.stdout, encoding="utf-8", errors="replace"):
            sys.stderr.write(line)
            tail.append(line)
        code = building.wait()
    assert code is not None  # without a limit, `wait` waits for it
    return code, "".join(tail)
