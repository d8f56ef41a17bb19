"""`sbom`: valid CycloneDX, every package once, the same for the same input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from helpers import HOME, environ

EPOCH = "1700000000"


def sbom(*words: str, **added: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "sbom", *words]
    return subprocess.run(argv, env=environ(**added), cwd=HOME, capture_output=True, text=True)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("sbom") / "sbom.cdx.json"
    done = sbom("--out", str(file), SOURCE_DATE_EPOCH=EPOCH)
    assert done.returncode == 0, done.stderr
    assert "CycloneDX 1.6 in" in done.stderr
    return file.read_text()


@pytest.fixture
def parts(document: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(document)["components"]
    return found


def test_sbom_is_valid(document: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(document) is None


def test_sbom_invalid_is_told(document: str) -> None:
    broken = document.replace('"type": "library"', '"type": "shelf"', 1)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_sbom_holds_the_environment(parts: list[dict[str, Any]]) -> None:
    purls = {part["purl"] for part in parts}
    for name in ("jax", "jaxlib", "pytest"):
        assert f"pkg:pypi/{name}@{metadata.version(name)}" in purls


def test_sbom_has_debians_packages(parts: list[dict[str, Any]]) -> None:
    argv = ["dpkg-query", "--show", "--showformat=${Version}", "libc6"]
    version = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    (libc,) = [part for part in parts if part["name"] == "libc6"]
    assert libc["version"] == version
    assert libc["purl"].startswith("pkg:deb/")


def test_sbom_names_nothing_twice(parts: list[dict[str, Any]]) -> None:
    counted = Counter(part["purl"] for part in parts)
    assert [purl for purl, times in counted.items() if times > 1] == []


def test_sbom_has_licences(parts: list[dict[str, Any]]) -> None:
    (jax,) = [part for part in parts if part.get("purl", "").startswith("pkg:pypi/jax@")]
    assert jax["licenses"] == [{"license": {"id": "Apache-2.0"}}]


def test_sbom_is_reproducible(document: str) -> None:
    again = sbom("--out", "-", SOURCE_DATE_EPOCH=EPOCH)
    assert again.stdout == document
    assert json.loads(document)["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"


def test_sbom_unwritable(tmp_path: Path) -> None:
    done = sbom("--out", str(tmp_path / "missing" / "file"))
    assert done.returncode == 2
    assert "give another --out" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_sbom_out_is_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "sbom.json"
    folder.mkdir()
    assert sbom("--out", str(folder)).returncode == 2
    assert list(tmp_path.iterdir()) == [folder]  # nothing half-written beside it


@pytest.mark.parametrize("epoch", ["yesterday", "-5", "1_000", "99999999999999", "9" * 30])
def test_sbom_bad_epoch(epoch: str) -> None:
    done = sbom("--out", "-", SOURCE_DATE_EPOCH=epoch)
    assert done.returncode == 2
    assert f"SOURCE_DATE_EPOCH is {epoch!r}" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "ending", ["See 'docker run --help'.", "\nRun 'docker run --help' for more information"]
)
def test_sbom_names_the_engines_reason(tmp_path: Path, ending: str) -> None:
    """Each generation of docker's client ends with where to find help, which is no reason."""
    fake = tmp_path / "docker"
    said = f"docker: Error response from daemon: no such image\n{ending}"
    fake.write_text(
        f"""#!/bin/sh
case $1 in
run) cat >&2 <<'SAID'
{said}
SAID
    exit 125 ;;
version) echo 20.10.24 20.10.24 ;;
image) exit 1 ;;
esac
"""
    )
    fake.chmod(0o755)
    words = ("--image", "none:1", "--engine", "docker", "--out", "-")
    done = sbom(*words, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("Error response from daemon: no such image")
