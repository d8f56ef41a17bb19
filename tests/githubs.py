"""What the tests of .github share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
import yaml

import tasks
from helpers import HOME

GITHUB = HOME / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
COPYS = GITHUB / "workflows/test.yml.jinja"  # a project's own, made from the template
TASKS = {str(name) for name in tasks.namespace.task_names}


def rendered(project: str = "my-project") -> str:
    """The workflow that a project gets, rendered as copier does."""
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(COPYS.read_text()).render(project_name=project)


def load(text: str) -> dict[str, Any]:
    """A YAML file's content with `on` as it is written, which YAML 1.1 reads as true."""
    found: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    return found


def every() -> dict[str, dict[str, Any]]:
    """Each workflow by its file's name, a project's too."""
    own = {file.name: load(file.read_text()) for file in WORKFLOWS}
    return own | {COPYS.name: load(rendered())}


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of all its jobs."""
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def step(workflow: Path, name: str) -> str:
    """The script of the step of that name."""
    found = [s for s in steps(load(workflow.read_text())) if s.get("name") == name]
    assert len(found) == 1, name
    return str(found[0]["run"])
