"""`jaxpad build` over a fake docker: what it runs, and what it says when that fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad import __version__, profiles
from jaxpad.containers.build import Options, pinned

DOCKERFILE = (HOME / "docker/Dockerfile").read_text()
PACKAGES = [{"name": "jax", "version": "0.12.0.1"}, {"name": "jaxlib", "version": "0.12.0.1"}]
FAKE = """#!{python}
import os, sys
words = sys.argv[1:]
with open(os.environ["FAKE_LOG"], "a") as log:
    print(words, file=log)
if words[0] == "version":
    print("20.10.24 20.10.24")
elif words[0] == "run":
    print('{packages}')
elif words[0] == "build":
    with open(os.environ["FAKE_LOG"] + ".stdin", "a") as file:
        file.write(sys.stdin.read())
    print(os.environ.get("FAKE_SAYS", "done"))
    sys.exit("FAKE_SAYS" in os.environ)
"""


class Docker:
    """The fake, and what it was told."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        program = folder / "bin/docker"
        program.parent.mkdir()
        program.write_text(FAKE.format(python=sys.executable, packages=json.dumps(PACKAGES)))
        program.chmod(0o755)
        self.path = str(program.parent)

    @property
    def calls(self) -> list[list[str]]:
        import ast

        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [ast.literal_eval(line) for line in lines]

    @property
    def builds(self) -> list[list[str]]:
        return [call for call in self.calls if call[0] == "build"]

    def jaxpad(self, *words: str, **added: str) -> subprocess.CompletedProcess[str]:
        variables = environ(FAKE_LOG=str(self.log), **added)
        path = f"{self.path}:{variables['PATH']}"
        argv = [sys.executable, "-m", "jaxpad", *words]
        env = variables | {"PATH": path}
        return subprocess.run(argv, env=env, cwd=HOME, capture_output=True, text=True)


@pytest.fixture
def docker(tmp_path: Path) -> Docker:
    return Docker(tmp_path)


def values(call: list[str], option: str) -> dict[str, str]:
    pairs = [call[i + 1].partition("=") for i, word in enumerate(call) if word == option]
    return {name: value for name, _, value in pairs}


def test_three_steps(docker: Docker) -> None:
    done = docker.jaxpad("build", "--base", "wheels")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"Built jaxpad:{__version__}-wheels-cuda12\n")
    base, final = docker.builds
    assert base[base.index("--target") + 1] == "base-wheels"
    assert final[final.index("--target") + 1] == "workspace"
    args = values(final, "--build-arg")
    assert (args["BASE"], args["CUDA"], args["PROFILE"]) == ("wheels", "12", "base")
    assert args["PROFILE_FLAGS"] == profiles.render(profiles.load("base"), "0.12.0.1")
    labels = values(final, "--label")
    assert labels["io.jaxpad.jax"] == "0.12.0.1"
    assert labels["org.opencontainers.image.base.name"] == "docker.io/library/debian:trixie-slim"


@pytest.mark.parametrize(
    ("options", "image"),
    [
        ((), f"jaxpad:{__version__}-toolbox-cuda13"),
        (("--cuda", "12"), f"jaxpad:{__version__}-toolbox-cuda12"),
        (("--base", "wheels", "--cuda", "13"), f"jaxpad:{__version__}-wheels-cuda13"),
        (("--target", "jupyter"), f"jaxpad:{__version__}-toolbox-cuda13-jupyter"),
        (("--tag", "mine:1"), "mine:1"),
    ],
)
def test_tag(docker: Docker, options: tuple[str, ...], image: str) -> None:
    assert docker.jaxpad("build", *options).returncode == 0
    final = docker.builds[-1]
    assert final[final.index("--tag") + 1] == image


@pytest.mark.parametrize(("cuda", "date"), [("12", "2025-08-21"), ("13", "2026-07-24")])
def test_toolbox_by_cuda(docker: Docker, cuda: str, date: str) -> None:
    assert docker.jaxpad("build", "--cuda", cuda).returncode == 0
    labels = values(docker.builds[-1], "--label")
    assert labels["org.opencontainers.image.base.name"] == f"ghcr.io/nvidia/jax:jax-{date}"


def test_profile_with_variables(docker: Docker) -> None:
    """ENV's names cannot come from an argument: a last stage brings them."""
    done = docker.jaxpad("build", "--profile", "fsdp-hopper")
    assert done.returncode == 0, done.stderr
    final = docker.builds[-1]
    assert final[final.index("--target") + 1] == "baked"
    assert final[final.index("--file") + 1] == "-"
    sent = Path(f"{docker.log}.stdin").read_text()
    assert sent.endswith('FROM workspace AS baked\nENV CUDA_DEVICE_MAX_CONNECTIONS="1"\n')
    assert sent.startswith(DOCKERFILE.splitlines()[0])


