"""The matrix as one JSON file, a row a line, so that a change to it can be read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxpad import paths, whole_file
from jaxpad.errors import UsageError
from jaxpad.matrix._model import Build, CellRow, Matrix

_FILE = "configs/xla/matrix.json"
COMMAND = "invoke profile.matrix"
_SCHEMA = 1


def kept() -> Path:
    """The matrix that is there, of the project or else jaxpad's own."""
    return paths.found(_FILE)


def place() -> Path:
    """Where the matrix is written unless told otherwise: the project's, else jaxpad's own."""
    return paths.roots()[0] / _FILE


def read(file: Path | None = None) -> Matrix:
    """The matrix in a file, default the project's, else jaxpad's own; empty where none is.

    Raises UsageError for a file that holds something else.
    """
    file = file or kept()
    try:
        plain = json.loads(file.read_text(encoding="utf-8"))
        return _matrix(plain)
    except FileNotFoundError:
        return Matrix()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} holds no matrix of this jaxpad ({type(error).__name__}); give another file, "
            f"or move it away and run `{COMMAND}`"
        ) from None


def write(matrix: Matrix, file: Path) -> None:
    """Put the matrix in a file, whole or not at all. Raises UsageError if it cannot be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole_file.write(file, "".join(_lines(matrix)))
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written ({error.strerror}); give another with --out"
        ) from None


def _matrix(plain: dict[str, Any]) -> Matrix:
    if plain["schema"] != _SCHEMA:
        raise ValueError
    return Matrix(
        builds=tuple(Build(**row) for row in plain["builds"]),
        cells=tuple(CellRow(**row) for row in plain["cells"]),
        effects=tuple(plain["effects"]),
    )


def _lines(matrix: Matrix) -> Iterable[str]:
    yield f'{{\n"schema": {_SCHEMA},\n"command": "{COMMAND}",\n'
    builds, cells = map(asdict, matrix.builds), (_short(asdict(one)) for one in matrix.cells)
    yield from _rows("builds", builds)
    yield ",\n"
    yield from _rows("cells", cells)
    yield ",\n"
    yield from _rows("effects", matrix.effects)
    yield "\n}\n"


def _rows(name: str, rows: Iterable[Any]) -> Iterable[str]:
    yield f'"{name}": [\n'
    yield ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    yield "\n]"


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value or name == "flags"}
