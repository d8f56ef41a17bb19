"""What tasks.py is made of: a task says what to do, and the module that does it is imported then.

Light enough for `invoke --list`: nothing here imports JAX, pytest or rich.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, get_type_hints

from invoke import Exit, Task, task

from jaxpad.core import paths
from jaxpad.core.results import UsageError

JSON = "print JSON on stdout"
DRY_RUN = "print the commands, run nothing"
PROFILE = "an XLA profile: a name in configs/profiles, or a .toml file"


def command(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """A task without the one-letter options invoke would make up."""
    return task(auto_shortflags=False, **options)


def call(place: str, *given: Any, **named: Any) -> None:
    """Call `module:function` and leave with its exit code.

    A usage error is one sentence and code 2.
    """
    module, name = place.split(":")
    with refusals():
        code: int = getattr(importlib.import_module(module), name)(*given, **named)
    raise Exit(code=code)


def require(command: str, extra: str) -> None:
    """Leave with a sentence and code 2 where the extra that a command needs is not installed."""
    if sentence := paths.lack(command, extra):
        raise Exit(f"jaxpad {sentence}", code=2)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Turns a usage error into its sentence and exit code 2."""
    try:
        yield
    except UsageError as error:
        raise Exit(f"jaxpad: {error}", code=2) from None


def perform(place: str, given: dict[str, Any], **more: Any) -> None:
    """Call `module:function` with its options, filled from a task's arguments.

    The function's first parameter says which dataclass its options are.
    """
    module, name = place.split(":")
    function = getattr(importlib.import_module(module), name)
    options = next(iter(get_type_hints(function).values()))
    # What was not given leaves the Options their own default, which may be the project's.
    own = {one.name for one in dataclasses.fields(options) if _has_default(one)}
    words = {key: value for key, value in given.items() if value != "" or key not in own}
    words.pop("_c", None)
    with refusals():
        given_options = options(**words, **more)
    call(place, given_options)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def remainder() -> tuple[str, ...]:
    """The words behind `--`, as they were typed: invoke would join them."""
    return tuple(sys.argv[sys.argv.index("--") + 1 :]) if "--" in sys.argv else ()
