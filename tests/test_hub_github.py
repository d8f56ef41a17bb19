"""The workflows: least privilege, actions by commit, and commands that are there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import githubs
from helpers import HOME
from jaxpad import bootstrap
from tools import upkeep

PROGRAMS = Path(sys.executable).parent
EVERY = githubs.every()
# What a job may do beside reading the sources; every other job can only read.
WRITES = {
    ("pages.yml", "deploy"): {"pages": "write", "id-token": "write"},
    ("release.yml", "build"): {"contents": "read", "packages": "write"},
    ("release.yml", "publish"): {
        "contents": "read",
        "packages": "write",
        "id-token": "write",
        "attestations": "write",
    },
    ("release.yml", "files"): {"contents": "write"},
}
JOBS = [(file, name, job) for file, flow in EVERY.items() for name, job in flow["jobs"].items()]
RUNS = [
    pytest.param(step["run"], id=f"{file}-{step['name']}")
    for file, flow in EVERY.items()
    for step in githubs.steps(flow)
    if "run" in step
]
BOOTSTRAP = "python3 -m jaxpad.bootstrap"


def tool(*argv: str, folder: Path = HOME) -> subprocess.CompletedProcess[str]:
    program = str(PROGRAMS / argv[0])
    done = [program, *argv[1:]]
    return subprocess.run(done, cwd=folder, capture_output=True, text=True, check=False)


def commands(script: str) -> list[list[str]]:
    """The words behind each `python3 -m jaxpad.bootstrap` of a script."""
    lines = script.replace("\\\n", " ").splitlines()
    return [shlex.split(line.split(BOOTSTRAP)[1]) for line in lines if BOOTSTRAP in line]


def task_of(words: list[str]) -> str:
    return words[2] if words[0] == "--packages" else words[0]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A project with what the template gives it of GitHub's files."""
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/test.yml").write_text(githubs.rendered())
    (tmp_path / ".yamllint").write_text((HOME / ".yamllint").read_text())
    return tmp_path


def test_workflows_are_all_there() -> None:
    wanted = {"ci.yml", "image.yml", "release.yml", "audit.yml", "pages.yml", "test.yml.jinja"}
    assert EVERY.keys() == wanted


