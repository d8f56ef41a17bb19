"""The template as users get it: a repository with a tag, and copies of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME, environ
from shared import once

Answers = Mapping[str, Any]
Done = subprocess.CompletedProcess[str]

NEEDED: Answers = {"project_name": "my-project", "author": "Ada Lovelace"}
# Together they take every base, CUDA, scheduler and licence once.
SETS: Mapping[str, Answers] = {
    "slurm": {**NEEDED, "scheduler": "slurm", "profile": "fsdp-hopper", "python": "3.11"},
    "cuda13": {
        "project_name": "next-one",
        "package": "other",
        "author": "Łukasz O'Brien",
        "description": 'Trains "it" for $5 \\ ${HOME} {{ x }} <b>',
        "base": "wheels",
        "cuda": "13",
        "licence": "MIT",
        "python": "3.13",
    },
    "kubernetes": {
        **NEEDED,
        "base": "toolbox",
        "scheduler": "kubernetes",
        "licence": "BSD-3-Clause",
        "registry": "ghcr.io/acme",
        "gpus": ["h100-sxm", "b200"],
    },
    "old-toolbox": {**NEEDED, "base": "toolbox", "cuda": "12", "licence": "proprietary"},
}
AUTHOR = {
    f"GIT_{who}_{what}": word
    for who in ("AUTHOR", "COMMITTER")
    for what, word in (("NAME", "Ada Lovelace"), ("EMAIL", "ada@example.org"))
}


def git(folder: Path, *words: str) -> str:
    argv = ["git", "-C", str(folder), "-c", "init.defaultBranch=main", *words]
    done = subprocess.run(argv, env=os.environ | AUTHOR, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def commit(folder: Path, message: str, tag: str = "") -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    if tag:
        git(folder, "tag", tag)


def ours(*under: str) -> set[str]:
    """This checkout's files, those too that are not committed yet."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", *under)
    listed = git(HOME, *words).split("\0")
    return {name for name in listed if name and (HOME / name).exists()}


def tagged(to: Path) -> Path:
    """This checkout as a repository of its own, with a tag, as copier reads it."""
    to.mkdir(exist_ok=True)
    for name in ours():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HOME / name, to / name)
    git(to, "init", "--quiet")
    commit(to, "jaxpad", "v1.0.0")
    return to


def copier(*words: str, cwd: Path = HOME) -> Done:
    argv = [sys.executable, "-m", "copier", *words]
    return subprocess.run(
        argv, env=environ(**AUTHOR), cwd=cwd, capture_output=True, text=True, timeout=300
    )


def given(answers: Answers) -> list[str]:
    """The answers as words of copier's command line."""
    words = []
    for name, value in answers.items():
        text = f"[{', '.join(value)}]" if isinstance(value, list) else value
        words += ["--data", f"{name}={text}"]
    return words


def copy(template: Path, to: Path, answers: Answers) -> Path:
    """A copy as a user has it: in git, everything committed."""
    done = copier("copy", "--quiet", "--defaults", *given(answers), str(template), str(to))
    assert done.returncode == 0, done.stderr
    git(to, "init", "--quiet")
    commit(to, "From jaxpad")
    return to


def template(factory: pytest.TempPathFactory) -> Path:
    """This checkout as copier reads it, made once; no test changes it."""
    return once(factory, "template", lambda folder: tagged(folder / "jaxpad")) / "jaxpad"


def copied(factory: pytest.TempPathFactory, name: str) -> Path:
    """The copy by one of the sets of answers, made once; no test changes it."""

    def make(folder: Path) -> None:
        copy(template(factory), folder / name, SETS[name])

    return once(factory, f"copy-{name}", make) / name


def own(factory: pytest.TempPathFactory, name: str, to: Path) -> tuple[Path, Path]:
    """A template and its copy that a test may change, as if copied from there."""
    theirs = template(factory)
    mine, project = to / "jaxpad", to / name
    git(to, "clone", "--quiet", str(theirs), str(mine))
    git(to, "clone", "--quiet", str(copied(factory, name)), str(project))
    answers = project / ".copier-answers.yml"
    text = answers.read_text()
    assert text.count(str(theirs)) == 1
    answers.write_text(text.replace(str(theirs), str(mine)))
    return mine, project


def files(folder: Path, *under: str) -> set[str]:
    """The files in git, by their path in the folder."""
    return set(git(folder, "ls-files", *under).splitlines())


def task(folder: Path, words: Sequence[str], **added: str) -> Done:
    """A task in a copy, in the environment of these tests."""
    argv = [sys.executable, "-m", "jaxpad", *words]
    variables = environ(**added)
    variables.pop("PYTHONPATH", None)  # the copy's own toolkit
    return subprocess.run(argv, cwd=folder, env=variables, capture_output=True, text=True)
