"""Which of this machine's programs the tests mean: several of one name may lie on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SBIN = "/usr/sbin:/sbin"  # Debian keeps daemons where not everyone's PATH looks
PLAIN = ("chromium", "cc", "debootstrap", "slurmd", "git")  # named without their version


def docker() -> str:
    """The docker client that can build: the distribution's own, wherever another lies on PATH."""
    distribution = "/usr/bin/docker"
    return distribution if Path(distribution).exists() else shutil.which("docker") or "docker"


def found(name: str) -> str | None:
    """Where a program lies, a daemon too."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:{SBIN}")


def report() -> list[str]:
    """What pytest prints before the tests: each program's path, and the version of engines."""
    first, meant = shutil.which("docker"), docker()
    other = [f"not {first} ({_version(first)})"] if first and first != meant else []
    words = [f"{meant} ({_version(meant)})", *other, f"dockerd: {found('dockerd')}"]
    podman = found("podman")
    words += [f"podman: {podman} ({_version(podman)})" if podman else "podman: None"]
    return [
        f"docker: {', '.join(words)}",
        ", ".join(f"{name}: {found(name)}" for name in PLAIN),
    ]


def _version(program: str) -> str:
    """The version in a line such as `Docker version 20.10.24, build 297e128`."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be run: {error}"
    words = done.stdout.partition("version ")[2].split()
    return words[0].rstrip(",") if words else "of unknown version"
