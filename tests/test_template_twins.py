"""Twins cannot drift: what a copy gets is what jaxpad has, but for names and choices."""

from __future__ import annotations

import json
import keyword
import re
import sys
import tomllib
from typing import Any

import jinja2
import pytest
import yaml

from helpers import HOME
from jaxpad import gpus, profiles

# Rendered for jaxpad itself they are the file beside them, byte for byte.
MIRRORS = (
    ".devcontainer/devcontainer.json",
    "docker/Dockerfile",
    "docker/compose.yaml",
    "docker/docker-bake.hcl",
    "docker/jaxpad.def",
)
# A copy's own, of which jaxpad has none or one that says other things.
OWN = {
    "{{ _copier_conf.answers_file }}.jinja",
    ".github/workflows/test.yml.jinja",
    "LICENSE.jinja",
    "README.md.jinja",
    "configs/project.toml.jinja",
    "pyproject.toml.jinja",
    "tests/test_proof.py.jinja",
    "tests/test_train.py.jinja",
}
ITSELF: dict[str, Any] = {
    "jaxpad_itself": True,
    "project_name": "jaxpad",
    "image": "jaxpad",
    "base": "toolbox",
    "cuda": "13",
    "toolbox": True,
    "wheels": True,
}


def questions() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((HOME / "copier.yml").read_text())
    return found


def rendered(name: str, answers: dict[str, Any]) -> str:
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    return environment.from_string((HOME / name).read_text()).render(answers)


@pytest.mark.parametrize("name", MIRRORS)
def test_template_twin_is_the_same(name: str) -> None:
    answers = ITSELF | ({"base": "wheels", "cuda": "12"} if name.startswith(".dev") else {})
    assert rendered(f"{name}.jinja", answers) == (HOME / name).read_text()


def test_template_every_twin_is_known() -> None:
    skipped = (".venv", ".git/")
    found = {
        str(file.relative_to(HOME))
        for file in HOME.rglob("*.jinja")
        if not str(file.relative_to(HOME)).startswith(skipped)
    }
    assert found == {f"{name}.jinja" for name in MIRRORS} | OWN


def test_template_profiles_are_all() -> None:
    assert set(questions()["profile"]["choices"]) == set(profiles.names())


def test_template_gpus_are_all() -> None:
    assert tuple(questions()["gpus"]["choices"]) == tuple(gpus.names())


def test_template_reserves_pythons_words() -> None:
    words = set(questions()["reserved"]["default"])
    assert {word.lower() for word in keyword.kwlist} <= words
    public = {name for name in sys.stdlib_module_names if re.fullmatch(r"[a-z][a-z0-9_]*", name)}
    assert public <= words
    assert all(isinstance(word, str) for word in words)


def test_template_same_style() -> None:
    answers = dict.fromkeys(("project_name", "package", "toml_description", "toml_author"), "x")
    text = rendered("pyproject.toml.jinja", answers | {"licence": "MIT", "python": "3.11"})
    copy, own = tomllib.loads(text), tomllib.loads((HOME / "pyproject.toml").read_text())
    ours, theirs = own["tool"]["ruff"]["lint"], copy["tool"]["ruff"]["lint"]
    assert (theirs["select"], theirs["isort"]) == (ours["select"], ours["isort"])
    assert set(theirs["ignore"]) == set(ours["ignore"])
    assert copy["tool"]["mypy"]["strict"] is True
    assert copy["tool"]["pytest"]["ini_options"]["filterwarnings"] == ["error"]


def test_template_dependencies_are_pinned() -> None:
    answers = dict.fromkeys(("project_name", "package", "toml_description", "toml_author"), "x")
    text = rendered("pyproject.toml.jinja", answers | {"licence": "MIT", "python": "3.11"})
    lines = (HOME / "requirements/project.in").read_text().splitlines()
    listed = [line.partition("#")[0].strip() for line in lines]
    wanted = [line for line in listed if line and not line.startswith("-")]
    assert tomllib.loads(text)["project"]["dependencies"] == wanted


def test_template_runs_no_code() -> None:
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & questions().keys()


def test_template_explains_its_questions() -> None:
    asked = {name: q for name, q in questions().items() if not name.startswith("_")}
    for name, question in asked.items():
        if question.get("when", True):
            assert question.get("help"), name
            needs_default = name not in ("project_name", "author")
            assert ("default" in question) == needs_default, name
    assert json.dumps(asked["gpus"]["default"]) == '["h100-sxm"]'
