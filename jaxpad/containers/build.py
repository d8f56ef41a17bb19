"""`build`: what is asked for, the commands, and in one sentence why one failed."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
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
from jaxpad.commands.machine import BuildOptions
from jaxpad.containers import engine as containers_engine
from jaxpad.containers.engine import Build
from jaxpad.containers.engines.apptainer import Apptainer
from jaxpad.containers.engines.oci import Oci
from jaxpad.core import child
from jaxpad.core.paths import HOME, settings
from jaxpad.core.results import UsageError, Verdict

# What `build` is asked for, and whether it can be had.

DOCKERFILE = "docker/Dockerfile"
CUDA = {"toolbox": "13", "wheels": "12"}  # the major that a base has unless another is asked for


@dataclass(frozen=True)
class Options(BuildOptions):
    """What the command line says, and the project's own choice where it says nothing."""

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
    _require_cuda(options, home)
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
    there = stage in (home / DOCKERFILE).read_text(encoding="utf-8")
    if not (pins.is_file() if options.base == "wheels" else there):
        lacks = pins.relative_to(home) if options.base == "wheels" else "a base for it"
        raise UsageError(
            f"--cuda {options.major}: this project lacks {lacks}; it was made for another CUDA, "
            "see configs/project.toml"
        )


def _bases(home: Path) -> tuple[str, ...]:
    """Those that the Dockerfile has: a project keeps the one that it chose."""
    text = (home / DOCKERFILE).read_text(encoding="utf-8")
    return tuple(base for base in CUDA if f" AS base-{base}\n" in text)


def _among(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = profiles.did_you_mean(value, known) or f"; expected {profiles.listed(known, 'or')}"
        raise UsageError(f"--{name} {value!r} is not known{hint}")


_BUNDLE = 16 << 20  # bytes that are looked at; Debian's has 0.2 MB


def _holds_certificates(bundle: Path) -> bool:
    """A plain file, or a link to one as Fedora has it, with certificates in its beginning."""
    try:
        with bundle.open("rb") if bundle.is_file() else io.BytesIO() as file:
            return b"BEGIN CERTIFICATE" in file.read(_BUNDLE)
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
    found: list[tuple[str, str]] = _FROM.findall((home / DOCKERFILE).read_text(encoding="utf-8"))
    stages = {stage: image for image, stage in found}
    return stages["debian" if options.base == "wheels" else f"toolbox-cuda{options.major}"]


def pinned(options: Options, home: Path) -> dict[str, str]:
    """The JAX that the pins have for the newest Python: what a wheels base will hold.

    What a toolbox base holds only a build knows. A project on one has no pins for a base: its
    CPU's are near enough for a dry run.
    """
    of_base = home / f"requirements/jax-cuda{options.major}.txt"
    text = (of_base if of_base.is_file() else home / "requirements/cpu.txt").read_text(
        encoding="utf-8"
    )
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
    return Step((*run, _base(options, home).tag, "-P", "-m", "pip", "list", "--format", "json"))


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


def build_command(options: BuildOptions) -> int:
    """`build` as it is typed, of this checkout."""
    return build(Options(**dataclasses.asdict(options)))


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
    dockerfile = (
        (home / DOCKERFILE).read_text(encoding="utf-8") + step.appended if step.appended else ""
    )
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
