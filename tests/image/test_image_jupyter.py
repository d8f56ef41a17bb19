"""JupyterLab as `launch --jupyter` starts it: locked, on loopback, in a real browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from images import Built, docker, engine, inspect, output, run, variables
from jupyter_cases import CASES, FILE, Given
from test_report_browser import browser

__all__ = ["browser"]  # the fixture
START = 120.0  # seconds
WAIT = 60_000.0  # milliseconds, for a page


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab."""

    url: str  # with the token
    container: str
    folder: Path  # the workspace
    launched: subprocess.Popen[bytes]
    log: Path

    @property
    def token(self) -> str:
        return self.url.split("token=")[1]

    @property
    def address(self) -> str:
        split = urlsplit(self.url)
        return f"{split.scheme}://{split.netloc}"


@pytest.fixture(scope="module")
def lab(jupyter: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """`jaxpad launch --jupyter`, in a folder of its own, as a user would start it."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "here.txt").write_text("in the workspace")
    log = folder.parent / "lab.log"
    argv = [sys.executable, "-m", "jaxpad", "launch", "--jupyter", "--image", jupyter.name]
    with log.open("wb") as file:
        launched = subprocess.Popen(argv, env=variables(), cwd=folder, stderr=file, stdout=file)
    try:
        url = _url(launched, log)
        names = output([engine(), "ps", "--quiet", "--filter", f"ancestor={jupyter.name}"])
        yield Lab(url, names.split()[0], folder, launched, log)
    finally:
        launched.send_signal(signal.SIGTERM)
        launched.wait(timeout=30)


def _url(launched: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and launched.poll() is None:
        if found := re.search(r"^JupyterLab: (\S+)$", log.read_text(), re.MULTILINE):
            return found[1]
        time.sleep(0.2)
    pytest.fail(f"no address was printed: {log.read_text()[-3000:]}")


def test_published_on_loopback_only(lab: Lab) -> None:
    published = docker("port", lab.container).stdout.splitlines()
    assert len(published) == 1
    assert published[0].startswith("8888/tcp -> 127.0.0.1:")


def test_token_is_in_no_argv_or_environment(lab: Lab) -> None:
    assert len(lab.token) >= 32
    assert lab.token not in output([engine(), "inspect", lab.container])
    mine = str(os.getpid()).encode()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name.encode() != mine:
            for file in ("cmdline", "environ"):
                assert lab.token.encode() not in _read(process / file), process


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""  # it has ended


@pytest.mark.parametrize("path", ["/api/contents", "/api/kernels", "/api/terminals"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong"])
def test_refused_without_the_token(lab: Lab, path: str, query: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(lab.address + path + query, timeout=10)
    with refused.value:
        assert refused.value.code == 403


def test_browser_is_asked_for_the_token(lab: Lab, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(f"{lab.address}/lab", timeout=WAIT)
    expect(page.locator("#token_input, #password_input").first).to_be_visible(timeout=WAIT)
    assert "/login" in page.url
    page.context.close()


def test_browser_opens_with_the_token(lab: Lab, browser: Browser) -> None:
    page = browser.new_context().new_page()
    page.goto(lab.url, timeout=WAIT)
    expect(page.locator(".jp-DirListing-item", has_text="here.txt")).to_be_visible(timeout=WAIT)
    expect(page.locator(".jp-LauncherCard", has_text="JAX").first).to_be_visible(timeout=WAIT)
    page.context.close()


def test_kernel_is_the_workspaces_python(lab: Lab) -> None:
    """JAX and the profile are there; a package of Jupyter's does not hide the workspace's own."""
    (lab.folder / "cell.py").write_text(
        "import os, sys, jax, numpy; print(sys.executable, jax.devices()[0].platform, "
        "numpy.__file__, os.environ['XLA_FLAGS'])"
    )
    words = ["exec", "--workdir", "/workspace", lab.container, "jupyter", "run", "cell.py"]
    done = docker(*words)
    assert done.returncode == 0, done.stderr
    python, platform, numpy, flags = done.stdout.split()
    assert (python, platform) == ("/usr/bin/python3", "cpu")
    assert "jupyter" not in numpy
    assert flags == "--xla_gpu_enable_latency_hiding_scheduler=true"


def test_container_is_healthy(lab: Lab) -> None:
    done = docker("exec", lab.container, "jupyter-healthcheck")
    assert done.returncode == 0, done.stdout + done.stderr
    check = inspect(lab.container)["Config"]["Healthcheck"]
    assert check["Test"] == ["CMD", "jupyter-healthcheck"]


def test_not_healthy_without_a_server(jupyter: Built) -> None:
    assert run(jupyter, "jupyter-healthcheck").returncode == 1


@pytest.mark.parametrize(
    "given", [one for one in CASES if one.refused], ids=lambda given: given.name[:60]
)
def test_short_token_is_refused(jupyter: Built, tmp_path: Path, given: Given) -> None:
    given.file(tmp_path)
    tmp_path.chmod(0o755)
    file = "/run/jaxpad/token"
    environ = {name: file if value == FILE else value for name, value in given.environ.items()}
    options = ["--volume", f"{tmp_path}:/run/jaxpad:ro"]
    options += [word for item in environ.items() for word in ("--env", "=".join(item))]
    done = run(jupyter, "timeout", "60", "jupyter", "lab", *given.options, options=options)
    assert done.returncode == 1
    assert given.refused in done.stdout + done.stderr


def test_starts_without_a_warning(lab: Lab) -> None:
    """Up to the address; later it notes, for one, each request that it refuses."""
    start, _, _ = lab.log.read_text().partition("JupyterLab: ")
    assert not re.search(r"^(\[[WEC]|WARNING|ERROR)", start, re.MULTILINE)


def test_stops_with_its_launch(jupyter: Built, tmp_path: Path) -> None:
    """SIGTERM to `launch` stops the server within 5 s and leaves no container and no token.

    A busy machine may be late, so the best of three counts; what is left behind counts each time.
    """
    folders = [tmp_path / str(place) for place in range(3)]
    assert any(_stopping_s(jupyter, folder) < 5 for folder in folders)


def _stopping_s(jupyter: Built, folder: Path) -> float:
    """How long `launch` takes from SIGTERM to its end, leaving nothing behind."""
    argv = [sys.executable, "-m", "jaxpad", "launch", "--jupyter", "--image", jupyter.name]
    log, temporary = folder / "log", folder / "temporary"
    temporary.mkdir(parents=True)
    with log.open("wb") as file:
        env = variables(TMPDIR=str(temporary))
        launched = subprocess.Popen(argv, env=env, cwd=folder, stderr=file, stdout=file)
    _url(launched, log)
    assert list(temporary.glob("*/token"))
    before = time.monotonic()
    launched.send_signal(signal.SIGTERM)
    launched.wait(timeout=30)
    took = time.monotonic() - before
    assert not list(temporary.glob("*"))
    return took
