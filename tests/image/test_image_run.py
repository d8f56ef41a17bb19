"""What `docker run IMAGE` gives, as written and in the ways clusters start an image."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO

import pexpect
import pytest

from images import (
    CA,
    NETWORK,
    Built,
    docker,
    engine,
    inspect,
    output,
    require_baked_profile,
    run,
    variables,
)

LATENCY = "--xla_gpu_enable_latency_hiding_scheduler=true"
PIP = ("--volume", f"{CA}:/ca.pem:ro", "--env", "PIP_CERT=/ca.pem", *NETWORK)
FSDP = ("fsdp-hopper", "--", "sh", "-c", "echo $CUDA_DEVICE_MAX_CONNECTIONS $XLA_FLAGS")


def test_user_is_not_root(image: Built) -> None:
    assert run(image, "id", "-u").stdout == "1000\n"
    assert inspect(image.name)["Config"]["User"] == "1000:1000"


def test_jax_is_the_bases_own(image: Built) -> None:
    script = "import jax, jaxlib; print(jax.__file__, jaxlib.__file__)"
    found = run(image, "python", "-c", script).stdout.split()
    places = {"wheels": "/usr/local/lib/python3", "toolbox": "/opt/jax"}
    base = inspect(image.name)["Config"]["Labels"]["io.jaxpad.base"]
    assert all(place.startswith(places[base]) for place in found)


def test_one_line_where_there_is_no_gpu(image: Built) -> None:
    done = run(image, "true")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("jaxpad: no GPU here: ")


def test_folder_of_another_is_told(image: Built, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    mount = ["--volume", f"{tmp_path}:/workspace"]
    told = run(image, "true", options=mount).stderr
    assert "uid 1000 cannot write /workspace" in told
    assert "--user $(id -u):$(id -g)" in told
    mine = run(image, "touch", "x", options=[*mount, "--user", "0:0"])
    assert "cannot write" not in mine.stderr
    assert (tmp_path / "x").exists()
    assert "cannot write" not in run(image, "true", options=["--read-only"]).stderr


def test_shell_is_quiet(image: Built) -> None:
    done = run(image, options=["--env", "JAXPAD_QUIET=1"])  # bash, which reads an empty input
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_labels_tell_the_image(image: Built) -> None:
    labels = inspect(image.name)["Config"]["Labels"]
    told = json.loads(run(image, "cat", "/usr/local/share/jaxpad/image.json").stdout)
    for key in ("base", "cuda", "profile", "jax", "jaxlib"):
        assert labels[f"io.jaxpad.{key}"] == told[key]
    created = labels["org.opencontainers.image.created"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", created)
    assert labels["org.opencontainers.image.version"] == told["jaxpad"]
    assert "/" in labels["org.opencontainers.image.base.name"]


def test_baked_profile_is_in_effect_without_the_entrypoint(image: Built) -> None:
    """With it: test_image_smoke.py."""
    words = ["smoke", "--platform", "cpu", "--json", "--out", "/tmp/r"]
    chosen = ["-k", "in_effect or profile"]
    done = run(image, *words, *chosen, options=["--entrypoint", "jaxpad"])
    assert done.returncode == 0, done.stderr
    require_baked_profile(json.loads(done.stdout))


def test_users_flags_win(image: Built) -> None:
    own = "--xla_gpu_autotune_level=0"
    done = run(image, "printenv", "XLA_FLAGS", options=["--env", f"XLA_FLAGS={own}"])
    assert done.stdout.strip() == own


def test_append_comes_last(image: Built) -> None:
    more = "--xla_gpu_autotune_level=0"
    done = run(image, "printenv", "XLA_FLAGS", options=["--env", f"XLA_FLAGS_APPEND={more}"])
    assert LATENCY in done.stdout
    assert done.stdout.split()[-1] == more


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ("with-profile", *FSDP)),
        (("--entrypoint", "with-profile"), FSDP),
        (("--env", "JAXPAD_PROFILE=fsdp-hopper"), FSDP[2:]),
    ],
    ids=["command", "entrypoint", "variable"],
)
def test_with_profile(image: Built, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    first, *flags = run(image, *words, options=options).stdout.split()
    assert first == "1"
    assert flags[-1] == "--xla_gpu_enable_pipelined_all_gather=true"


def test_unknown_profile_is_refused(image: Built) -> None:
    done = run(image, "with-profile", "../../etc/passwd", "--", "true")
    assert done.returncode == 2
    assert "there are base, debug, " in done.stderr


@contextlib.contextmanager
def started(image: Built, *words: str) -> Iterator[str]:
    name = output([engine(), "run", "--detach", image.name, *words]).strip()
    try:
        yield name
    finally:
        docker("rm", "--force", name)


def test_exec_has_the_profile(image: Built) -> None:
    with started(image, "sleep", "60") as name:
        found = docker("exec", name, "printenv", "XLA_FLAGS").stdout
        assert LATENCY in found
        assert docker("exec", name, "with-profile", *FSDP).stdout.startswith("1 ")


@pytest.mark.parametrize(
    "words", [("sleep", "600"), ("python", "-c", "import time; time.sleep(600)")]
)
def test_stops_at_once(image: Built, words: tuple[str, ...]) -> None:
    with started(image, *words) as name:
        until = time.monotonic() + 30  # what comes before a program runs is nobody's to heed
        while "600" not in docker("top", name).stdout and time.monotonic() < until:
            time.sleep(0.2)
        before = time.monotonic()
        docker("stop", "--time", "20", name)
        assert time.monotonic() - before < 15  # SIGTERM was enough: the kill comes after 20 s
        assert inspect(name)["State"]["ExitCode"] in (143, 0)


def test_orphans_are_reaped(image: Built) -> None:
    orphan = "(sleep 0.2 &) ; exec sleep 30"
    with started(image, "sh", "-c", orphan) as name:
        time.sleep(1.5)
        states = docker("exec", name, "sh", "-c", "cat /proc/[0-9]*/stat").stdout
        assert "(sleep)" in states
        assert " Z " not in states


def every_file(image: str) -> Iterator[tuple[str, bytes]]:
    """Each file of each layer, also those that a later layer hides."""
    with Popen([engine(), "save", image], stdout=PIPE) as saved:
        for name, layer in _members(saved.stdout):
            if name.endswith("layer.tar"):
                yield from ((file, content.read()) for file, content in _members(layer))


def _members(stream: IO[bytes] | None) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            content = archive.extractfile(member) if member.isreg() else None
            if content:
                yield member.name, content


def test_no_secret_in_any_layer(toolbox: Built, bundle: tuple[Path, bytes]) -> None:
    """Every byte of every layer, and the history: neither the bundle nor its mark."""
    mark = bundle[1]
    assert mark.decode() not in output([engine(), "history", "--no-trunc", toolbox.name])
    files = 0
    for file, content in every_file(toolbox.name):
        files += 1
        assert not file.startswith("run/secrets/")
        assert mark not in content, file
    assert files > 5000


@pytest.mark.parametrize("user", ["1000:1000", "12345:54321"])
def test_pip_install_keeps_jax(image: Built, user: str) -> None:
    """Into the user's own overlay; jax and jaxlib stay the ones that were proven."""
    script = (
        "pip install --quiet flax optax && "
        "python -c 'import flax, jax, jaxlib; print(flax.__file__, jax.__file__)' 2>/dev/null && "
        "pip list --format json 2>/dev/null && "
        "! pip install --quiet --upgrade jax==0.9.2 2>/dev/null"
    )
    done = run(image, "sh", "-c", script, options=[*PIP, "--user", user])
    assert done.returncode == 0, done.stderr[-2000:]
    places, listed = done.stdout.splitlines()[:2]
    flax, jax = places.split()
    assert flax.startswith("/home/jax/.cache/jaxpad/packages/")
    assert not jax.startswith("/home/jax")
    labels = inspect(image.name)["Config"]["Labels"]
    versions = {package["name"]: package["version"] for package in json.loads(listed)}
    assert {versions["jax"], versions["jaxlib"]} == {
        labels["io.jaxpad.jax"],
        labels["io.jaxpad.jaxlib"],
    }


def test_infiniband_can_be_used(wheels: Built) -> None:
    """NCCL opens these by name, and falls back to sockets without a word where it cannot."""
    script = "import ctypes; [ctypes.CDLL(n) for n in ('libibverbs.so.1', 'librdmacm.so.1')]"
    assert run(wheels, "python", "-c", script).returncode == 0
    assert run(wheels, "sh", "-c", "ls /usr/lib/*/libibverbs/libmlx5*").returncode == 0


def test_launch_on_a_terminal(toolbox: Built, tmp_path: Path) -> None:
    """As a newcomer types it: a shell in the current folder, left by Ctrl-D."""
    (tmp_path / "mine.txt").touch()
    words = ["-m", "jaxpad", "launch", "--image", toolbox.name]
    given = variables(TERM="dumb")
    shell = pexpect.spawn(sys.executable, words, env=given, cwd=tmp_path, timeout=60)
    shell.expect("JAX computes on the CPU")
    shell.expect(r"[$#] ")
    shell.sendline("ls; python -c 'print(6 * 7)'")
    shell.expect("mine.txt")
    shell.expect("42")
    shell.expect(r"[$#] ")
    shell.sendeof()
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == 0
