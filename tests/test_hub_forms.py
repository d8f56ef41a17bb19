"""The issue forms keep GitHub's rules, and name commands and files that are there.

The rules: https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests
(syntax for issue forms, syntax for GitHub's form schema, common validation errors).
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

import githubs
from helpers import HOME

FOLDER = githubs.GITHUB / "ISSUE_TEMPLATE"
NAMES = ("bug", "feature", "gpu")
# What an element of each type must have, and may have beside it.
MUST = {
    "markdown": {"value"},
    "input": {"label"},
    "textarea": {"label"},
    "dropdown": {"label", "options"},
    "checkboxes": {"label", "options"},
}
MAY = {
    "markdown": set[str](),
    "input": {"description", "placeholder", "value"},
    "textarea": {"description", "placeholder", "value", "render"},
    "dropdown": {"description", "multiple", "default"},
    "checkboxes": {"description"},
}
TOP = {"name", "description", "body", "title", "labels", "assignees", "projects", "type"}
TEXTS = [*(FOLDER / f"{name}.yml" for name in NAMES), githubs.GITHUB / "pull_request_template.md"]


def form(name: str) -> dict[str, Any]:
    """With YAML's types: an unquoted `yes` is a boolean here, as it is to GitHub."""
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    return found


def faults(form: dict[str, Any]) -> list[str]:
    """What GitHub would refuse in a form, in words."""
    found = [f"{key} is no key of a form" for key in form.keys() - TOP]
    for key in ("name", "description"):
        if not (isinstance(form.get(key), str) and form[key].strip()):
            found.append(f"{key} must be a text")
    body = form.get("body") or []
    if all(element.get("type") == "markdown" for element in body):
        found.append("the body asks nothing")
    found += [fault for element in body for fault in _element(element)]
    for what in ("id", "label"):
        values = [v for e in body if (v := e.get(what) or e.get("attributes", {}).get(what))]
        if len(values) != len({str(value).lower() for value in values}):
            found.append(f"two elements have one {what}")
    return found


def _element(element: dict[str, Any]) -> list[str]:
    kind, attributes = element.get("type"), element.get("attributes", {})
    if kind not in MUST:
        return [f"{kind} is no type"]
    found = [f"{kind} lacks {key}" for key in MUST[kind] - attributes.keys()]
    found += [f"{kind} has no {key}" for key in attributes.keys() - MUST[kind] - MAY[kind]]
    texts = {key: v for key, v in attributes.items() if key not in ("options", "multiple")}
    found += [f"{key} must be a text" for key, v in texts.items() if not _text(v, key)]
    if not re.fullmatch(r"[A-Za-z0-9_-]+", element.get("id", "markdown")):
        found.append("an id is letters, digits, - and _")
    if "validations" in element and kind in ("markdown", "checkboxes"):
        found.append(f"{kind} takes no validations")
    return found + _options(kind, attributes)


def _text(value: object, key: str) -> bool:
    return key == "default" or (isinstance(value, str) and bool(value.strip()))


def _options(kind: str, attributes: dict[str, Any]) -> list[str]:
    """A list of different texts; a checkbox has its text as a label."""
    if "options" not in MUST[kind]:
        return []
    options = attributes.get("options") or []
    texts = [o.get("label") for o in options] if kind == "checkboxes" else options
    good = all(isinstance(text, str) and text.strip() for text in texts)
    if not texts or not good or len(texts) != len(set(texts)):
        return ["options must be different texts"]
    return ["None is reserved"] if "none" in {text.lower() for text in texts} else []


def test_forms_are_all_there() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {*NAMES, "config"}


@pytest.mark.parametrize("name", NAMES)
def test_form_keeps_the_rules(name: str) -> None:
    assert faults(form(name)) == []


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("name",), " ", "name must be a text"),
        (("about",), "x", "about is no key of a form"),
        (("body", 1, "type"), "text", "text is no type"),
        (("body", 2, "id"), "command", "two elements have one id"),
        (("body", 2, "id"), "a b", "an id is letters, digits, - and _"),
        (("body", 2, "attributes", "label"), "command", "two elements have one label"),
        (("body", 2, "attributes", "label"), True, "label must be a text"),
        (("body", 2, "attributes", "options"), ["a"], "textarea has no options"),
        (("body", -1, "attributes", "options"), [], "options must be different texts"),
    ],
)
def test_rules_find_a_fault(path: tuple[Any, ...], value: object, said: str) -> None:
    planted = form("bug")
    place: Any = planted
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert said in faults(planted)


def test_rules_refuse_a_boolean_option() -> None:
    planted = form("gpu")
    choice = next(element for element in planted["body"] if element["type"] == "dropdown")
    choice["attributes"]["options"] = yaml.safe_load("[yes, no]")
    assert faults(planted) == ["options must be different texts"]


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_named_commands_are_there(file: Any) -> None:
    named = re.findall(r"`invoke ([a-z.]+)", file.read_text())
    assert named
    assert set(named) <= githubs.TASKS


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_named_files_are_there(file: Any) -> None:
    for name in re.findall(r"\b(?:docs/)?[\w-]+\.md\b", file.read_text()):
        assert (HOME / name).is_file(), name


def test_bug_asks_for_what_helps() -> None:
    text = (FOLDER / "bug.yml").read_text()
    assert "smoke-report/smoke.json" in text
    assert "invoke doctor --json" in text
    assert "host name stays" in text  # as docs/report.md says
    assert "host name stays" in (HOME / "docs/report.md").read_text()


def test_vulnerabilities_go_elsewhere() -> None:
    config = yaml.safe_load((FOLDER / "config.yml").read_text())
    assert config["blank_issues_enabled"] is False
    assert "Security" in (FOLDER / "bug.yml").read_text()
