"""What the tests of the images share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import programs
from helpers import HOME, environ

CA = Path("/etc/ssl/certs/ca-certificates.crt")
NETWORK = ("--network", "host")  # for steps that reach package registries through this machine
Done = subprocess.CompletedProcess[str]
engine = programs.docker


@dataclass(frozen=True)
class Built:
    """An image, and what its build printed."""

    name: str
    log: str


def docker(*words: str, **more: Any) -> Done:
    """Run docker and give back what it printed, whatever its exit code."""
    variables = os.environ | {"DOCKER_BUILDKIT": "1"}
    return subprocess.run([engine(), *words], capture_output=True, text=True, env=variables, **more)


def output(argv: Sequence[str], stdin: IO[bytes] | None = None) -> str:
    """What a command that must succeed prints."""
    variables = os.environ | {"DOCKER_BUILDKIT": "1"}
    done = subprocess.run(argv, stdin=stdin, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, f"{argv}: {done.stderr[-3000:]}"
    return done.stdout


def run(built: Built, *words: str, options: Sequence[str] = ()) -> Done:
    """`docker run --rm` of an image."""
    return docker("run", "--rm", *options, built.name, *words)


def jaxpad(*words: str, cwd: Path = HOME, wrap: Sequence[str] = (), **added: str) -> Done:
    """The command line, as a user gives it, where the docker that the tests mean comes first."""
    argv = [*wrap, sys.executable, "-m", "jaxpad", *words]
    return subprocess.run(argv, env=variables(**added), cwd=cwd, capture_output=True, text=True)


def variables(**added: str) -> dict[str, str]:
    """`helpers.environ`, where the docker that the tests mean comes first on PATH."""
    path = f"{Path(engine()).parent}{os.pathsep}{os.environ['PATH']}"
    return environ(**{"PATH": path} | added)


def inspect(name: str) -> dict[str, Any]:
    """What docker knows of an image or a container."""
    found: dict[str, Any] = json.loads(output([engine(), "inspect", name]))[0]
    return found


def require_baked_profile(report: Mapping[str, Any]) -> None:
    """The options of a compiled program tell that the profile in ENV holds, and nothing else."""
    assert report["profile"] == "base"
    effect = next(check for check in report["checks"] if check["name"] == "test_flags_in_effect")
    in_effect = {number["name"]: number["value"] for number in effect["measurements"]}
    assert in_effect["xla_gpu_enable_latency_hiding_scheduler"] == "true"
    flags = {flag["name"]: flag["origin"] for flag in report["xla_flags"]["flags"]}
    assert flags == {"xla_gpu_enable_latency_hiding_scheduler": "profile base"}
