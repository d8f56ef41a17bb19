"""Run the commands of a build, and say in one sentence why one failed."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections import deque
from pathlib import Path

from jaxpad import engines
from jaxpad.build import _steps
from jaxpad.build._failure import cause
from jaxpad.build._labels import base_name, pinned
from jaxpad.build._options import DOCKERFILE, Options, require
from jaxpad.build._steps import Step
from jaxpad.core import child
from jaxpad.engines import Apptainer, Oci
from jaxpad.errors import UsageError
from jaxpad.paths import HOME
from jaxpad.verdict import Verdict

_ASK_S = 600.0  # for a container of the base to say what is installed in it
_TAIL = 100  # lines of output that are searched for the cause of a failure


def build(options: Options, home: Path = HOME) -> int:
    """Build the image: 0, or 1 where a step of the Dockerfile fails.

    Raises UsageError for bad options, no engine, a full disk, a base that cannot be pulled.
    """
    require(options, home)
    engine, apptainer = _engines(options)
    first, ask = _steps.base(options, engine, home), _steps.ask(options, engine, home)
    if options.dry_run:
        steps = _steps.rest(options, engine, apptainer, pinned(options, home), home)
        sys.stdout.write(" && ".join(step.line(home) for step in (first, ask, *steps)) + "\n")
        return 0
    built = _run(first, options, home) and _build_on(ask, options, engine, apptainer, home)
    sys.stderr.write(
        f"Built {options.image}\n" if built else "jaxpad: the build failed, see above\n"
    )
    return 0 if built else Verdict.FAIL.exit_code


def _engines(options: Options) -> tuple[Oci, Apptainer | None]:
    engine = engines.find(options.engine or None, building=True)
    if not isinstance(engine, Oci):
        raise UsageError(f"{engine.name} builds no Dockerfile; take docker or podman")
    sys.stderr.write(f"Engine: {engine.name} ({engine.program})\n")
    apptainer = engines.find("apptainer") if options.sif else None
    return engine, apptainer if isinstance(apptainer, Apptainer) else None


def _build_on(
    ask: Step, options: Options, engine: Oci, apptainer: Apptainer | None, home: Path
) -> bool:
    steps = _steps.rest(options, engine, apptainer, _versions(ask), home)
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
