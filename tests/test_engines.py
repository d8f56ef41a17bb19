"""What each engine is told, and which one is taken, over fake programs on PATH."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from jaxpad.containers import engine as containers_engine
from jaxpad.containers.engine import Engine, Mount, Run
from jaxpad.containers.engines.apptainer import Apptainer
from jaxpad.containers.engines.oci import Docker, Podman
from jaxpad.core.results import UsageError

Programs = Callable[[str, str], None]
RUN = Run("image", ("cmd", "a b"), mounts=(Mount(Path("/here"), "/there", read_only=True),))
ENGINES: list[Engine] = [Docker("docker"), Podman("podman"), Apptainer("apptainer")]


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Puts a program with a body in sh on a PATH that has nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def make(name: str, body: str) -> None:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    return make


def after(argv: list[str], option: str) -> list[str]:
    """Each value that follows an option."""
    return [argv[i + 1] for i, word in enumerate(argv) if word == option]


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_command_comes_last_word_by_word(engine: Engine) -> None:
    argv = engine.run_argv(RUN)
    assert argv[-2:] == ["cmd", "a b"]
    assert argv[0] == engine.name


@pytest.mark.parametrize(
    ("gpus", "docker", "podman", "apptainer"),
    [
        ("none", [], [], False),
        ("all", ["all"], ["nvidia.com/gpu=all"], True),
        ("0,1", ['"device=0,1"'], ["nvidia.com/gpu=0", "nvidia.com/gpu=1"], True),
        ("GPU-3fa", ['"device=GPU-3fa"'], ["nvidia.com/gpu=GPU-3fa"], True),
    ],
)
def test_gpus(gpus: str, docker: list[str], podman: list[str], apptainer: bool) -> None:
    wanted = Run("image", gpus=gpus)
    assert after(Docker("docker").run_argv(wanted), "--gpus") == docker
    assert after(Podman("podman").run_argv(wanted), "--device") == podman
    argv = Apptainer("apptainer").run_argv(wanted)
    assert ("--nv" in argv) is apptainer
    listed = gpus not in ("none", "all")
    assert (f"CUDA_VISIBLE_DEVICES={gpus}" in argv) is listed


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_odd_gpu_list_is_refused(engine: Engine) -> None:
    with pytest.raises(UsageError, match="a list such as 0,1"):
        engine.run_argv(Run("image", gpus="0,,1"))


def test_shared_memory_is_sized_or_the_hosts() -> None:
    sized = Docker("docker").run_argv(Run("image", shm_size="2g"))
    assert after(sized, "--shm-size") == ["2g"]
    assert "--ipc" not in sized
    shared = Docker("docker").run_argv(Run("image", ipc_host=True))
    assert after(shared, "--ipc") == ["host"]
    assert "--shm-size" not in shared


def test_caller_is_the_user() -> None:
    wanted = Run("image", user=(1234, 5678))
    assert after(Docker("docker").run_argv(wanted), "--user") == ["1234:5678"]
    assert after(Docker("docker", rootless=True).run_argv(wanted), "--user") == ["0:0"]
    argv = Podman("podman", rootless=True).run_argv(wanted)
    assert after(argv, "--user") == ["1234:5678"]
    assert after(argv, "--userns") == ["keep-id"]


def test_limits_are_raised_where_they_may_be() -> None:
    limits = after(Docker("docker").run_argv(RUN), "--ulimit")
    assert limits == ["memlock=-1:-1", "stack=67108864:67108864"]


@pytest.mark.parametrize("kind", [Docker, Podman])
def test_limits_stay_within_the_callers(
    kind: type[Docker | Podman], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _key: (1, 4096))
    argv = kind("program", raises_limits=False).run_argv(RUN)
    limits = dict(limit.split("=") for limit in after(argv, "--ulimit"))
    assert {"memlock", "stack"} <= limits.keys()
    assert set(limits.values()) == {"4096:4096"}


@pytest.mark.parametrize("folder", ["/a,b", '/a"b', "/a:b", "/ä b"])
def test_mount_of_any_folder(folder: str) -> None:
    import csv

    argv = Docker("docker").run_argv(Run("image", mounts=(Mount(Path(folder), "/there"),)))
    [fields] = csv.reader(after(argv, "--mount"))
    assert fields == ["type=bind", f"source={folder}", "target=/there"]


def test_apptainer_refuses_what_it_cannot_bind() -> None:
    with pytest.raises(UsageError, match="a colon or a comma"):
        Apptainer("apptainer").run_argv(Run("image", mounts=(Mount(Path("/a:b"), "/there"),)))


def test_apptainer_takes_files_and_references(tmp_path: Path) -> None:
    file = tmp_path / "image.sif"
    file.touch()
    engine = Apptainer("apptainer")
    assert str(file) in engine.run_argv(Run(str(file)))
    assert "docker://jaxpad:1" in engine.run_argv(Run("jaxpad:1"))


def test_port_is_on_loopback() -> None:
    argv = Docker("docker").run_argv(Run("image", port=(9000, 8888)))
    assert after(argv, "--publish") == ["127.0.0.1:9000:8888"]
    with pytest.raises(UsageError, match="publishes no port"):
        Apptainer("apptainer").run_argv(Run("image", port=(9000, 8888)))


ANSWERS = 'case $1 in version) echo "20.10.24 20.10.24" ;; info) echo "[name=seccomp]" ;; esac'
NEW = 'case "$1 $2" in version*) echo "28.2.2 28.2.2" ;; buildx*) exit {buildx} ;; esac'


def test_docker_comes_first(program: Programs) -> None:
    program("docker", ANSWERS)
    program("podman", "echo 4.3.1")
    assert containers_engine.find().name == "docker"
    assert containers_engine.find("podman").name == "podman"


def test_podman_where_docker_does_not_answer(program: Programs) -> None:
    program("docker", 'echo "Cannot connect to the Docker daemon" >&2; exit 1')
    program("podman", "echo 4.3.1")
    assert containers_engine.find().name == "podman"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('echo "Cannot connect to the Docker daemon at x" >&2; exit 1', "systemctl start docker"),
        ('echo "dial unix: connect: permission denied" >&2; exit 1', "docker group"),
    ],
)
def test_daemon_out_of_reach(program: Programs, body: str, sentence: str) -> None:
    program("docker", body)
    with pytest.raises(UsageError, match=sentence):
        containers_engine.find("docker")


def test_no_engine(program: Programs) -> None:
    with pytest.raises(UsageError, match="neither docker nor podman is on PATH"):
        containers_engine.find()
    with pytest.raises(UsageError, match="apptainer is not on PATH"):
        containers_engine.find("apptainer")


def test_unknown_engine() -> None:
    with pytest.raises(UsageError, match="expected docker, podman or apptainer"):
        containers_engine.find("dokcer")


def test_client_that_cannot_build_is_passed_over(
    program: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer client without its plugin may come first on PATH: the older one builds."""
    program("docker", NEW.format(buildx=1))
    program("../older/docker", ANSWERS)
    older = tmp_path / "older"
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{older}")
    assert containers_engine.find("docker").program == "docker"
    found = containers_engine.find("docker", building=True)
    assert found.program == str(older / "docker")


def test_no_client_that_can_build(program: Programs) -> None:
    program("docker", NEW.format(buildx=1))
    with pytest.raises(UsageError, match="docker-buildx"):
        containers_engine.find("docker", building=True)


def test_rootless_docker_is_told(program: Programs) -> None:
    program("docker", ANSWERS.replace("name=seccomp", "name=seccomp name=rootless"))
    found = containers_engine.find("docker")
    assert isinstance(found, Docker)
    assert found.rootless
    assert not found.raises_limits
