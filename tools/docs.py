"""Tables and pictures in docs/ that are made from the code, the configs and measurements.

A table stands between two marks, `<!-- NAME: begin (invoke docs) -->` and
`<!-- NAME: end -->`; `invoke docs` renews what is between them.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from jaxpad import profiles
from jaxpad.clusters import kube
from jaxpad.commands import COMMANDS, Command
from jaxpad.commands.options import Option, declared
from jaxpad.commands.parser import options_of
from jaxpad.core.paths import HOME
from jaxpad.effects import matrix
from jaxpad.profiles.model import ALLOWED, REFUSED
from jaxpad.smoke import collection
from tools import architecture, licences, matrix_picture, matrix_tables
from tools.commands import COMMANDS as CHECKOUTS_OWN
from tools.options import DocsOptions
from tools.upkeep import call, checkout

# The commands as tables: what they are called, what they take, what they do.


def commands() -> list[Command]:
    """Every command, those of a checkout too, in the order of the alphabet."""
    return sorted((*COMMANDS, *CHECKOUTS_OWN), key=lambda one: one.name)


def command_table() -> str:
    """One row a command: its name, what it does, its options' names."""
    rows = [
        f"| `{one.name}` | {one.summary.rstrip('.')} | "
        f"{' '.join(f'`{each.flag}`' for each in _options(one))} |"
        for one in commands()
    ]
    return "\n".join(["| command | does | options |", "| --- | --- | --- |", *rows]) + "\n"


def command_reference() -> str:
    """A section a command, with what each option means."""
    return "\n".join(line for one in commands() for line in _section(one)) + "\n"


def _options(command: Command) -> tuple[Option, ...]:
    return declared(options_of(command))


def _section(command: Command) -> Iterator[str]:
    yield from ("", f"## {command.name}", "", command.summary, "", f"`{command.example}`")
    if found := _options(command):
        yield from ("", "| option | means |", "| --- | --- |")
        yield from (f"| `{_usage(one)}` | {_escaped(one.told)} |" for one in found)


def _usage(option: Option) -> str:
    return option.usage.replace("|", "\\|")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


# The schema of smoke.json, and the table of its fields in docs/report.md.
#
# `invoke docs` renews the table there.

Schema = Mapping[str, Any]


def schema(name: str = "report/smoke") -> dict[str, Any]:
    """The JSON Schema of smoke.json, or that of another name, a fresh copy."""
    text = (resources.files("jaxpad") / f"{name}.schema.json").read_text(encoding="utf-8")
    content: dict[str, Any] = json.loads(text)
    return content


def fields_table(name: str = "report/smoke") -> str:
    """Every field as a row of a Markdown table: path, type, meaning."""
    whole = schema(name)
    rows = (
        f"| `{path}` | {_type(part)} | {_meaning(part)} |"
        for path, part in _all_fields(whole, whole)
    )
    return "\n".join(("| field | type | meaning |", "| --- | --- | --- |", *rows)) + "\n"


