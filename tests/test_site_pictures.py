"""The pictures of docs/: those drawn from data are fresh, the screenshots are there and small."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from docs import pictures
from helpers import HOME
from jaxpad import architecture
from test_layers import ROW

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
    assert texts["desc"] == architecture.DESCRIPTION
    assert root.get("aria-labelledby") == "title desc"


def test_architecture_shows_the_rows_that_are_kept() -> None:
    """Every module is there, and no row of the picture stands above what it imports from."""
    rows = [[ROW[part] for part in parts] for _, _, parts in architecture.ROWS]
    for above, below in itertools.pairwise(rows):
        assert max(above) <= min(below)


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
