"""The pictures of docs/: those drawn from data are fresh, the screenshots are there and small."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from docs import pictures
from helpers import HOME
from tools import architecture, figures

MOST_BYTES = 250_000
PAGES = [HOME / "README.md", *(HOME / "docs").glob("*.md")]
IMAGES = sorted(path.name for path in pictures.FOLDER.iterdir())


def test_architecture_is_fresh() -> None:
    kept = (pictures.FOLDER / "architecture.svg").read_text()
    assert kept == architecture.svg(), "renew it with invoke docs"


def test_architecture_has_a_name_for_screen_readers() -> None:
    root = ET.fromstring(architecture.svg())
    texts = {child.tag.rpartition("}")[2]: child.text for child in root}
    assert texts["title"] == architecture.TITLE
    rows = figures.rows(architecture.folders())
    assert texts["desc"] == architecture.description(rows)
    assert root.get("aria-labelledby") == "title desc"


def test_architecture_shows_every_folder_and_its_arrows() -> None:
    """As the code has them, not as a list that somebody keeps."""
    between = architecture.folders()
    shown = architecture.svg()
    assert {file.parent.name for file in (HOME / "jaxpad").glob("*/__init__.py")} == set(between)
    assert all(f">{name}</text>" in shown for name in between)
    drawn = sum(len(others) for others in figures.reduced(between).values())
    assert shown.count('class="import"') == drawn > len(between)


def test_architecture_of_another_package() -> None:
    shown = architecture.svg({"low": frozenset(), "high": frozenset({"low"})})
    assert "2 rows of which each imports only from those above it: low; high." in shown


@pytest.mark.parametrize("name", sorted(pictures.PAGES))
def test_screenshot_is_small(name: str) -> None:
    file = pictures.FOLDER / f"{name}.png"
    with Image.open(file) as picture:
        assert picture.size == (pictures.WIDTH, pictures.HEIGHT)
    assert 10_000 < file.stat().st_size < MOST_BYTES


@pytest.mark.parametrize("name", IMAGES)
def test_picture_is_shown_and_made_by_a_command(name: str) -> None:
    shown = [page.name for page in PAGES if f"images/{name})" in page.read_text()]
    assert shown
    assert name.removesuffix(".png") in pictures.PAGES or name == "architecture.svg"
