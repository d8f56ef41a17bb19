"""What keeps this repository in order: pins, style, its own tests."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxpad.core import child
from jaxpad.core.paths import HOME
from jaxpad.core.results import UsageError
from tools.options import LintOptions, LockOptions, OwnTestsOptions

SETS = ("cpu", "cuda12", "cuda13", "proof", "dev")  # an environment each
# Installed beside a JAX that is there already, so they must not bring what it is built against.
JAX = ("jax", "jaxlib", "ml-dtypes", "numpy", "opt-einsum", "scipy")
NOT_IN = {"toolkit": JAX, "project": JAX}
# What the Dockerfile installs.
IMAGE_SETS = ("jax-cuda12", "jax-cuda13", "toolkit", "project", "jupyter")
SLURM = "configs/clusters/slurm"
SCRIPTS = (
    *(".ci/run", "docker/entrypoint", "docker/jaxpad", "docker/with-profile"),
    *(f"{SLURM}/hook", f"{SLURM}/train.sbatch", f"{SLURM}/train-pyxis.sbatch"),
    *(f"{SLURM}/train-apptainer.sbatch", "tests/slurm/start"),
)
DOCKERFILES = ("docker/Dockerfile", "tests/image/toolbox/Dockerfile")
GITHUB = ".github"
# The schema that check-jsonschema ships for each of GitHub's files; the first pattern counts.
SCHEMAS = {
    "workflows/*.y*ml": "github-workflows",
    "dependabot.yml": "dependabot",
    "ISSUE_TEMPLATE/config.yml": "github-issue-config",
    "ISSUE_TEMPLATE/*.y*ml": "github-issue-forms",
}
OLDEST_PYTHON = "3.11"


def checkout(home: Path) -> Path:
    """`home` if it is a checkout; an installed package has no pins, tests or pages to keep."""
    if not (home / "pyproject.toml").is_file():
        raise UsageError("this jaxpad is installed: lock, lint, docs and test work in a checkout")
    return home


def call(argv: Sequence[str], folder: Path) -> int:
    """Show the command on stderr, run it in `folder`, return its exit code."""
    sys.stderr.write(f"+ {shlex.join(argv)}\n")
    sys.stderr.flush()
    try:
        return child.call(argv, folder)
    except FileNotFoundError as error:
        raise UsageError(
            f"{argv[0]} is not installed: pip install --require-hashes -r requirements/dev.txt"
        ) from error


def _module(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", name, *arguments]


def _own(program: str) -> str:
    """The program of this environment, whatever else is on PATH."""
    return str(Path(sys.executable).parent / program)


def lock_argv(name: str, *, upgrade: bool) -> list[str]:
    """One file for every supported Python and platform, with hashes and no index address."""
    options = ["--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"]
    quiet = ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--quiet"]
    header = ["--custom-compile-command", "invoke lock"]
    newer = ["--upgrade"] if upgrade else []
    without = [word for package in NOT_IN.get(name, ()) for word in ("--no-emit-package", package)]
    files = ["--output-file", f"{name}.txt", f"{name}.in"]
    return _module("uv", "pip", "compile", *options, *quiet, *header, *newer, *without, *files)


def lock_command(options: LockOptions) -> int:
    """`lock` in this checkout."""
    return lock(HOME, upgrade=options.upgrade)


def lint_command(options: LintOptions) -> int:
    """`lint` in this checkout."""
    return lint(HOME, fix=options.fix)


def test_command(options: OwnTestsOptions) -> int:
    """`test` in this checkout."""
    return test(
        HOME,
        select=options.k,
        quick=options.quick,
        jax_only=options.jax_only,
        workers=options.workers,
    )


def lock(home: Path, *, upgrade: bool) -> int:
    """Renew every requirements/*.txt; stops at the first that cannot be resolved."""
    folder = checkout(home) / "requirements"
    for name in (name for name in (*SETS, *IMAGE_SETS) if (folder / f"{name}.in").is_file()):
        if code := call(lock_argv(name, upgrade=upgrade), folder):
            return code
    return 0


def lint(home: Path, *, fix: bool) -> int:
    """Run every linter, also after one has found something; 1 if any has.

    A project made from jaxpad has what it chose; what is not there is left out.
    """
    scripts, dockerfiles = _there(home, SCRIPTS), _there(home, DOCKERFILES)
    scripts += sorted(str(file.relative_to(home)) for file in home.glob("findings/*.sh"))
    commands = [
        _module("ruff", "check", *(["--fix"] if fix else [])),
        _module("ruff", "format", *([] if fix else ["--check"])),
        _module("mypy"),
        [_own("shellcheck"), *scripts],
        [_own("hadolint"), *dockerfiles],
        _module("yamllint", "--strict", "docker", "configs", *_there(home, [GITHUB])),
        *_github(home),
    ]
    codes = [call(argv, checkout(home)) for argv in commands]
    return int(any(codes))


def _github(home: Path) -> list[list[str]]:
    """What looks at workflows and forms; nothing of it asks the network."""
    if not (home / GITHUB).is_dir():
        return []
    commands = [[_own("zizmor"), "--offline", "--no-progress", GITHUB]]
    seen: set[Path] = set()
    for pattern, schema in SCHEMAS.items():
        if files := sorted(set((home / GITHUB).glob(pattern)) - seen):
            seen.update(files)
            names = [str(file.relative_to(home)) for file in files]
            commands.append([_own("check-jsonschema"), f"--builtin-schema=vendor.{schema}", *names])
    return commands


def _there(home: Path, files: Sequence[str]) -> list[str]:
    return [file for file in files if (home / file).exists()]


def test(home: Path, *, select: str, quick: bool, jax_only: bool, workers: int) -> int:
    """Run tests/ with pytest, several at a time: some wait while others compute."""
    options = ["-k", select] if select else []
    if (home / "tests" / "lanes.py").is_file():
        options += test_options(workers, quick=quick, jax_only=jax_only)
    elif quick or jax_only or workers:  # a project made from jaxpad has few tests
        raise UsageError("--quick, --jax-only and --workers are for jaxpad's own tests: use -k")
    return call(_module("pytest", *options), checkout(home))


def test_options(workers: int, *, quick: bool, jax_only: bool) -> list[str]:
    """Files stay together, the longest first (tests/lanes.py); 0 workers: one more than cores."""
    workers = workers or len(os.sched_getaffinity(0)) + 1
    beside = ["-n", str(workers), "--dist", "loadscope", "--no-loadscope-reorder"]
    left_out = [*(["--quick"] if quick else []), *(["--jax-only"] if jax_only else [])]
    return [*beside, "--durations=20", "--durations-min=2", *left_out]
