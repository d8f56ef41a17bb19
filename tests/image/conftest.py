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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import programs
from helpers import HOME
from images import CA, NETWORK, Built, docker, engine, jaxpad, output
from newcomer import Walked, walk

DOCKERFILE = HOME / "docker/Dockerfile"
START = 60.0  # seconds dockerd may take
MEMORY = "/dev/shm"


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A docker daemon: the one that answers, else our own, ended by its own pid."""
    if subprocess.run([engine(), "info"], capture_output=True).returncode == 0:
        yield
        return
    program = programs.found("dockerd")
    if os.geteuid() != 0 or not program:
        pytest.fail("these tests need a docker daemon: start one, or run as root with docker.io")
    log = tmp_path_factory.mktemp("dockerd") / "log"
    with log.open("w") as file:
        started = subprocess.Popen([program], stdout=file, stderr=file, start_new_session=True)
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


@dataclass(frozen=True)
class Makings:
    """What the makers of the images work with."""

    debian: Future[None]
    ca: Path
    folder: Path
    started: Mapping[str, Future[Any]]

    def wait_for_wheels(self) -> None:
        """Until the gigabytes that several images begin with are there, made once."""
        self.debian.result()
        if "wheels" in self.started:
            self.started["wheels"].result()


@pytest.fixture(scope="session")
def under_way(
    request: pytest.FixtureRequest,
    daemon: None,
    bundle: tuple[Path, bytes],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, Future[Any]]]:
    """The images that the chosen tests ask for, made beside each other from the first test on.

    A test waits for its own image alone, and what downloads runs beside what computes.
    """
    wanted = set().union(*map(asked, request.session.items))
    folder = tmp_path_factory.mktemp("images")
    with ThreadPoolExecutor(len(MAKERS) + 1) as pool:
        debian = pool.submit(make_debian)
        started: dict[str, Future[Any]] = {}
        makings = Makings(debian, bundle[0], folder, started)
        for name in [name for name in MAKERS if name in wanted]:
            started[name] = pool.submit(MAKERS[name], makings)
        yield started
    shutil.rmtree(folder)  # the newcomer's two environments


def make_debian() -> None:
    """The distribution's base image under the name that the Dockerfile has."""
    name = base_names()["debian"]
    if docker("image", "inspect", name).returncode:
        suite = re.search(r":(\w+)", name.removeprefix("docker.io/"))
        assert suite
        with tempfile.TemporaryDirectory(dir=memory()) as root:
            output(["debootstrap", "--variant=minbase", suite[1], root, mirror()])
            packed = ["tar", "-C", root, "-c", "."]
            with subprocess.Popen(packed, stdout=subprocess.PIPE) as tar:
                imported = [engine(), "import", "--change", 'CMD ["bash"]', "-", name]
                output(imported, stdin=tar.stdout)
            assert tar.returncode == 0


def memory() -> str | None:
    """A folder in memory, where dpkg's fsync calls cost nothing.

    None, the default folder, where it is small or debootstrap would refuse it, as in a container.
    """
    try:
        held = os.statvfs(MEMORY)
    except OSError:
        return None
    refused = held.f_flag & (os.ST_NODEV | os.ST_NOEXEC | os.ST_RDONLY)
    return MEMORY if not refused and held.f_bavail * held.f_frsize > 1 << 30 else None


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


def make_toolbox(makings: Makings) -> Built:
    """The workspace on the stand-in for JAX-Toolbox."""
    makings.debian.result()
    name = base_names()["toolbox-cuda13"]
    if docker("image", "inspect", name).returncode:
        file = HOME / "tests/image/toolbox/Dockerfile"
        secret = ["--secret", f"id=ca,src={CA}", *NETWORK]
        output([engine(), "build", "--file", str(file), "--tag", name, *secret, str(HOME)])
    return built(ca=makings.ca)


def load_into_podman(makings: Makings) -> str:
    """The name of the toolbox image in podman's store."""
    name = makings.started["toolbox"].result().name
    with subprocess.Popen([engine(), "save", name], stdout=subprocess.PIPE) as saved:
        loaded = output(["podman", "load"], stdin=saved.stdout)
    return loaded.strip().split(": ")[-1]


def make_wheels(makings: Makings) -> Built:
    """The workspace on released CUDA 12 wheels."""
    makings.debian.result()
    return built("--base", "wheels", ca=makings.ca)


def make_jupyter(makings: Makings) -> Built:
    """The same with JupyterLab."""
    makings.wait_for_wheels()
    return built("--base", "wheels", "--target", "jupyter", ca=makings.ca)


def make_project(makings: Makings) -> Walked:
    """A copy of the template, and its image."""
    (folder := makings.folder / "newcomer").mkdir()
    return walk(folder, makings.wait_for_wheels)


# By the time they take: the tests come in this order.
MAKERS: Mapping[str, Callable[[Makings], Built | Walked | str]] = {
    "toolbox": make_toolbox,
    "podman_image": load_into_podman,
    "wheels": make_wheels,
    "jupyter": make_jupyter,
    "newcomer": make_project,
}


def built(*options: str, ca: Path) -> Built:
    """The image that `jaxpad build` makes, and what it printed."""
    done = jaxpad("build", *options, "--ca-bundle", str(ca), *NETWORK)
    assert done.returncode == 0, done.stderr[-3000:]
    name = re.search(r"^Built (\S+)$", done.stderr, re.MULTILINE)
    assert name
    return Built(name[1], done.stderr)


@pytest.fixture(scope="session")
def toolbox(under_way: Mapping[str, Future[Built]]) -> Built:
    return under_way["toolbox"].result()


@pytest.fixture(scope="session")
def podman_image(toolbox: Built, under_way: Mapping[str, Future[str]]) -> str:
    return under_way["podman_image"].result()


@pytest.fixture(scope="session")
def wheels(under_way: Mapping[str, Future[Built]]) -> Built:
    return under_way["wheels"].result()


@pytest.fixture(scope="session")
def jupyter(under_way: Mapping[str, Future[Built]]) -> Built:
    return under_way["jupyter"].result()


@pytest.fixture(scope="session")
def newcomer(under_way: Mapping[str, Future[Walked]]) -> Walked:
    return under_way["newcomer"].result()


@pytest.fixture(params=["toolbox", "wheels"])
def image(request: pytest.FixtureRequest) -> Built:
    """Each of the two workspaces."""
    found: Built = request.getfixturevalue(request.param)
    return found


def asked(item: pytest.Item) -> set[str]:
    """The images that a test asks for, by name or as a parameter."""
    called = getattr(item, "callspec", None)
    given = called.params.values() if called else ()
    words = [
        *getattr(item, "fixturenames", ()),
        *given,
        *(getattr(one, "image", "") for one in given),
    ]
    return {name for name in MAKERS if name in words}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Among this folder's tests those come last whose images take longest to make."""
    here = [index for index, item in enumerate(items) if item.path.parent == HOME / "tests/image"]
    ordered = sorted((items[index] for index in here), key=_wait)
    for index, item in zip(here, ordered, strict=True):
        items[index] = item


def _wait(item: pytest.Item) -> int:
    return max((list(MAKERS).index(name) for name in asked(item)), default=-1)
