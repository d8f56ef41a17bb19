"""The package in figures: files, lines, folders, arrows, circles, sizes of functions.

    python -m tools.figures [CHECKOUT] [--json]

An arrow A -> B means that file A imports file B, or a name of it, anywhere in A. Within the package
data flows one way, so neither files nor folders import each other in a circle.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGE = "jaxpad"
Arrows = dict[str, frozenset[str]]


@dataclass(frozen=True)
class Figures:
    """Counts of one checkout; sizes are lines."""

    files: int
    lines: int
    top_modules: int  # files directly in the package
    largest_folder: tuple[str, int]  # and its files
    largest_file: tuple[str, int]
    arrows: int  # between files
    folder_arrows: int
    circles: list[list[str]]  # files that import each other
    folder_circles: list[list[str]]
    function_median: float
    function_p90: float


def modules(home: Path) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    files = sorted((home / PACKAGE).rglob("*.py"))
    return {_name(file.relative_to(home)): file for file in files}


def _name(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def arrows(files: Mapping[str, Path]) -> Arrows:
    """Which modules each module imports."""
    return {name: _imported(file, files) - {name} for name, file in files.items()}


def _imported(file: Path, known: Iterable[str]) -> frozenset[str]:
    found = set()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in known else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found & set(known))


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def folder(name: str) -> str:
    """The folder of the package that a module lies in; the module itself if it lies at the top."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else name


def folder_arrows(between: Arrows, files: Mapping[str, Path]) -> Arrows:
    """Which folders each folder's files import; modules at the top of the package are left out."""
    folders = {folder(name) for name, file in files.items() if len(file_parts(name, file)) > 1}
    found: dict[str, set[str]] = {each: set() for each in sorted(folders)}
    for name, others in between.items():
        if folder(name) in folders:
            found[folder(name)] |= {folder(other) for other in others} & folders - {folder(name)}
    return {name: frozenset(others) for name, others in found.items()}


def file_parts(name: str, file: Path) -> list[str]:
    """Folder and file of a module below the package: one part for a module at its top."""
    parts = name.split(".")[1:]
    return [*parts, "__init__"] if file.name == "__init__.py" and parts else parts


def rows(between: Arrows) -> list[list[str]]:
    """Folders row by row: each imports only from rows before its own.

    Raises ValueError where folders import each other in a circle.
    """
    if found := circles(between):
        raise ValueError(f"a circle of folders: {', '.join(found[0])}")
    left, done, answer = dict(between), set[str](), []
    while left:
        row = sorted(name for name, others in left.items() if others <= done)
        answer.append(row)
        done |= set(row)
        left = {name: others for name, others in left.items() if name not in done}
    return answer


def reduced(between: Arrows) -> Arrows:
    """The arrows that no way through other folders replaces."""
    reach = {name: _reached(between, name) for name in between}
    return {
        name: frozenset(o for o in others if not any(o in reach[p] for p in others - {o}))
        for name, others in between.items()
    }


def _reached(between: Arrows, start: str) -> frozenset[str]:
    seen: set[str] = set()
    stack = [start]
    while stack:
        for other in between.get(stack.pop(), frozenset()) - seen:
            seen.add(other)
            stack.append(other)
    return frozenset(seen)


def circles(between: Arrows) -> list[list[str]]:
    """Sets of modules that reach each other, each once."""
    reach = {name: _reached(between, name) for name in between}
    groups = {
        frozenset(o for o in reach[name] if name in reach[o])
        for name in between
        if name in reach[name]
    }
    return sorted(sorted(group) for group in groups)


def sizes(files: Mapping[str, Path]) -> list[int]:
    """The lines of every function, docstring included."""
    nodes = (node for file in files.values() for node in ast.walk(_tree(file)))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [_end(node) - node.lineno + 1 for node in nodes if isinstance(node, kinds)]


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def figures(home: Path) -> Figures:
    """The figures of a checkout. Raises FileNotFoundError where it has no package."""
    files = modules(home)
    if not files:
        raise FileNotFoundError(f"{home} has no folder {PACKAGE}/: give a checkout of jaxpad")
    between = arrows(files)
    lines = {
        name: len(file.read_text(encoding="utf-8").splitlines()) for name, file in files.items()
    }
    folders = Counter(str(file.parent.relative_to(home)) for file in files.values())
    functions = sizes(files)
    largest = max(lines, key=lambda name: lines[name])
    return Figures(
        files=len(files),
        lines=sum(lines.values()),
        top_modules=folders[PACKAGE],
        largest_folder=folders.most_common(1)[0],
        largest_file=(str(files[largest].relative_to(home)), lines[largest]),
        arrows=sum(len(others) for others in between.values()),
        folder_arrows=sum(len(o) for o in folder_arrows(between, files).values()),
        circles=circles(between),
        folder_circles=circles(folder_arrows(between, files)),
        function_median=_quantile(functions, 5),
        function_p90=_quantile(functions, 9),
    )


def _quantile(values: list[int], tenths: int) -> float:
    """The value that so many tenths lie below; 0 where there are too few to say."""
    return statistics.quantiles(values, n=10)[tenths - 1] if len(values) > 1 else 0


def main(argv: list[str]) -> int:
    """Print the figures; 2 for a folder without the package."""
    parser = argparse.ArgumentParser(prog="python -m tools.figures", description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, default=Path(__file__).parents[1])
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(argv)
    try:
        found = asdict(figures(given.checkout.resolve()))
    except FileNotFoundError as error:
        parser.error(str(error))
    lines = (f"{name.replace('_', ' ')}: {_shown(value)}" for name, value in found.items())
    text = json.dumps(found, indent=2) if given.json else "\n".join(lines)
    sys.stdout.write(text + "\n")
    return 0


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(", ".join(group) for group in value) or "none"
    return " ".join(str(part) for part in value) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
