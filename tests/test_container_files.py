"""compose.yaml, docker-bake.hcl and jaxpad.def say what the Dockerfile and `launch` do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

import jaxpad
from helpers import HOME
from jaxpad.containers.engine import Run
from jaxpad.containers.engines.oci import Docker

COMPOSE = yaml.safe_load((HOME / "docker/compose.yaml").read_text())["services"]
DOCKERFILE = (HOME / "docker/Dockerfile").read_text()
BAKE = (HOME / "docker/docker-bake.hcl").read_text()
APPTAINER = (HOME / "docker/jaxpad.def").read_text()
STAGES = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))


@pytest.mark.parametrize("name", COMPOSE)
def test_compose_is_as_launch(name: str) -> None:
    service: dict[str, Any] = COMPOSE[name]
    argv = Docker("docker").run_argv(Run("image"))
    assert service["shm_size"] == argv[argv.index("--shm-size") + 1]
    limits = [f"{key}={value}:{value}" for key, value in service["ulimits"].items()]
    assert all(limit in argv for limit in limits)
    [gpus] = service["deploy"]["resources"]["reservations"]["devices"]
    assert gpus == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}


def test_compose_has_no_token() -> None:
    assert "environment" not in COMPOSE["jupyter"]
    assert COMPOSE["jupyter"]["ports"] == ["127.0.0.1:8888:8888"]
    assert "token=" not in (HOME / "docker/compose.yaml").read_text().lower()


@pytest.mark.parametrize("text", [str(COMPOSE), APPTAINER], ids=["compose", "apptainer"])
def test_image_is_what_build_makes(text: str) -> None:
    assert f"jaxpad:{jaxpad.__version__}-toolbox-cuda13" in text
    assert len(set(re.findall(r"jaxpad:(\d[\d.]*)", text))) == 1


def test_bake_targets_are_stages() -> None:
    assert set(re.findall(r'^  target   = "(\S+)"$', BAKE, re.MULTILINE)) <= STAGES
    assert {service["build"]["target"] for service in COMPOSE.values()} <= STAGES


def test_only_releases_are_attested() -> None:
    attested = re.findall(r'target "(\S+)" \{[^}]*attest', BAKE)
    assert attested == ["_release"]
