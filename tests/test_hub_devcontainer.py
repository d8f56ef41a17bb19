"""The dev container: by its schema, and what it names is there."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import jsonschema

from helpers import HOME
from jaxpad.containers.engine import Run
from jaxpad.containers.engines.oci import Docker

FILE = HOME / ".devcontainer/devcontainer.json"
SCHEMA = json.loads((HOME / "tests/schemas/devContainer.base.schema.json").read_text())
DOCKERFILE = (HOME / "docker/Dockerfile").read_text()


def config() -> dict[str, Any]:
    """The file without its comments, which stand on lines of their own."""
    found: dict[str, Any] = json.loads(re.sub(r"^\s*//.*$", "", FILE.read_text(), flags=re.M))
    return found


def test_schema_holds() -> None:
    jsonschema.validate(config(), SCHEMA)


def test_schema_refuses_a_typo() -> None:
    wrong = config() | {"hostRequirements": {"gpu": "perhaps"}}
    assert not jsonschema.Draft201909Validator(SCHEMA).is_valid(wrong)


def test_build_is_the_dockerfiles() -> None:
    build = config()["build"]
    assert (FILE.parent / build["dockerfile"]).resolve() == HOME / "docker/Dockerfile"
    assert (FILE.parent / build["context"]).resolve() == HOME
    assert build["target"] in re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.M)
    assert set(build["args"]) <= set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.M))
    assert f"base-{build['args']['BASE']}" in DOCKERFILE
    assert (HOME / f"requirements/jax-cuda{build['args']['CUDA']}.txt").exists()


def test_user_is_the_images() -> None:
    user = config()["remoteUser"]
    assert re.search(rf"useradd --uid 1000 .* {user};", DOCKERFILE)


def test_runs_as_launch_does() -> None:
    argv = Docker("docker").run_argv(Run("image"))
    words = config()["runArgs"]
    pairs = list(zip(words[::2], words[1::2], strict=True))
    assert all(pair in list(itertools.pairwise(argv)) for pair in pairs)
    assert config()["workspaceFolder"] in re.findall(r"^WORKDIR (\S+)$", DOCKERFILE, re.M)


def test_interpreter_is_the_kernels() -> None:
    settings = config()["customizations"]["vscode"]["settings"]
    kernel = json.loads((HOME / "docker/kernel.json").read_text())
    assert settings["python.defaultInterpreterPath"] == kernel["argv"][0]
