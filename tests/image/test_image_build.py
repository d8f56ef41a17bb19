"""`jaxpad build` where the engine is real and what it needs is not there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME
from images import NETWORK, Built, variables

GONE = "localhost:9/no/such/registry:1"  # the discard port: nobody answers
COPIED = ("configs", "docker", "jaxpad", "requirements", "smoke_tests", "tasks.py", ".dockerignore")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the build reads, to be spoilt."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        if (HOME / name).is_dir():
            shutil.copytree(HOME / name, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(HOME / name, tmp_path / name)
    return tmp_path


def build(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`jaxpad build` of that checkout, under a tag that is thrown away."""
    argv = [sys.executable, "-m", "jaxpad", "build", "--tag", "jaxpad-spoilt", *options]
    env = variables(PYTHONPATH=str(checkout))
    return subprocess.run(argv, env=env, cwd=checkout, capture_output=True, text=True)


def test_base_that_cannot_be_pulled(daemon: None, checkout: Path) -> None:
    dockerfile = checkout / "docker/Dockerfile"
    text = re.sub(
        r"^FROM \S+ AS toolbox-cuda13$",
        f"FROM {GONE} AS toolbox-cuda13",
        dockerfile.read_text(),
        flags=re.MULTILINE,
    )
    dockerfile.write_text(text)
    done = build(checkout)
    assert done.returncode == 2, done.stderr
    assert f"the base image {GONE} cannot be pulled" in done.stderr.splitlines()[-1]


def test_flag_that_the_images_xla_refuses(
    toolbox: Built, checkout: Path, bundle: tuple[Path, bytes]
) -> None:
    """The last RUN proves the image: a flag this jaxlib does not know ends the build."""
    flag = 'name = "xla_gpu_no_such_flag"\nvalue = true\nwhy = "w"\nsource = "https://x.org"\n'
    dead = f'description = "Dead"\n[[flag]]\n{flag}'
    (checkout / "configs/profiles/dead.toml").write_text(dead)
    done = build(checkout, "--ca-bundle", str(bundle[0]), *NETWORK)
    assert done.returncode == 1, done.stderr
    assert re.search(r"jaxlib \S+ does not know xla_gpu_no_such_flag", done.stderr)


def test_base_whose_jax_is_replaced(
    toolbox: Built, checkout: Path, bundle: tuple[Path, bytes]
) -> None:
    """Extras may not bring another numpy's JAX: a step that touches jax ends the build."""
    dockerfile = checkout / "docker/Dockerfile"
    touch = "RUN rm -r /opt/jax/jax && mkdir /opt/jax/jax && touch /opt/jax/jax/__init__.pyc\n"
    mark = "# A user for those who name none"
    dockerfile.write_text(dockerfile.read_text().replace(mark, touch + mark))
    done = build(checkout, "--ca-bundle", str(bundle[0]), *NETWORK)
    assert done.returncode == 1, done.stderr
    assert "the build has changed the base image's own jax" in done.stderr