def test_ca_bundle_is_a_secret(docker: Docker, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n")
    assert docker.jaxpad("build", "--ca-bundle", str(bundle)).returncode == 0
    for call in docker.builds:
        assert call[call.index("--secret") + 1] == f"id=ca,src={bundle}"
        assert str(bundle) not in values(call, "--build-arg").values()


def test_proxy_is_passed_by_name(docker: Docker) -> None:
    """Its value may hold a password, and an argv is everyone's to read."""
    done = docker.jaxpad("build", HTTPS_PROXY="http://me:secret@proxy:1")
    assert values(docker.builds[-1], "--build-arg")["HTTPS_PROXY"] == ""
    assert "secret" not in done.stderr + str(docker.calls)


def test_push(docker: Docker) -> None:
    assert docker.jaxpad("build", "--push", "registry/x:1").returncode == 0
    assert docker.calls[-2:] == [
        ["tag", f"jaxpad:{__version__}-toolbox-cuda13", "registry/x:1"],
        ["push", "registry/x:1"],
    ]


def test_dry_run_is_what_runs(docker: Docker) -> None:
    options = ["build", "--base", "wheels", "--profile", "fsdp-hopper"]
    done = docker.jaxpad(*options, "--dry-run", SOURCE_DATE_EPOCH="1700000000")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert not docker.builds
    variables = environ(FAKE_LOG=str(docker.log))
    env = variables | {"PATH": f"{docker.path}:{variables['PATH']}"}
    pasted = subprocess.run(["sh", "-ec", done.stdout], env=env, capture_output=True, text=True)
    assert pasted.returncode == 0, pasted.stderr
    typed = docker.builds
    docker.log.unlink()
    docker.jaxpad(*options, SOURCE_DATE_EPOCH="1700000000")
    assert docker.builds == typed


def test_created_is_the_source_date(docker: Docker) -> None:
    docker.jaxpad("build", SOURCE_DATE_EPOCH="1700000000")
    labels = values(docker.builds[-1], "--label")
    assert labels["org.opencontainers.image.created"] == "2023-11-14T22:13:20Z"
    assert values(docker.builds[-1], "--build-arg")["SOURCE_DATE_EPOCH"] == "1700000000"


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("write /var/lib/docker/x: no space left on device", "disk is full"),
        (
            "ERROR: failed to resolve source metadata for ghcr.io/nvidia/jax: no such host",
            "ghcr.io/nvidia/jax:jax-2026-07-24 cannot be pulled",
        ),
        (
            "failed to do request: Head https://x: dial tcp: lookup x: no such host",
            "cannot be pulled",
        ),
        ("SSL: CERTIFICATE_VERIFY_FAILED certificate verify failed", "--ca-bundle"),
    ],
)
def test_known_failure(docker: Docker, says: str, sentence: str) -> None:
    done = docker.jaxpad("build", FAKE_SAYS=says)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("jaxpad: ")
    assert sentence in last


def test_unknown_failure(docker: Docker) -> None:
    done = docker.jaxpad("build", FAKE_SAYS="jaxpad: jaxlib 0.9 does not know xla_gpu_new")
    assert done.returncode == 1
    assert "does not know xla_gpu_new" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--base", "wheel"), "did you mean wheels"),
        (("--cuda", "11"), "expected 12 or 13"),
        (("--profile", "bse"), "did you mean base"),
        (("--target", "lab"), "expected workspace or jupyter"),
        (("--ca-bundle", "/nowhere"), "not a readable file of certificates"),
        (("--ca-bundle", str(HOME / "README.md")), "not a readable file of certificates"),
        (("--engine", "apptainer"), "apptainer"),
        (("--sif", "x.sif"), "apptainer is not on PATH"),
    ],
)
def test_bad_option(docker: Docker, options: tuple[str, ...], sentence: str) -> None:
    done = docker.jaxpad("build", *options, PATH=docker.path)  # no Apptainer of this machine's
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1]
    assert not docker.builds


def test_dockerfile_alone_has_the_default_profile() -> None:
    """`docker build` without us: its arguments are what `build` would give."""
    default = re.search(r'^ARG PROFILE_FLAGS="(.*)"$', DOCKERFILE, re.MULTILINE)
    name = re.search(r"^ARG PROFILE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert default
    assert name
    for version in {pinned(Options(cuda=cuda), HOME)["jaxlib"] for cuda in ("12", "13")}:
        assert default[1] == profiles.render(profiles.load(name[1]), version)


def test_dockerfile_pulls_no_frontend() -> None:
    assert not re.search(r"^# *syntax *=", DOCKERFILE, re.MULTILINE)
