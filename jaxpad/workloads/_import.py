"""Import a user's module, and say in one sentence what its code does wrong."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from jaxpad.errors import UsageError
from jaxpad.project import sources


def imported(reference: str, name: str) -> ModuleType:
    """The imported module: from the current folder first, as `python -m` would, then from src/."""
    before = list(sys.path)
    sys.path[:0] = [str(Path.cwd()), str(sources())]
    importlib.invalidate_caches()
    try:
        with mistakes(f"{reference}: importing {name}"):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise UsageError(
                f"{reference}: there is no module {missing}; run this in the folder that holds "
                "it, or install it"
            ) from None
        raise UsageError(
            f"{reference}: {name} imports {missing}, which is not there; install it"
        ) from None
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def mistakes(doing: str) -> Iterator[None]:
    """Turns what a user's code raises into one sentence; a module that is not there passes."""
    try:
        yield
    except (UsageError, ModuleNotFoundError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        said = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise UsageError(
            f"{doing} raises {type(error).__name__}{_where(error)}: {said}; mend it there"
        ) from None


def _where(error: BaseException) -> str:
    """The user's own line, the last that is not in an installed package."""
    if isinstance(error, SyntaxError):
        return f" at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = Path(__file__).parent
    lines = [
        f" at {frame.filename}:{frame.lineno}"
        for frame in frames
        if Path(frame.filename).is_file()
        and ours not in Path(frame.filename).parents
        and "site-packages" not in frame.filename
    ]
    return lines[-1] if lines else ""