def _all_fields(part: Schema, whole: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Path and schema of all that lies below `part`, depth first."""
    for name, entry in part.get("properties", {}).items():
        yield from _field_rows(entry, whole, f"{path}.{name}".lstrip("."))
    if "items" in part:
        yield from _below(part["items"], whole, f"{path}[]")
    if isinstance(part.get("additionalProperties"), Mapping):
        yield from _below(part["additionalProperties"], whole, f"{path}.<name>")


def _field_rows(entry: Schema, whole: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield path, _resolved(entry, whole)
    yield from _below(entry, whole, path)


def _below(entry: Schema, whole: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    yield from _all_fields(_resolved(entry, whole), whole, path)


def _resolved(entry: Schema, whole: Schema) -> Schema:
    name = entry.get("$ref", "").removeprefix("#/$defs/")
    return whole["$defs"][name] if name else entry


def _type(part: Schema) -> str:
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(f"`{value}`" for value in part["enum"])
    kinds = part["type"] if isinstance(part["type"], list) else [part["type"]]
    return " or ".join(kinds)


def _meaning(part: Schema) -> str:
    return str(part["description"]).replace("|", "\\|")


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
        "fields": fields_table,
        "fleet": lambda: fields_table("fleet/fleet"),
        "profiles": profiles_table,
        "variables": variables_table,
        "measured": lambda: measured_table(home / "benchmarks" / "results.json"),
        "highlights": lambda: measured_table(home / "benchmarks" / "results.json", HIGHLIGHTS),
        "commands": command_table,
        "options": command_reference,
        "run": lambda: f"```text\n{(home / RUN).read_text(encoding='utf-8').strip()}\n```\n",
        "builds": lambda: matrix_tables.builds(matrix.read()),
        "gpus": matrix_tables.architectures,
        "licences": lambda: licences.table(home),
        "packages": lambda: packages_table(home / "jaxpad"),
        "matrix": lambda: matrix_tables.shipped_table(matrix.read()),
        "model": lambda: matrix_tables.model_table(matrix.read()),
        "peers": lambda: matrix_tables.peers_table(matrix.read()),
        "hiding": lambda: matrix_tables.latency_hiding(matrix.read()),
        "triton": lambda: matrix_tables.triton_gemm_any(matrix.read()),
    }


def manifests(home: Path) -> dict[Path, Callable[[], str]]:
    """The examples for Kubernetes, as `smoke --on kubernetes` makes them, where they are kept."""
    folder = home / "configs" / "clusters" / "kubernetes"
    if not folder.is_dir():  # a project made from jaxpad for no cluster, or another
        return {}
    return {folder / name: partial(str, text) for name, text in kube.examples().items()}


def pictures(home: Path) -> dict[Path, Callable[[], str]]:
    """Where each picture of jaxpad's own pages is, and what draws it."""
    if (home / "configs" / "project.toml").is_file():  # a project made from jaxpad has no such page
        return {}
    return {
        home / "docs" / "images" / "architecture.svg": architecture.svg,
        home / "docs" / "matrix.svg": lambda: matrix_picture.matrix_svg(matrix.read(), peers=False),
        home / "docs" / "peers.svg": lambda: matrix_picture.matrix_svg(matrix.read(), peers=True),
    }


def checks_table(folder: Path) -> str:
    """Every check of the smoke suite and the question it answers, file by file."""
    lines = []
    checks = collection.collect(folder)
    for file in sorted({check.file for check in checks}):
        topic = (
            ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or file.stem
        ).splitlines()[0]
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
    told = (
        (f.parent.name, ast.get_docstring(ast.parse(f.read_text(encoding="utf-8"))) or "")
        for f in found
    )
    lines = [f"| `{name}` | {text.partition(chr(10))[0]} |" for name, text in told]
    return "\n".join(["| package | what it is |", "| --- | --- |", *lines]) + "\n"


def variables_table() -> str:
    """What a profile may set in [env], and what of it is refused all the same."""
    refused = {f"not {names}": why for names, why in REFUSED.items()}
    rows = [f"| {_coded(names)} | {why} |" for names, why in (ALLOWED | refused).items()]
    return "\n".join(["| variables | why |", "| --- | --- |", *rows]) + "\n"


def _coded(names: str) -> str:
    return " ".join(word if word == "not" else f"`{word}`" for word in names.split())


def profiles_table() -> str:
    """Every shipped profile."""
    rows = (profiles.load(name) for name in profiles.names())
    lines = [
        f"| `{p.name}` | {', '.join(f'`{e}`' for e in p.extends)} | {p.description} |" for p in rows
    ]
    return "\n".join(["| profile | extends | what for |", "| --- | --- | --- |", *lines]) + "\n"


def measured_table(results: Path, only: Collection[str] = ()) -> str:
    """What the benchmarks measured last, with the command of each: all, or those of `only`."""
    found = json.loads(results.read_text(encoding="utf-8"))
    rows = [row for row in found["rows"] if not only or row["name"] in only]
    lines = [f"| {row['what']} | {row['value']} | `{row['command']}` |" for row in rows]
    head = ["| what | measured | command |", "| --- | --- | --- |"]
    return "\n".join([*head, *lines, "", f"On {found['machine']}, {found['date']}."]) + "\n"


def docs_command(options: DocsOptions) -> int:
    """`docs` in this checkout."""
    return docs(HOME, check=options.check, pictures=options.pictures, record=options.record)


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
    fresh = {page: renewed(page.read_text(encoding="utf-8"), tables(home)) for page in pages(home)}
    fresh |= {file: draw() for file, draw in {**pictures(home), **manifests(home)}.items()}
    stale = [file for file, text in fresh.items() if not _holds(file, text)]
    for file in () if check else stale:
        file.write_text(fresh[file], encoding="utf-8")
    return stale


def _holds(file: Path, text: str) -> bool:
    return file.exists() and file.read_text(encoding="utf-8") == text
