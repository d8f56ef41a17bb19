"""The image's JupyterLab settings on the real server, beside the image: never without a token."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import shared
from helpers import HOME
from jupyter_cases import CASES, FILE, GOOD, Given

START_S = 120.0  # on a busy machine


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the very jupyter-server that the image has, and its settings."""

    def make(folder: Path) -> None:
        uv = [sys.executable, "-m", "uv"]
        subprocess.run([*uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
        into = ["pip", "install", "--quiet", "--python", str(folder / "bin/python")]
        pins = ["-c", str(HOME / "requirements/jupyter.txt")]
        subprocess.run([*uv, *into, "jupyter-server", *pins], check=True)
        settings = (HOME / "docker/jupyter_server_config.py").read_text()
        (folder / "etc/jupyter").mkdir(parents=True, exist_ok=True)
        (folder / "etc/jupyter/jupyter_server_config.py").write_text(settings)

    return shared.once(tmp_path_factory, "jupyter", make)


@contextlib.contextmanager
def started(server: Path, folder: Path, given: Given) -> Iterator[subprocess.Popen[str]]:
    """The server as the image starts it, but for its address and the workspace."""
    file = given.file(folder)
    environ = {name: str(file) if value == FILE else value for name, value in given.environ.items()}
    for name in ("home", "work"):
        (folder / name).mkdir()
    base = {"PATH": f"{server / 'bin'}:/usr/bin:/bin", "HOME": str(folder / "home")}
    runtime = {"JUPYTER_RUNTIME_DIR": str(folder / "runtime")}
    where = ["--ServerApp.ip=127.0.0.1", "--ServerApp.port=0", "--ServerApp.port_retries=50"]
    argv = [
        str(server / "bin/jupyter"),
        "server",
        *where,
        f"--ServerApp.root_dir={folder / 'work'}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*argv, *given.options], env=base | runtime | environ, stderr=log, stdout=log, text=True
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def told(process: subprocess.Popen[str], folder: Path) -> dict[str, Any] | None:
    """What the server says of itself once it answers; None where it has ended instead."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        for file in (folder / "runtime").glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, OSError):
                found: dict[str, Any] = json.loads(file.read_text())
                urllib.request.urlopen(f"{found['url']}api", timeout=5).close()
                return found
        time.sleep(0.05)
    return None


def code(url: str, token: str = "", path: str = "api/contents") -> int:
    asked = urllib.request.Request(url + path)
    if token:
        asked.add_header("Authorization", f"token {token}")
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("given", CASES, ids=lambda given: given.name[:60])
def test_start(server: Path, tmp_path: Path, given: Given) -> None:
    with started(server, tmp_path, given) as process:
        found = told(process, tmp_path)
        log = (tmp_path / "log").read_text()
        if given.refused:
            assert found is None, log
            assert process.wait() == 1
            assert given.refused in log
            assert "Traceback" not in log
            return
        assert found, log
        assert len(found["token"]) >= 16
        if given.token:
            assert found["token"] == given.token
        assert code(found["url"]) == 403
        assert code(found["url"], GOOD[1:] + "x") == 403
        assert code(found["url"], found["token"]) == 200


def test_password_opens_nothing(server: Path, tmp_path: Path) -> None:
    """With a good token a password may be set, and is no key."""
    make = "from jupyter_server.auth import passwd; print(passwd('letmein'))"
    done = subprocess.run(
        [str(server / "bin/python"), "-c", make], capture_output=True, text=True, check=True
    )
    options = (f"--ServerApp.password={done.stdout.strip()}", f"--IdentityProvider.token={GOOD}")
    with started(server, tmp_path, Given("password", "", options=options)) as process:
        found = told(process, tmp_path)
        assert found, (tmp_path / "log").read_text()
        assert logged_in(found["url"], GOOD) == 200
        assert logged_in(found["url"], "letmein") == 403
        assert code(found["url"], GOOD) == 200


def logged_in(url: str, password: str) -> int:
    """What the contents answer to a browser that has put a password into the form."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    browser.open(f"{url}login", timeout=20).close()
    (mark,) = [cookie.value for cookie in jar if cookie.name == "_xsrf"]
    form = urllib.parse.urlencode({"password": password, "_xsrf": mark}).encode()
    try:
        with contextlib.suppress(urllib.error.HTTPError):  # 401 for what is wrong
            browser.open(f"{url}login", data=form, timeout=20).close()
        return int(browser.open(f"{url}api/contents", timeout=20).status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.skipif(os.geteuid() != 0, reason="lays out a file that the server's user cannot read")
def test_file_that_cannot_be_read(server: Path, tmp_path: Path) -> None:
    """Read as a user in its own right: root reads everything."""
    file = tmp_path / "token"
    file.write_text(GOOD)
    file.chmod(0o600)
    settings = (HOME / "docker/jupyter_server_config.py").read_text()
    asked = (
        f"import os; os.setgroups([]); os.setgid(12345); os.setuid(12345)\ncontent({str(file)!r})"
    )
    lines = settings.partition("\nc = get_config()")[0]
    done = subprocess.run(
        [str(server / "bin/python"), "-c", f"{lines}\n{asked}"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "JUPYTER_TOKEN_FILE cannot be read" in done.stderr.splitlines()[-1]
