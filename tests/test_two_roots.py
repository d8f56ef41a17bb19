"""What the project brings comes before what the package brings, and whose a thing is is said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import shared
from helpers import HOME, environ
from jaxpad import gpus, profiles
from jaxpad.clusters.slurm_plan import on_node
from jaxpad.core import bounds, paths
from jaxpad.core.results import UsageError
from jaxpad.smoke import collection
from jaxpad.tune import spaces

PROFILE = """description = "ours"
extends = ["base"]
[[flag]]
name = "xla_gpu_enable_latency_hiding_scheduler"
value = false
why = "tried"
source = "https://example.org/a"
"""
CHECK = """\"\"\"Ours: what the project asks.\"\"\"


def test_ours(measure, bounds):
    \"\"\"The project's own bound is there.\"\"\"
    measure("ours", 2.0, bounds["ours_least"].unit)
    assert bounds["ours_least"].value == 1
    assert bounds["pcie_replays_most"].value == 7
"""
REPLACED = """\"\"\"Environment: asked otherwise.\"\"\"


def test_other_environment():
    \"\"\"Nothing at all.\"\"\"
"""
BOUNDS = """pcie_replays_most = 7
[ours_least]
value = 1
unit = "units"
source = "ours"
why = "a check of ours needs it"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with configs and checks of its own, two of them by a shipped name."""
    root = tmp_path / "project"
    gpu = (gpus.FOLDER / "l4.toml").read_text()
    texts = {
        "pyproject.toml": "",
        "configs/profiles/ours.toml": PROFILE,
        "configs/profiles/base.toml": PROFILE,
        "configs/gpus/l4.toml": gpu.replace('description = "', 'description = "Our own '),
        "configs/gpus/zz.toml": gpu,
        "configs/tune/cpu.toml": (spaces.FOLDER / "cpu.toml").read_text(),
        "configs/health.toml": BOUNDS,
        "smoke_tests/test_ours.py": CHECK,
        "smoke_tests/test_environment.py": REPLACED,
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "src" / "deep").mkdir(parents=True)
    return root


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(paths.PROJECT, raising=False)
    monkeypatch.chdir(project)
    return project


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared.site(tmp_path_factory)


def listed(site: Path, folder: Path, **added: str) -> dict[str, dict[str, Any]]:
    done = shared.installed(site, folder, "profile.list", "--json", **added)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_installed_sees_the_project(site: Path, project: Path) -> None:
    rows = listed(site, project)
    owners = {name: (row["owner"], row["hides_shipped"]) for name, row in rows.items()}
    assert owners["ours"] == ("project", False)
    assert owners["base"] == ("project", True)
    assert owners["fsdp"] == ("shipped", False)
    assert rows["base"]["description"] == "ours"


def test_show_says_whose(site: Path, project: Path) -> None:
    done = shared.installed(site, project, "profile.show", "--profile", "base")
    first, *_ = done.stdout.splitlines()
    assert first.startswith("base: this project's; it hides the shipped one of that name (")
    assert (
        "fsdp: shipped ("
        in shared.installed(site, project, "profile.show", "--profile", "fsdp").stdout
    )
    done = shared.installed(site, project, "profile.show", "--profile", "ours", "--json")
    assert {row["owner"] for row in json.loads(done.stdout)} == {"project"}


def test_installed_smoke_runs_both(site: Path, project: Path) -> None:
    words = ("smoke", "--platform", "cpu", "-k", "ours or environment or nested_pytree", "--json")
    done = shared.installed(site, project, *words)
    report = json.loads(done.stdout)
    verdicts = {check["name"]: check["verdict"] for check in report["checks"]}
    assert verdicts["test_ours"] == verdicts["test_other_environment"] == "pass", done.stderr
    assert {check["file"] for check in report["checks"]} >= {"test_ours.py", "test_environment.py"}
    assert "test_jax_starts" not in verdicts
    first = done.stderr.splitlines()[:3]
    assert first[0] == f"Running the project's checks, too, from {project / 'smoke_tests'}"
    hidden = "this project's; it hides the shipped one of that name"
    assert first[1:] == [
        f"  checks in test_environment.py: {hidden}",
        "  checks in test_ours.py: this project's",
    ]
    assert f"checks in test_environment.py: {hidden}" in report["overrides"]


def test_current_folder_is_not_imported(site: Path, project: Path) -> None:
    for name in ("yaml.py", "rich.py", "tasks.py", "jaxpad.py", "sitecustomize.py"):
        (project / name).write_text("raise SystemExit('imported')\n")
    assert listed(site, project)["ours"]["owner"] == "project"


def test_variable_names_the_project(site: Path, project: Path, tmp_path: Path) -> None:
    assert "ours" in listed(site, tmp_path, JAXPAD_PROJECT=str(project))
    assert "ours" not in listed(site, project, JAXPAD_PROJECT="")
    done = shared.installed(site, tmp_path, "profile.list", JAXPAD_PROJECT="/no/such")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "JAXPAD_PROJECT is '/no/such', which is not a folder" in done.stderr


def test_checkout_is_one_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(paths.PROJECT, raising=False)
    for folder in (HOME, HOME / "docs"):
        monkeypatch.chdir(folder)
        assert (paths.project(), paths.roots()) == (None, (HOME,))
    assert {paths.owner(profiles.load(name).path) for name in profiles.names()} == {"shipped"}


def test_parent_counts_in_a_checkout(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(inside / "src" / "deep")
    assert paths.project() is None
    (inside / ".git").mkdir()
    assert paths.project() == inside


def test_no_project_without_its_marks(inside: Path) -> None:
    (inside / "pyproject.toml").rename(inside / "other.toml")
    assert paths.project() is None
    (inside / "tasks.py").touch()
    assert paths.project() == inside


def test_folder_of_everybody_never_counts(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (inside / ".git").mkdir()
    inside.chmod(0o1777)
    assert paths.project() is None
    monkeypatch.chdir(inside / "src")
    assert paths.project() is None


def test_folder_that_is_gone(inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert paths.project() is None


def test_hiding_profile_extends_the_hidden(inside: Path) -> None:
    base = profiles.load("base")
    hidden, top = profiles.layers(base)
    assert (top.path, hidden.path) == (
        inside / "configs/profiles/base.toml",
        profiles.FOLDER / "base.toml",
    )
    assert hidden.name == str(hidden.path)  # its short name is the project's
    assert profiles.load(hidden.name).path == hidden.path
    assert [one.path.parent for one in profiles.layers(profiles.load("fsdp"))] == [
        profiles.FOLDER
    ] * 2


def test_gpus_of_both(inside: Path) -> None:
    assert gpus.load("l4").description.startswith("Our own ")
    assert gpus.load("t4").path == gpus.FOLDER / "t4.toml"
    found = gpus.recognise(None, "NVIDIA L4")
    assert found is not None
    assert paths.owner(found.path) == "project"
    assert paths.whose(gpus.load("zz").path) == "this project's"


def test_spaces_of_both(inside: Path) -> None:
    assert spaces._path("cpu") == inside / "configs/tune/cpu.toml"
    assert spaces._path("gpu") == spaces.FOLDER / "gpu.toml"


def test_bounds_of_both(inside: Path, tmp_path: Path) -> None:
    found = bounds.load()
    changed = found["pcie_replays_most"]
    assert (changed.value, changed.file) == (7, str(inside / "configs/health.toml"))
    assert (found["ours_least"].unit, found["ours_least"].origin) == ("units", "ours")
    more = tmp_path / "more.toml"
    more.write_text("ours_least = 3\n")
    assert bounds.load(more)["ours_least"].value == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing = 1", "no bound is called 'nothing'"),
        ("[x_least]\nvalue = 1", r"\[x_least\] needs value, unit, source and why"),
        (BOUNDS + "more = 1", "look at more"),
        ("[ecc_uncorrected_most]\nunit = 'x'", "is None, expected a number"),
    ],
)
def test_bounds_refused(inside: Path, text: str, said: str) -> None:
    (inside / "configs/health.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        bounds.load()


def test_file_of_one_name_replaces(inside: Path) -> None:
    checks = collection.collect(*paths.folders("smoke_tests"))
    files = {check.file.name: check.file for check in checks}
    assert paths.hides(files["test_environment.py"])
    assert not paths.hides(files["test_ours.py"])
    assert files["test_jit.py"].parent == paths.SMOKE_TESTS


def test_child_has_the_same_project(inside: Path, tmp_path: Path) -> None:
    code = "from jaxpad.core import paths; print(paths.project())"
    made = paths.importable(environ())
    done = subprocess.run(
        [sys.executable, "-c", code], env=made, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(inside), done.stderr


def test_node_has_the_same_project(inside: Path) -> None:
    from jaxpad.clusters.slurm_commands import Inside

    assert on_node(["smoke"], Inside(), 0)[:2] == ["env", f"JAXPAD_PROJECT={inside}"]
    assert "env" not in on_node(["smoke"], Inside("apptainer", "x.sif"), 0)


def test_project_inside_the_project(inside: Path) -> None:
    """A relative name of the variable is made whole for children."""
    assert paths.importable({})[paths.PROJECT] == str(inside)
    os.environ[paths.PROJECT] = "."
    try:
        assert paths.importable({})[paths.PROJECT] == str(inside)
    finally:
        del os.environ[paths.PROJECT]
