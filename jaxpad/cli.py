"""The `jaxpad` command: the tasks of tasks.py, with the exit codes the docs promise."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator

from invoke import Collection, Program
from invoke.exceptions import Exit, ParseError

import jaxpad
from jaxpad.paths import HOME
from jaxpad.verdict import USAGE_ERROR, Verdict


def main() -> int:
    """Run the command line: 0 passed, 1 a check failed, 2 usage error, 3 inconclusive.

    A bug of jaxpad's own shows its traceback and is 3: it proves nothing about the machine.
    """
    try:
        _Program(
            name="jaxpad", binary="jaxpad", version=jaxpad.__version__, namespace=_tasks()
        ).run(sys.argv)
    except Exception:
        traceback.print_exc()
        return 0 if _is_hook() else Verdict.INCONCLUSIVE.exit_code
    return 0


class _Program(Program):
    """Bare invoke exits 1 on a mistyped option, which would read as a failed check."""

    def parse_core(self, argv: list[str] | None) -> None:
        with _usage_errors():
            super().parse_core(argv)

    def parse_collection(self) -> None:
        with _usage_errors():
            super().parse_collection()

    def parse_tasks(self) -> None:
        with _usage_errors():
            super().parse_tasks()


@contextlib.contextmanager
def _usage_errors() -> Iterator[None]:
    try:
        yield
    except ParseError as error:
        raise Exit(f"jaxpad: {error}; see jaxpad --list", code=_usage_code()) from error


def _usage_code() -> int:
    """2, but what Nagios reads as unknown where it asks: to it 2 is a fault of the node.

    Slurm drains the node of a prolog that fails, so a slip in slurm.conf would drain them all.
    """
    if _is_hook():
        return 0
    return Verdict.INCONCLUSIVE.exit_code if "--nagios" in sys.argv else USAGE_ERROR


def _is_hook() -> bool:
    """Whether this is `health --hook`, which fails only for a fault that was seen."""
    return any(word.partition("=")[0] == "--hook" for word in sys.argv)


def _tasks() -> Collection:
    spec = importlib.util.spec_from_file_location("tasks", HOME / "tasks.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no tasks.py in {HOME}: install jaxpad again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Collection.from_module(module)
