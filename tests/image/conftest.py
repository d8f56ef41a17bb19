"""A real Docker engine, base images made on the spot, and the images that `jaxpad build` makes.

Nothing is pulled: the distribution's base comes from debootstrap, JAX-Toolbox is stood in for by
tests/image/toolbox. Both get the literal names that docker/Dockerfile has, unless the engine
has images of those names.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import HOME
from images import CA, NETWORK, Built, docker, engine, jaxpad, output

DOCKERFILE = HOME / "docker/Dockerfile"
START = 60.0  # seconds dockerd may take


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A docker daemon: the one that answers, else our own, ended by its own pid."""
    if subprocess.run([engine(), "info"], capture_output=True).returncode == 0:
        yield
        return
    if os.geteuid() != 0 or not shutil.which("dockerd"):
        pytest.fail("these tests need a docker daemon: start one, or run as root with docker.io")
    log = tmp_path_factory.mktemp("dockerd") / "log"
    with log.open("w") as file:
        started = subprocess.Popen(["dockerd"], stdout=file, stderr=file, start_new_session=True)
    try:
        _await_daemon(started, log)
        yield
    finally:
        started.terminate()
        started.wait(timeout=START)


def _await_daemon(started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START
    while subprocess.run([engine(), "info"], capture_output=True).returncode:
        if started.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"dockerd does not start: {log.read_text()[-2000:]}")
        time.sleep(0.3)


@pytest.fixture(scope="session")
def debian(daemon: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The distribution's base image under the name that the Dockerfile has."""
    name = base_names()["debian"]
    if docker("image", "inspect", name).returncode:
        root = tmp_path_factory.mktemp("debian")
        suite = re.search(r":(\w+)", name.removeprefix("docker.io/"))
        assert suite
        output(["debootstrap", "--variant=minbase", suite[1], str(root), mirror()])
        packed = ["tar", "-C", str(root), "-c", "."]
        with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
            output([engine(), "import", "--change", 'CMD ["bash"]', "-", name], stdin=tar.stdout)
        assert tar.returncode == 0
        shutil.rmtree(root)
    return name


def base_names() -> dict[str, str]:
    """The images that the Dockerfile is built on, by stage."""
    found = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    return {stage: image for image, stage in found}


def mirror() -> str:
    """Where this machine's own packages come from."""
    folder = Path("/etc/apt")
    files = [*folder.glob("sources.list.d/*.sources"), *folder.glob("sources.list*")]
    texts = "\n".join(file.read_text() for file in files if file.is_file())
    found = re.search(r"^(?:URIs:\s*|deb (?:\[.*\] )?)(\S+/debian/?)(?:\s|$)", texts, re.MULTILINE)
    assert found, "no Debian mirror in /etc/apt"
    return found[1]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A CA bundle, and a mark in it that no other file has."""
    mark = f"# mark of these tests: {secrets.token_hex(16)}"
    file = tmp_path_factory.mktemp("ca") / "bundle.pem"
    file.write_text(f"{CA.read_text()}\n{mark}\n")
    return file, mark.encode()


@pytest.fixture(scope="session")
def wheels(debian: str, bundle: tuple[Path, bytes]) -> Built:
    """The workspace on released CUDA 12 wheels."""
    return built("--base", "wheels", ca=bundle[0])


@pytest.fixture(scope="session")
def jupyter(wheels: Built, bundle: tuple[Path, bytes]) -> Built:
    """The same with JupyterLab."""
    return built("--base", "wheels", "--target", "jupyter", ca=bundle[0])


@pytest.fixture(scope="session")
def toolbox(debian: str, bundle: tuple[Path, bytes]) -> Built:
    """The workspace on the stand-in for JAX-Toolbox."""
    name = base_names()["toolbox-cuda13"]
    if docker("image", "inspect", name).returncode:
        file = HOME / "tests/image/toolbox/Dockerfile"
        secret = ["--secret", f"id=ca,src={CA}", *NETWORK]
        output([engine(), "build", "--file", str(file), "--tag", name, *secret, str(HOME)])
    return built(ca=bundle[0])


def built(*options: str, ca: Path) -> Built:
    """The image that `jaxpad build` makes, and what it printed."""
    done = jaxpad("build", *options, "--ca-bundle", str(ca), *NETWORK)
    assert done.returncode == 0, done.stderr[-3000:]
    name = re.search(r"^Built (\S+)$", done.stderr, re.MULTILINE)
    assert name
    return Built(name[1], done.stderr)


@pytest.fixture(params=["wheels", "toolbox"])
def image(request: pytest.FixtureRequest) -> Built:
    """Each of the two workspaces."""
    found: Built = request.getfixturevalue(request.param)
    return found
