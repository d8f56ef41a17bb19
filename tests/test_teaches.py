"""docs/teaches.md: it has every check of the suite once, and its snippets print what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from helpers import HOME, environ
from jaxpad.smoke import collection

PAGE = (HOME / "docs/teaches.md").read_text()
_SNIPPET = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHECKS = collection.collect(HOME / "smoke_tests")


def sections() -> dict[str, str]:
    """The text of each heading."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def taught(text: str) -> list[str]:
    """The checks in the first column of a section's table."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `test_")]
    return [name for row in rows for name in re.findall(r"`(test_\w+)`", row)]


def test_every_file_has_its_heading() -> None:
    assert sections().keys() == {check.file.stem.removeprefix("test_") for check in CHECKS}


@pytest.mark.parametrize("topic", sections())
def test_every_check_is_taught_once(topic: str) -> None:
    wanted = {check.name for check in CHECKS if check.file.stem == f"test_{topic}"}
    assert Counter(taught(sections()[topic])) == Counter(wanted)


def test_no_cell_is_empty() -> None:
    for line in PAGE.splitlines():
        if line.startswith("| `test_"):
            assert all(cell.strip() for cell in line.strip("|").split("|")), line


@pytest.mark.parametrize(
    ("code", "printed"),
    _SNIPPET.findall(PAGE),
    ids=[name for name, text in sections().items() if _SNIPPET.search(text)],
)
def test_snippet_prints(code: str, printed: str) -> None:
    strict = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        strict, env=environ(JAX_PLATFORMS="cpu"), capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, printed), done.stderr


def test_every_snippet_is_run() -> None:
    assert len(_SNIPPET.findall(PAGE)) == PAGE.count("```python\n") == PAGE.count("```text\n")


def test_links_lead_somewhere() -> None:
    for page, anchor in re.findall(r"\]\((\w+\.md)(?:#([^)]+))?\)", PAGE):
        heads = re.findall(r"^#+ (.+)$", (HOME / "docs" / page).read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
        assert not anchor or anchor in anchors, f"{page}#{anchor}"
