"""`copier update` brings what has become better in jaxpad, and keeps a user's edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from templates import commit, copier, git, own

# What the user wrote, and what jaxpad changes later in the same file, elsewhere in it.
FILES = {
    "docker/Dockerfile": (
        ("install --yes --no-install-recommends tini\n", "the user's apt line\n"),
        ("# tini reaps and forwards signals as PID 1.\n", "# a better word on tini\n"),
    ),
    "configs/profiles/fsdp.toml": (
        ("description = ", "# the user's note\ndescription = "),
        ("[requires]", "# jaxpad's later note\n[requires]"),
    ),
    "tasks.py": (
        ("namespace = collection(", "USERS = True\nnamespace = collection("),
        ("import sys\n", "import sys  # jaxpad's later note\n"),
    ),
}


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) >= 1, (file, old)
    file.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def updated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of v1 with edits, after an update to v2."""
    template, project = own(tmp_path_factory, "slurm", tmp_path_factory.mktemp("updated"))
    for name, ((old, new), _) in FILES.items():
        edit(project / name, old, new)
    (project / "src/my_project/model.py").write_text('"""The user\'s own model."""\n')
    (project / "configs/profiles/tp.toml").unlink()
    commit(project, "Mine")
    for name, (_, (old, new)) in FILES.items():
        twin = template / f"{name}.jinja"
        for file in (template / name, *([twin] if twin.exists() else [])):
            edit(file, old, new)
    (template / "configs/profiles/later.toml").write_text('description = "Came later"\n')
    commit(template, "Better", "v2.0.0")
    done = copier("update", "--quiet", "--defaults", cwd=project)
    assert done.returncode == 0, done.stderr
    return project


@pytest.mark.parametrize("name", FILES)
def test_template_update_keeps_edits(updated: Path, name: str) -> None:
    (_, users), _ = FILES[name]
    assert users in (updated / name).read_text()


@pytest.mark.parametrize("name", FILES)
def test_template_update_brings_improvements(updated: Path, name: str) -> None:
    _, (_, better) = FILES[name]
    assert better in (updated / name).read_text()


def test_template_update_leaves_no_conflict(updated: Path) -> None:
    assert "<<<<<<<" not in git(updated, "diff")
    assert not list(updated.rglob("*.rej"))


def test_template_update_brings_new_files(updated: Path) -> None:
    assert (updated / "configs/profiles/later.toml").is_file()


def test_template_update_keeps_own_code_and_deletions(updated: Path) -> None:
    assert (updated / "src/my_project/model.py").read_text() == '"""The user\'s own model."""\n'
    assert not (updated / "configs/profiles/tp.toml").exists()


def test_template_update_moves_the_version(updated: Path) -> None:
    assert "_commit: v2.0.0" in (updated / ".copier-answers.yml").read_text()
