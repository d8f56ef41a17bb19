"""The whole CPU smoke suite inside the built image, under what clusters and admins impose."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from helpers import NOT_HERE
from images import Built, jaxpad, run

ANYBODY = ("--user", "12345:54321")
READ_ONLY = ("--read-only", "--tmpfs", "/tmp")
POWERLESS = ("--cap-drop", "ALL")
NO_PRIVILEGES = ("--security-opt", "no-new-privileges")
OFFLINE = ("--network", "none")
CONDITIONS = {
    "as it is": (),
    "any uid": ANYBODY,
    "read-only root": READ_ONLY,
    "no capabilities": POWERLESS,
    "no new privileges": NO_PRIVILEGES,
    "no network": OFFLINE,
}
# Read everything still: this Python may lie in a folder of root's.
AS_SOMEBODY = ["setpriv", "--reuid=4242", "--regid=4242"]
AS_SOMEBODY += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
COMMAND = ("jaxpad", "smoke", "--platform", "cpu", "--out", "/tmp/report", "--json")


def require_pass(built: Built, *options: str) -> None:
    done = run(built, *COMMAND, options=options)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert len(verdicts) > 130
    assert set(verdicts.values()) <= {"pass", "not applicable"}
    assert {name for name, verdict in verdicts.items() if verdict != "pass"} <= NOT_HERE
    assert report["profile"] == "base"
    assert built.name.split("-")[1] in report["host"]["image"]["value"]
    assert not re.search(r"^(WARNING|ERROR)", done.stderr, re.MULTILINE)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_wheels(wheels: Built, condition: str) -> None:
    require_pass(wheels, *CONDITIONS[condition])


@pytest.mark.parametrize(
    "options",
    [ANYBODY + READ_ONLY + OFFLINE, POWERLESS + NO_PRIVILEGES],
    ids=["any uid, read-only, no network", "no capabilities, no new privileges"],
)
def test_toolbox(toolbox: Built, options: tuple[str, ...]) -> None:
    require_pass(toolbox, *options)


@pytest.mark.parametrize("command", ["smoke", "launch"])
def test_files_are_the_callers(image: Built, tmp_path: Path, command: str) -> None:
    """The caller may use docker's socket and is nobody else."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    caller = [*AS_SOMEBODY, f"--groups={_docker_group()}"]
    words = {
        "smoke": ["smoke", "--on", "docker", "--image", image.name, "-k", "lax", "--out", "out"],
        "launch": ["launch", "--image", image.name, "--gpus", "none", "--", "mkdir", "out"],
    }[command]
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": ""}
    done = jaxpad(*words, cwd=tmp_path, wrap=caller, **home)
    assert done.returncode == 0, done.stderr
    made = [tmp_path / "out", *tmp_path.glob("out/*"), *tmp_path.glob(".cache/**/*")]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(4242, 4242)}
    private = tmp_path / ".cache/jaxpad/containers"
    assert [oct(folder.stat().st_mode)[-3:] for folder in private.iterdir()] == ["700"]


def _docker_group() -> int:
    return Path("/var/run/docker.sock").stat().st_gid


def test_smoke_on_gives_the_suites_exit_code(toolbox: Built, tmp_path: Path) -> None:
    options = ["--on", "docker", "--image", toolbox.name, "--platform", "gpu", "--gpus", "none"]
    done = jaxpad("smoke", *options, "-k", "test_devices or environment", "--out", str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert json.loads((tmp_path / "smoke.json").read_text())["platform"]["expected"] == "gpu"
    assert "no NVIDIA kernel driver" in done.stderr


def test_smoke_takes_a_profile_file_along(toolbox: Built, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    flag = 'name = "xla_gpu_autotune_level"\nvalue = 0\nwhy = "w"\nsource = "https://x.org"\n'
    file.write_text(f'description = "Mine"\nextends = ["base"]\n[[flag]]\n{flag}')
    options = ["--on", "docker", "--image", toolbox.name, "--profile", str(file)]
    done = jaxpad("smoke", *options, "-k", "test_profile", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out/smoke.json").read_text())
    assert "--xla_gpu_autotune_level=0" in report["xla_flags"]["text"]
