"""docs/report.md says what the schema says."""

from __future__ import annotations

from pathlib import Path

from tools import docs

PAGE = Path(__file__).parent.parent / "docs/report.md"
BEGIN, END = "<!-- fields: begin (invoke docs) -->\n", "<!-- fields: end -->\n"


def test_table_has_not_drifted() -> None:
    _, _, rest = PAGE.read_text().partition(BEGIN)
    assert rest.partition(END)[0] == docs.fields_table(), "renew it with invoke docs"


def test_table_names_every_field() -> None:
    table = docs.fields_table()
    for path in ("schema", "counts.not applicable", "checks[].measurements[].gate"):
        assert f"| `{path}` |" in table
    assert table.count("\n") > 50
