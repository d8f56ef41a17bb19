"""fleet.html: one file that opens offline, needs no script, and stays small for large fleets.

10,000 nodes do not fit a page that a person reads: each part shows the first of what needs
attention, and says how many more there are. fleet.json has everything.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from string import Template

from jaxpad.fleet import _compared as compared, _page as page
from jaxpad.fleet._model import SCHEMA_VERSION, Fleet
from jaxpad.fleet._words import headline
from jaxpad.report._tags import Html, join, safe, tag


def to_html(found: Fleet, scheduler: str, *, pictures: bool = True) -> str:
    """The whole page. Pictures need matplotlib; without it the page has their numbers."""
    return _template().substitute(
        title=safe(f"{headline(found)} - jaxpad fleet"),
        style=_read("jaxpad.report", "report.css") + _read("jaxpad.fleet", "fleet.css"),
        header=page.header(found),
        body=_body(found, scheduler, pictures),
        footer=_footer(found),
    )


def _body(found: Fleet, scheduler: str, pictures: bool) -> Html:
    parts = (
        page.what_next(found),
        page.to_drain(found, scheduler),
        page.problems(found),
        page.untested(found),
        page.set_aside(found),
        compared.outliers(found, pictures=pictures),
        compared.drift(found),
        compared.distributions(found),
        page.every_node(found),
        page.rules(found),
    )
    return join(part for part in parts if part)


def _footer(found: Fleet) -> Html:
    made = f"Made by jaxpad {found.jaxpad}, exit code {found.verdict.exit_code}, from "
    kept = f". The same as data, and all that is cut here: fleet.json, schema {SCHEMA_VERSION}."
    return tag("p", made, tag("code", found.folder), kept)


@cache
def _template() -> Template:
    return Template(_read("jaxpad.fleet", "fleet.html.template"))


@cache
def _read(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")
