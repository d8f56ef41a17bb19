"""The project's tasks: `invoke --list`. `jaxpad NAME` is the same set, from any folder.

Each task only says what to do; the work is in jaxpad, imported when a task runs, so
that `invoke --list` starts no JAX.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from invoke import Collection, Context, Exit, Task, task

HOME = Path(__file__).resolve().parent
if (HOME / "jaxpad").is_dir():  # a checkout that is not installed
    sys.path.insert(0, str(HOME))

JSON = "print JSON on stdout"
PROFILE = "an XLA profile: a name in configs/profiles, or a .toml file"


def command(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """A task without the one-letter options invoke would make up."""
    return task(auto_shortflags=False, **options)


def answer(work: Callable[[], int]) -> None:
    """Do the work and leave with its exit code; a usage error is one sentence and code 2."""
    from jaxpad.errors import UsageError

    try:
        code = work()
    except UsageError as error:
        raise Exit(f"jaxpad: {error}", code=2) from None
    raise Exit(code=code)


@command(
    help={
        "profile": f"run under {PROFILE}",
        "platform": "where JAX must compute: auto, gpu or cpu",
        "k": "run only the checks this expression names, as pytest's -k",
        "out": "folder for smoke.json, junit.xml and report.html",
        "limit": "seconds one check may take before it counts as hung",
        "json": "print smoke.json on stdout",
        "dry-run": "print the commands, run nothing",
        "no-redact": "keep user names, UUIDs and credentials in the report",
    }
)
def smoke(
    _c: Context,
    profile: str = "",
    platform: str = "auto",
    k: str = "",
    out: str = "smoke-report",
    limit: str = "180",
    json: bool = False,
    dry_run: bool = False,
    no_redact: bool = False,
) -> None:
    """Prove the JAX environment on this machine and write a report."""

    def work() -> int:
        from jaxpad.smoke import Options, seconds, smoke

        options = Options(
            profile or None,
            platform,
            k or None,
            Path(out),
            seconds(limit),
            json,
            dry_run,
            not no_redact,
        )
        return smoke(options)

    answer(work)


@command(help={"json": JSON}, name="list")
def profile_list(_c: Context, json: bool = False) -> None:
    """List the XLA profiles."""

    def work() -> int:
        from jaxpad import profile_commands

        return profile_commands.list_(as_json=json)

    answer(work)


@command(help={"profile": PROFILE, "json": JSON}, name="show")
def profile_show(_c: Context, profile: str = "base", json: bool = False) -> None:
    """Show what a profile sets here, flag by flag, and which layer each comes from."""

    def work() -> int:
        from jaxpad import profile_commands

        return profile_commands.show(profile, as_json=json)

    answer(work)


@command(help={"profile": f"only this one: {PROFILE}", "json": JSON}, name="check")
def profile_check(_c: Context, profile: str = "", json: bool = False) -> None:
    """Validate the profiles against their format and the installed XLA."""

    def work() -> int:
        from jaxpad import profile_commands

        return profile_commands.check(profile or None, as_json=json)

    answer(work)


@command(help={"upgrade": "take newer versions where there are some"})
def lock(_c: Context, upgrade: bool = False) -> None:
    """Renew the hash-pinned requirements/*.txt from requirements/*.in."""

    def work() -> int:
        from jaxpad.upkeep import lock

        return lock(HOME, upgrade=upgrade)

    answer(work)


@command(help={"fix": "mend what can be mended"})
def lint(_c: Context, fix: bool = False) -> None:
    """Check style, types and shell scripts."""

    def work() -> int:
        from jaxpad.upkeep import lint

        return lint(HOME, fix=fix)

    answer(work)


@command(help={"check": "only say which pages are out of date; 1 if any is"})
def docs(_c: Context, check: bool = False) -> None:
    """Renew the generated tables in README.md and docs/."""

    def work() -> int:
        from jaxpad.docs import docs

        return docs(HOME, check=check)

    answer(work)


@command(help={"k": "only the tests this expression names"})
def test(_c: Context, k: str = "") -> None:
    """Run the project's own tests."""

    def work() -> int:
        from jaxpad.upkeep import test

        return test(HOME, select=k)

    answer(work)


namespace = Collection(smoke, lock, lint, docs, test)
namespace.add_collection(Collection("profile", profile_list, profile_show, profile_check))
