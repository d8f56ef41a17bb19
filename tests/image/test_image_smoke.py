"""The CPU smoke suite inside the built images, under what clusters and admins impose.

The whole suite runs once in each image. Each further way to run a container has the checks that
it can change: those that ask who they are, write files, start programs, open devices or read what
the kernel tells. The other files compute in their own memory: traced with strace, test_arrays,
test_lax, test_pytrees, test_static, test_typing, test_devices and test_throughput open no socket,
and write where test_environment and test_jit do, the temporary folder and JAX's cache.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import HOME, NOT_HERE
from images import Built, Done, jaxpad, require_baked_profile, run
from jaxpad.smoke import collection

ANYBODY = ("--user", "12345:54321")
READ_ONLY = ("--read-only", "--tmpfs", "/tmp")
POWERLESS = ("--cap-drop", "ALL")
NO_PRIVILEGES = ("--security-opt", "no-new-privileges")
OFFLINE = ("--network", "none")
CONDITIONS = {
    "any uid": ANYBODY,
    "read-only root": READ_ONLY,
    "no capabilities": POWERLESS,
    "no new privileges": NO_PRIVILEGES,
    "no network": OFFLINE,
}
CHANGEABLE = (
    "environment",  # imports, JAX's start, both kinds of folders to write, XLA in children
    "profile",  # files of the image, XLA in children
    "health",  # what the driver and the kernel's log tell
    "test_breakpoint",  # a pseudo-terminal and a program on it
    "test_print_jit",  # what JAX's own threads write to the process's output
    "test_cache_second_process",  # JAX's cache, written by one process and read by the next
)
AT_ONCE = 2  # containers: each waits for its start-up and for one thread most of the time
# Read everything still: this Python may lie in a folder of root's.
AS_SOMEBODY = ["setpriv", "--reuid=4242", "--regid=4242"]
AS_SOMEBODY += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
COMMAND = ("jaxpad", "smoke", "--platform", "cpu", "--out", "/tmp/report", "--json")


@dataclass(frozen=True)
class Suite:
    """A run of the suite in a container."""

    image: str  # the name of its fixture
    options: tuple[str, ...] = ()
    only: tuple[str, ...] = ()  # checks by file and name; none: all

    @property
    def expression(self) -> str:
        return " or ".join(self.only)

    def run(self, built: Future[Built]) -> Done:
        words = ["-k", self.expression] if self.only else []
        return run(built.result(), *COMMAND, *words, options=self.options)

    @property
    def checks(self) -> set[str]:
        """The names of the checks that have to answer."""
        every = collection.collect(HOME / "smoke_tests")
        return {check.name for check in collection.select(every, self.expression or None)}


# In the order they are started: one image is ready before the other.
SUITES = {
    "toolbox, any uid, read-only root, no network": Suite("toolbox", ANYBODY + READ_ONLY + OFFLINE),
    "toolbox, no capabilities, no new privileges": Suite(
        "toolbox", POWERLESS + NO_PRIVILEGES, CHANGEABLE
    ),
    "wheels, as it is": Suite("wheels"),
    **{f"wheels, {name}": Suite("wheels", way, CHANGEABLE) for name, way in CONDITIONS.items()},
}


@pytest.fixture(scope="session")  # this file's tests are not in one row: conftest.py sorts them
def suites(
    request: pytest.FixtureRequest, under_way: Mapping[str, Future[Built]]
) -> Iterator[Mapping[Suite, Future[Done]]]:
    """The suites of the tests that were chosen, each under way as soon as its image is there."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    given = [
        one
        for item in functions
        if hasattr(item, "callspec")
        for one in item.callspec.params.values()
    ]
    chosen = [one for one in given if isinstance(one, Suite)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {suite: pool.submit(suite.run, under_way[suite.image]) for suite in chosen}


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
def test_suite_passes(suite: Suite, suites: Mapping[Suite, Future[Done]]) -> None:
    done = suites[suite].result()
    assert done.returncode == 0, done.stderr[-3000:]
    assert not re.search(r"^(WARNING|ERROR)", done.stderr, re.MULTILINE)
    report = json.loads(done.stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert verdicts.keys() == suite.checks
    assert set(verdicts.values()) <= {"pass", "not applicable"}
    assert {name for name, verdict in verdicts.items() if verdict != "pass"} <= NOT_HERE
    assert suite.image in report["host"]["image"]["value"]
    require_baked_profile(report)


def test_files_can_be_read_by_anybody(image: Built) -> None:
    """What the checks that ran as the image's own user import: packages, toolkit, suite."""
    script = "find /opt /usr/local ! -readable | head; find /opt /usr/local -type d ! -executable"
    done = run(image, "sh", "-c", script, options=[*ANYBODY, "--env", "JAXPAD_QUIET=1"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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
