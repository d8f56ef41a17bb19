"""docs/design.md is true to the code: rows, packages, schemas, exit codes, links."""

from __future__ import annotations

import re

from helpers import HOME
from jaxpad import report
from jaxpad.core import results
from jaxpad.core.results import USAGE_ERROR, Verdict
from jaxpad.effects import matrix
from jaxpad.fleet import model as fleet
from tools import docs

FILE = HOME / "docs/design.md"
PAGE = FILE.read_text()


def cells(heading: str) -> dict[str, list[str]]:
    """The rows of the first table under a heading, by their first cell."""
    rows = PAGE.partition(f"\n{heading}\n")[2].split("\n## ")[0].splitlines()
    split = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows if "|" in row)
    return {first: rest for first, *rest in split}


def test_packages_have_not_drifted() -> None:
    assert docs.renewed(PAGE, docs.tables(HOME)) == PAGE, "renew it with invoke docs"
    table = docs.packages_table(HOME / "jaxpad")
    for folder in (HOME / "jaxpad").iterdir():
        if (folder / "__init__.py").is_file():
            assert re.search(rf"^\| `{folder.name}` \| \S.+ \|$", table, re.MULTILINE)


def test_exit_codes() -> None:
    told = set(cells("## Verdicts and exit codes")) - {"code", "---"}
    codes = {str(code) for code in {USAGE_ERROR, *(each.exit_code for each in Verdict)}}
    assert told == codes | {"128 + N"}


def test_schemas() -> None:
    found = cells("## Files and their versions")
    schemas = {
        "`smoke.json`": results.SCHEMA_VERSION,
        "`traces.json`": report.TRACES_SCHEMA,
        "`fleet.json`": fleet.SCHEMA_VERSION,
        "`configs/xla/matrix.json`": matrix._SCHEMA,
    }
    assert {name: int(found[name][1].split(",")[0]) for name in schemas} == schemas


def test_what_it_names_exists() -> None:
    roots = "configs|jaxpad|tests|docker|smoke_tests|benchmarks"
    for path in re.findall(rf"`((?:{roots})/[^`]*)`", PAGE):
        assert (HOME / path).exists(), path
    for link in re.findall(r"\]\((\w+\.md)", PAGE):
        assert (HOME / "docs" / link).is_file(), link
