"""`site`: the pages of docs/ as a static site, which asks no other address."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from jaxpad.core.paths import HOME
from jaxpad.core.results import UsageError
from tools.options import SiteOptions
from tools.upkeep import call, checkout

# The theme prints a notice about the future of MkDocs unless this is set.
QUIET = {"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true"}
KNOWN_BY = "search/search_index.json"  # in each site that MkDocs builds with its search


def site(options: SiteOptions, home: Path = HOME) -> int:
    """Build the site into `out`, or serve it on loopback; MkDocs's exit code.

    A warning, such as a dead link, fails the build, and what was in `out` before stays.
    Raises UsageError where MkDocs or its settings are missing or `out` holds something else.
    """
    config = checkout(home) / "mkdocs.yml"
    if not config.is_file():
        raise UsageError(f"{config} is not there, which says what the site is made of: write it")
    if importlib.util.find_spec("mkdocs") is None or importlib.util.find_spec("material") is None:
        raise UsageError(
            "the site is built by mkdocs-material, which is not installed: "
            "pip install --require-hashes -r requirements/dev.txt"
        )
    os.environ.update(QUIET)
    if options.serve:
        return call(_mkdocs("serve", config), home)
    return _build(config, _free(options.out.resolve(), home), home)


def _mkdocs(command: str, config: Path) -> list[str]:
    argv = [sys.executable, "-m", "mkdocs", "--color" if sys.stderr.isatty() else "--no-color"]
    return [*argv, command, "--strict", "--config-file", str(config)]


def _free(out: Path, home: Path) -> Path:
    """`out` if it may be replaced: absent, empty, or a site built before."""
    if out == home or home.is_relative_to(out) or out.is_relative_to(home / "docs"):
        raise UsageError(f"--out {out} holds the sources: name a folder of its own, such as site")
    if not out.exists() or (out / KNOWN_BY).is_file():
        return out
    if not out.is_dir() or any(out.iterdir()):
        raise UsageError(f"--out {out} is there and is no docs site: name a new or empty folder")
    return out


def _build(config: Path, out: Path, home: Path) -> int:
    """Build beside `out`, then take its place, so that no half-built site is ever seen."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".site-", dir=out.parent) as folder:
            made = Path(folder) / "site"
            # Not --quiet: with it MkDocs counts no warnings, and --strict passes a dead link.
            argv = [*_mkdocs("build", config), "--site-dir", str(made)]
            if code := call(argv, home):
                return code
            if out.exists():
                shutil.rmtree(out)
            made.rename(out)
    except OSError as error:
        raise UsageError(f"--out {out} cannot be written: {error}") from error
    sys.stderr.write(f"Site: {out / 'index.html'}\n")
    return 0