@pytest.mark.parametrize("where", ["here", "copy"])
def test_zizmor_finds_nothing(where: str, copy: Path) -> None:
    folder = HOME if where == "here" else copy
    done = tool("zizmor", "--offline", "--persona=pedantic", ".github", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_yamllint_finds_nothing(copy: Path) -> None:
    for folder in (HOME, copy):
        done = tool("yamllint", "--strict", ".github", folder=folder)
        assert done.returncode == 0, done.stdout


def test_schemas_are_kept(copy: Path) -> None:
    for folder in (HOME, copy):
        for argv in upkeep._github(folder)[1:]:
            assert upkeep.call(argv, folder) == 0


def test_lint_asks_every_file() -> None:
    asked = {word for argv in upkeep._github(HOME) for word in argv if word.startswith(".github/")}
    files = [str(f.relative_to(HOME)) for f in githubs.GITHUB.rglob("*.yml")]
    assert asked == set(files)


def test_lint_without_github(tmp_path: Path) -> None:
    assert upkeep._github(tmp_path) == []


def test_lint_finds_a_planted_fault(copy: Path) -> None:
    """A tag instead of a commit for zizmor, a job that is none for the schema."""
    flow = copy / ".github/workflows/test.yml"
    flow.write_text(re.sub(r"@[0-9a-f]{40}  # ", "@", flow.read_text(), count=1))
    zizmor, schema = upkeep._github(copy)
    assert upkeep.call(zizmor, copy) != 0
    assert upkeep.call(schema, copy) == 0
    flow.write_text(flow.read_text().replace("runs-on:", "runs-in:"))
    assert upkeep.call(schema, copy) != 0


def test_actions_are_pinned_alike() -> None:
    """By full commit with the version beside it, and one version of each action everywhere."""
    files = [*githubs.WORKFLOWS, githubs.COPYS]
    lines = [x for f in files for x in f.read_text().splitlines() if re.match(r"\s+(- )?uses:", x)]
    pin = re.compile(r"uses: (actions/[a-z-]+)@([0-9a-f]{40})  # v\d+\.\d+\.\d+")
    pins = {match.groups() for line in lines if (match := pin.search(line))}
    assert len(lines) == sum(bool(pin.search(line)) for line in lines) > 0
    assert len(pins) == len({name for name, _ in pins})


@pytest.mark.parametrize("file", EVERY)
def test_nothing_is_allowed_to_all(file: str) -> None:
    assert EVERY[file]["permissions"] == {}
    assert EVERY[file]["concurrency"]["group"]


@pytest.mark.parametrize(("file", "name", "job"), JOBS)
def test_job_may_do_no_more(file: str, name: str, job: dict[str, Any]) -> None:
    assert job["permissions"] == WRITES.get((file, name), {"contents": "read"})
    assert 0 < int(job["timeout-minutes"]) <= 180


def test_checkout_keeps_no_token() -> None:
    found = [s for flow in EVERY.values() for s in githubs.steps(flow) if "checkout" in str(s)]
    checkouts = [s for s in found if s.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(s["with"]["persist-credentials"] == "false" for s in checkouts)


def test_forks_get_no_secret() -> None:
    """A pull request's own code runs in some: none may run with more than it needs."""
    for flow in EVERY.values():
        assert "pull_request_target" not in flow["on"]
        assert "workflow_run" not in flow["on"]
    assert "secrets." not in "".join(file.read_text() for file in githubs.WORKFLOWS)


@pytest.mark.parametrize("script", RUNS)
def test_script_is_clean(script: str) -> None:
    """Nothing of GitHub's is pasted into a script; shellcheck has no complaint."""
    assert "${{" not in script
    argv = [str(PROGRAMS / "shellcheck"), "--shell=bash", "-"]
    done = subprocess.run(argv, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", RUNS)
def test_script_names_real_tasks(script: str) -> None:
    for words in commands(script):
        assert task_of(words) in githubs.TASKS
        packages = words[1] if words[0] == "--packages" else bootstrap.choose(task_of(words))
        assert packages in bootstrap.SETS


def test_every_runner_runs_something() -> None:
    ran = {file: [task_of(w) for s in githubs.steps(flow) for w in commands(s.get("run", ""))]
           for file, flow in EVERY.items()}  # fmt: skip
    assert ran["test.yml.jinja"] == ["lint", "test", "smoke"]
    assert ran["image.yml"] == ["build", "smoke"]
    assert (ran["audit.yml"], ran["pages.yml"]) == (["audit"], ["site"])
    assert ran["release.yml"] == ["profile.list", "sbom"]


def test_ci_runs_the_readmes_commands() -> None:
    readme = re.findall(rf"^{BOOTSTRAP} \w+$", (HOME / "README.md").read_text(), re.MULTILINE)
    scripts = [step.get("run", "") for step in githubs.steps(EVERY["ci.yml"])]
    assert set(readme) >= {f"{BOOTSTRAP} smoke", f"{BOOTSTRAP} test"}
    for command in readme:
        assert f'sudo env "PATH=$PATH" {command}' in scripts


def test_ci_tests_the_pythons_of_ci_run() -> None:
    versions = re.search(r"for version in (.+);", (HOME / ".ci/run").read_text())
    assert versions
    assert EVERY["ci.yml"]["jobs"]["test"]["strategy"]["matrix"]["python"] == versions[1].split()


@pytest.mark.parametrize(
    ("file", "name", "task"),
    [
        ("ci.yml", "test", "test"),
        ("image.yml", "wheels", "build"),
        ("release.yml", "build", "bake"),
    ],
)
def test_room_is_made_before_an_image(file: str, name: str, task: str) -> None:
    """A hosted runner's disk does not hold CUDA's wheels beside all that is installed on it."""
    scripts = [step.get("run", "") for step in EVERY[file]["jobs"][name]["steps"]]
    room = next(i for i, script in enumerate(scripts) if "sudo rm -rf" in script)
    assert room < next(i for i, script in enumerate(scripts) if f" {task}" in script)


@pytest.mark.parametrize(("file", "name"), [("ci.yml", "test"), ("image.yml", "wheels")])
def test_report_of_a_failed_run_is_kept(file: str, name: str) -> None:
    steps = EVERY[file]["jobs"][name]["steps"]
    kept = next(step for step in steps if "upload-artifact@" in step.get("uses", ""))
    assert kept["if"] == "${{ !cancelled() }}"
    before = steps[steps.index(kept) - 1]["run"]
    assert "jaxpad.bootstrap smoke" in before
    assert kept["with"]["path"] == "smoke-report/"


def test_image_watches_what_is_there() -> None:
    for pattern in EVERY["image.yml"]["on"]["pull_request"]["paths"]:
        assert (HOME / pattern.removesuffix("/**")).exists(), pattern


def test_image_watches_all_that_is_built_in() -> None:
    allowed = re.findall(r"^!(\S+)$", (HOME / ".dockerignore").read_text(), re.MULTILINE)
    paths = EVERY["image.yml"]["on"]["pull_request"]["paths"]
    copied = {name for name in allowed if name != "src"}  # a project's own code; none is here
    assert copied <= {path.removesuffix("/**") for path in paths}


@pytest.mark.parametrize("name", ["on", "null", "a1", "my-project"])
def test_copy_has_its_name(name: str) -> None:
    """Also one that YAML would take for something else."""
    assert githubs.load(githubs.rendered(name))["name"] == name


def test_bot_looks_where_pins_are() -> None:
    bot = githubs.load((githubs.GITHUB / "dependabot.yml").read_text())
    found = {update["package-ecosystem"]: update["directory"] for update in bot["updates"]}
    assert found == {"github-actions": "/", "docker": "/docker", "pip": "/requirements"}
    assert (HOME / "docker/Dockerfile").is_file()
    assert (HOME / "requirements/cpu.txt").is_file()
    assert all(int(update["cooldown"]["default-days"]) >= 7 for update in bot["updates"])
    assert all(update["groups"] for update in bot["updates"])
