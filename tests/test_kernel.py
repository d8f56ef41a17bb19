"""`kernel`: the file it writes, and the kernel that Jupyter starts from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad import flags, profiles
from jaxpad.cli.launch import data_folder

# Through a kernel that Jupyter's own client starts by its name.
ASK = """
import sys
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1])
code = "import jax, os, sys; print(sys.executable, jax.__version__, os.environ['XLA_FLAGS'])"
def out(message):
    if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
        print(message["content"]["text"], end="")
    assert message["msg_type"] != "error", message["content"]
client.execute_interactive(code, timeout=120, output_hook=out)
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def kernel(
    data: Path, *words: str, python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    argv = [python, "-m", "jaxpad", "kernel", *words]
    variables = environ(JUPYTER_DATA_DIR=str(data), JAX_PLATFORMS="cpu")
    return subprocess.run(argv, env=variables, cwd=HOME, capture_output=True, text=True)


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that sees this environment's packages, with what the jupyter set pins beside."""
    folder = tmp_path_factory.mktemp("jupyter")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin/python")
    pins = ["--require-hashes", "--quiet", "--requirement", str(HOME / "requirements/jupyter.txt")]
    subprocess.run([python, "-m", "pip", "install", *pins], check=True)
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    ours = {path for path in sys.path if path.endswith("site-packages")}
    (site / "ours.pth").write_text("\n".join(sorted(ours)) + "\n")
    return python


def test_kernel_runs_under_its_profile(tmp_path: Path, jupyter: str) -> None:
    done = kernel(tmp_path, "--profile", "debug", python=jupyter)
    assert done.returncode == 0, done.stderr
    variables = environ(JUPYTER_DATA_DIR=str(tmp_path), JAX_PLATFORMS="cpu")
    argv = [jupyter, "-c", ASK, "jaxpad-debug"]
    said = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=240)
    assert said.returncode == 0, said.stderr
    python, _, xla_flags = said.stdout.strip().split(" ", 2)
    assert python == jupyter
    expected = profiles.render(profiles.load("debug"), flags.jaxlib_version())
    assert xla_flags == expected
    assert expected


def test_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = kernel(tmp_path / "data", "--dry-run", "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["kernel"]["argv"][0] == sys.executable
    assert found["file"] == str(tmp_path / "data/kernels/jaxpad/kernel.json")
    assert not (tmp_path / "data").exists()


def test_without_ipykernel(tmp_path: Path) -> None:
    """jaxpad's own environment has none."""
    done = kernel(tmp_path / "data")
    assert done.returncode == 2
    assert "pip install ipykernel" in done.stderr
    assert not (tmp_path / "data").exists()


def test_unknown_profile(tmp_path: Path) -> None:
    done = kernel(tmp_path, "--profile", "fdsp")
    assert done.returncode == 2
    assert "fdsp" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"JUPYTER_DATA_DIR": "/a", "XDG_DATA_HOME": "/b"}, "/a"),
        ({"XDG_DATA_HOME": "/b"}, "/b/jupyter"),
        ({}, str(Path.home() / ".local/share/jupyter")),
    ],
)
def test_data_folder(variables: dict[str, str], expected: str) -> None:
    assert data_folder(variables) == Path(expected)
