"""The SBOM of a built image."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from images import Built, inspect, jaxpad, run


def test_image_sbom(wheels: Built, tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    done = jaxpad("sbom", "--image", wheels.name, "--engine", "docker", "--out", str(file))
    assert done.returncode == 0, done.stderr
    document = json.loads(file.read_text())
    purls = Counter(part["purl"] for part in document["components"])
    assert max(purls.values()) == 1
    labels = inspect(wheels.name)["Config"]["Labels"]
    assert f"pkg:pypi/jaxlib@{labels['io.jaxpad.jaxlib']}" in purls
    names = {part["name"].lower() for part in document["components"]}
    assert {"jax", "tini", "libc6", "invoke", "pytest", "matplotlib", "optuna"} <= names
    assert document["metadata"]["component"]["type"] == "container"
    properties = {p["name"]: p["value"] for p in document["metadata"]["component"]["properties"]}
    assert properties["io.jaxpad.base"] == "wheels"
    listed = json.loads(run(wheels, "python", "-m", "pip", "list", "--format", "json").stdout)
    for package in listed:
        assert package["name"].lower().replace("_", "-") in {n.replace("_", "-") for n in names}


def test_image_sbom_of_no_image(daemon: None, tmp_path: Path) -> None:
    file = tmp_path / "sbom.json"
    words = ("--image", "localhost/there-is-none:1", "--engine", "docker", "--out", str(file))
    done = jaxpad("sbom", *words)
    assert done.returncode == 2
    assert "cannot be asked what is in it" in done.stderr
    assert "--help" not in done.stderr
    assert "Error response from daemon" in done.stderr
    assert not file.exists()
