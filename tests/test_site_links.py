"""The docs site, built for real: every page in it, no dead link, nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import sites
from helpers import HOME, environ
from jaxpad.core.results import UsageError
from shared import once
from tools import site, site_hook
from tools.options import SiteOptions

MOST_S = 60  # three times the goal that benchmarks/site.py measures, for a busy machine


def build(home: Path, out: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "site", "--out", str(out)]
    variables = environ(PYTHONPATH=str(home))
    return subprocess.run(argv, cwd=home, env=variables, capture_output=True, text=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once for this file and test_site_browser.py."""
    return once(tmp_path_factory, "site", _built) / "site"


def _built(folder: Path) -> None:
    out = folder / "site"
    begun = computed()
    done = build(HOME, out)
    assert done.returncode == 0, done.stderr
    # Of computing, not of the clock: what else the machine does says nothing of the site.
    assert computed() - begun < MOST_S
    command, *told, last = done.stderr.splitlines()  # no warning, no notice
    assert command.startswith("+ ")
    assert [line for line in told if not line.startswith("INFO ")] == []
    assert last == f"Site: {out / 'index.html'}"


def computed() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def pages(built: Path) -> dict[Path, sites.Read]:
    return sites.read(built)


def in_nav(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [page for part in parts for page in in_nav(part)]


def test_every_page_is_in_the_nav_once() -> None:
    nav = in_nav(yaml.safe_load((HOME / "mkdocs.yml").read_text())["nav"])
    docs = HOME / "docs"
    assert sorted(nav) == sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))


def test_every_page_is_built(built: Path, pages: dict[Path, sites.Read]) -> None:
    """Each of docs, and the reports that are kept as they were made."""
    docs = HOME / "docs"
    expected = {built / page.stem / "index.html" for page in docs.glob("*.md")}
    kept = {built / page.relative_to(docs) for page in (docs / "examples").rglob("*.html")}
    assert set(pages) == expected | kept | {built / "index.html"}


def test_no_link_is_dead(pages: dict[Path, sites.Read]) -> None:
    every = [(page, link) for page, found in pages.items() for link in found.links]
    assert len(every) > 1000
    dead = {(page.parent.name, link): sites.fault(pages, page, link) for page, link in every}
    assert {at: why for at, why in dead.items() if why} == {}


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("../nowhere/", "there is no such page"),
        ("../smoke/#nowhere", "there is no such place on the page"),
        ("http://example.org/", "it is no https address"),
        ("javascript:alert(1)", "it is no https address"),
    ],
)
def test_dead_links_are_seen(
    built: Path, pages: dict[Path, sites.Read], link: str, why: str
) -> None:
    assert sites.fault(pages, built / "start" / "index.html", link) == why


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, sites.Read]) -> None:
    loads = {load for found in pages.values() for load in found.loads}
    assert len(loads) > 5
    assert {load for load in loads if re.match(r"([a-z]+:)?//", load)} == set()


def test_no_source_is_on_the_site(built: Path) -> None:
    assert list(built.rglob("*.py")) == []
    assert list(built.rglob("*.md")) == []


@pytest.mark.parametrize(
    ("given", "bare", "linked"),
    [
        ("[`health.toml`](../configs/health.toml)", "`configs/health.toml`", "[`health.toml`]({})"),
        (
            "see [the hook](../configs/health.toml)",
            "the hook (`configs/health.toml`)",
            "[the hook]",
        ),
        ("`[a](../b)`", "`[a](../b)`", "`[a](../b)`"),
        ("```\n[a](../b)\n```\n", "[a](../b)", "[a](../b)"),
        ("[other](smoke.md#x)", "[other](smoke.md#x)", "[other](smoke.md#x)"),
    ],
)
def test_links_to_the_repository(given: str, bare: str, linked: str) -> None:
    address = "https://github.com/acme/jaxpad/"
    assert bare in site_hook.outside(given, "")
    file = "https://github.com/acme/jaxpad/blob/main/configs/health.toml"
    assert linked.format(file) in site_hook.outside(given, address)


def test_files_that_pages_link_to_exist() -> None:
    """On the site they are text, so the link check does not see them."""
    pattern = re.compile(r"\]\(\.\./([^)#\s]+)")
    named = {
        path for page in (HOME / "docs").glob("*.md") for path in pattern.findall(page.read_text())
    }
    assert len(named) >= 5
    assert [path for path in sorted(named) if not (HOME / path).exists()] == []


def copy(tmp_path: Path) -> Path:
    """What a build needs, to break it."""
    home = tmp_path / "checkout"
    for folder in ("docs", "jaxpad", "tools"):
        shutil.copytree(HOME / folder, home / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("mkdocs.yml", "pyproject.toml", "tasks.py"):
        shutil.copy(HOME / file, home / file)
    return home


def test_dead_link_fails_and_keeps_the_old_site(tmp_path: Path) -> None:
    home, out = copy(tmp_path), tmp_path / "out"
    (out / site.KNOWN_BY).parent.mkdir(parents=True)
    (out / site.KNOWN_BY).write_text("{}")
    with (home / "docs" / "gates.md").open("a") as page:
        page.write("\nSee [there](report.md#no-such-place).\n")
    done = build(home, out)
    assert done.returncode == 1
    assert "no-such-place" in done.stderr
    assert [file.name for file in out.rglob("*") if file.is_file()] == ["search_index.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkout", "out"]


@pytest.mark.parametrize("inside", ["", "docs/site"])
def test_sources_are_not_overwritten(inside: str) -> None:
    with pytest.raises(UsageError, match="holds the sources"):
        site.site(SiteOptions(HOME / inside))


def test_other_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    done = build(HOME, tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"jaxpad: --out {tmp_path} is there and is no docs site: name a new or empty folder"
    )
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_mkdocs_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"requirements/dev\.txt"):
        site.site(SiteOptions(tmp_path / "site"))
