"""Tables and pictures in docs/ that are made from the code, the configs and measurements.

A table stands between two marks, `<!-- NAME: begin (invoke docs) -->` and
`<!-- NAME: end -->`; `invoke docs` renews what is between them.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

from jaxpad import architecture, docs_commands, kubernetes, licences, matrix, profiles, runner
from jaxpad.report import fields
from jaxpad.upkeep import call, checkout

RUN = Path("docs/examples/smoke-cpu.txt")  # what `invoke docs --record` keeps of a real run
HIGHLIGHTS = ("effects_again", "fleet_merge", "image_size", "nvml_sampler", "smoke")
_BLOCK = re.compile(
    r"(?P<begin><!-- (?P<name>[a-z]+): begin [^\n]*-->\n).*?(?P<end><!-- (?P=name): end -->\n)",
    re.S,
)


def pages(home: Path) -> list[Path]:
    """The pages that may hold generated tables."""
    return [home / "README.md", *sorted((home / "docs").glob("*.md"))]


def renewed(text: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """`text` with every marked table made anew; raises KeyError for a mark nobody makes."""
    return _BLOCK.sub(lambda m: m["begin"] + tables[m["name"]]() + m["end"], text)


def tables(home: Path) -> dict[str, Callable[[], str]]:
    """What can stand between marks, by name."""
    return {
        "checks": lambda: checks_table(home / "smoke_tests"),
        "fields": fields.table,
        "fleet": lambda: fields.table("fleet/fleet"),
        "profiles": profiles_table,
        "measured": lambda: measured_table(home / "benchmarks" / "results.json"),
        "highlights": lambda: measured_table(home / "benchmarks" / "results.json", HIGHLIGHTS),
        "commands": lambda: docs_commands.table(home),
        "options": lambda: docs_commands.reference(home),
        "run": lambda: f"```text\n{(home / RUN).read_text().strip()}\n```\n",
        "builds": lambda: matrix.builds(matrix.read()),
        "gpus": matrix.architectures,
        "licences": lambda: licences.table(home),
        "packages": lambda: packages_table(home / "jaxpad"),
        "matrix": lambda: matrix.shipped_table(matrix.read()),
        "model": lambda: matrix.model_table(matrix.read()),
        "peers": lambda: matrix.peers_table(matrix.read()),
        "hiding": lambda: matrix.latency_hiding(matrix.read()),
        "triton": lambda: matrix.triton_gemm_any(matrix.read()),
    }


def manifests(home: Path) -> dict[Path, Callable[[], str]]:
    """The examples for Kubernetes, as `smoke --on kubernetes` makes them, where they are kept."""
    folder = home / "configs" / "clusters" / "kubernetes"
    if not folder.is_dir():  # a project made from jaxpad for no cluster, or another
        return {}
    return {folder / name: partial(str, text) for name, text in kubernetes.examples().items()}


def pictures(home: Path) -> dict[Path, Callable[[], str]]:
    """Where each picture of jaxpad's own pages is, and what draws it."""
    if (home / "configs" / "project.toml").is_file():  # a project made from jaxpad has no such page
        return {}
    return {
        home / "docs" / "images" / "architecture.svg": architecture.svg,
        home / "docs" / "matrix.svg": lambda: matrix.svg(matrix.read(), peers=False),
        home / "docs" / "peers.svg": lambda: matrix.svg(matrix.read(), peers=True),
    }


def checks_table(folder: Path) -> str:
    """Every check of the smoke suite and the question it answers, file by file."""
    lines = []
    checks = runner.collect(folder)
    for file in sorted({check.file for check in checks}):
        topic = (ast.get_docstring(ast.parse(file.read_text())) or file.stem).splitlines()[0]
        lines += [
            "",
            f"**{file.stem.removeprefix('test_')}**: {topic.partition(': ')[2] or topic}",
            "",
        ]
        lines += ["| check | what must hold |", "| --- | --- |"]
        lines += [
            f"| `{check.name}` | {check.question} |" for check in checks if check.file == file
        ]
    return "\n".join(lines[1:]) + "\n"


def packages_table(folder: Path) -> str:
    """Every package of the toolkit and the first line of its docstring."""
    found = sorted(file for file in folder.glob("*/__init__.py"))
    told = ((f.parent.name, ast.get_docstring(ast.parse(f.read_text())) or "") for f in found)
    lines = [f"| `{name}` | {text.partition(chr(10))[0]} |" for name, text in told]
    return "\n".join(["| package | what it is |", "| --- | --- |", *lines]) + "\n"


def profiles_table() -> str:
    """Every shipped profile."""
    rows = (profiles.load(name) for name in profiles.names())
    lines = [
        f"| `{p.name}` | {', '.join(f'`{e}`' for e in p.extends)} | {p.description} |" for p in rows
    ]
    return "\n".join(["| profile | extends | what for |", "| --- | --- | --- |", *lines]) + "\n"


def measured_table(results: Path, only: Collection[str] = ()) -> str:
    """What the benchmarks measured last, with the command of each: all, or those of `only`."""
    found = json.loads(results.read_text())
    rows = [row for row in found["rows"] if not only or row["name"] in only]
    lines = [f"| {row['what']} | {row['value']} | `{row['command']}` |" for row in rows]
    head = ["| what | measured | command |", "| --- | --- | --- |"]
    return "\n".join([*head, *lines, "", f"On {found['machine']}, {found['date']}."]) + "\n"


def docs(home: Path, *, check: bool, pictures: bool = False, record: bool = False) -> int:
    """Renew the pages, or with `check` name those out of date and return 1 if there are any.

    `pictures` takes the screenshots anew first, `record` runs the smoke suite for the README.
    """
    for module in ["docs.pictures"] * pictures + ["docs.record"] * record:
        if code := call([sys.executable, "-m", module], checkout(home)):
            return code
    stale = renew(checkout(home), check=check)
    for page in stale:
        sys.stderr.write(f"{'out of date' if check else 'renewed'}: {page.relative_to(home)}\n")
    return 1 if check and stale else 0


def renew(home: Path, *, check: bool) -> list[Path]:
    """Renew every page, picture and manifest, or with `check` only say which are out of date."""
    fresh = {page: renewed(page.read_text(), tables(home)) for page in pages(home)}
    fresh |= {file: draw() for file, draw in {**pictures(home), **manifests(home)}.items()}
    stale = [file for file, text in fresh.items() if not _holds(file, text)]
    for file in () if check else stale:
        file.write_text(fresh[file])
    return stale


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text() == text
