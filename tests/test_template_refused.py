"""Answers that would break a copy are refused in a sentence, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import HOME
from templates import NEEDED, copier, given


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The questions alone: an answer is refused before anything else is read."""
    folder = tmp_path_factory.mktemp("questions")
    (folder / "copier.yml").write_text((HOME / "copier.yml").read_text())
    return folder


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("project_name", "", "is no project name"),
        ("project_name", "   ", "is no project name"),
        ("project_name", "My Project", "is no project name"),
        ("project_name", 'a"b', "is no project name"),
        ("project_name", "a'b", "is no project name"),
        ("project_name", "projeкt", "is no project name"),  # a Cyrillic letter
        ("project_name", "../up", "is no project name"),
        ("project_name", "/etc", "is no project name"),
        ("project_name", "-rf", "is no project name"),
        ("project_name", "a--b", "is no project name"),
        ("project_name", "a\n", "is no project name"),
        ("project_name", "{{ 7 }}", "is no project name"),
        ("project_name", "a" * 41, "41 letters"),
        ("project_name", "jaxpad", "is taken"),
        ("project_name", "class", "is a word of Python's own"),
        ("package", "import", "is a word of Python's own"),
        ("package", "json", "is a word of Python's own"),
        ("package", "jax", "is a word of Python's own"),
        ("package", "two words", "is no package name"),
        ("package", "a/b", "is no package name"),
        ("package", "a.b", "is no package name"),
        ("package", "übung", "is no package name"),
        ("description", "  ", "the description is empty"),
        ("description", "one\ntwo", "a line break or a control character"),
        ("description", "a\x07b", "a line break or a control character"),
        ("description", "a" * 201, "201 letters"),
        ("author", " ", "the author is empty"),
        ("author", "a\nb", "a line break"),
        ("author", "a <script>", "brackets"),
        ("gpus", "[]", "no GPU is chosen"),
        ("gpus", "[tpu]", "Invalid choice"),
        ("registry", "https://ghcr.io", "is no registry"),
        ("registry", "GHCR.io/Acme", "is no registry"),
        ("registry", "a b", "is no registry"),
        ("cuda", "11", "Invalid choice"),
        ("scheduler", "cron", "Invalid choice"),
        ("licence", "GPL", "Invalid choice"),
        ("profile", "fast", "Invalid choice"),
    ],
)
def test_template_refuses(
    template: Path, tmp_path: Path, name: str, answer: str, said: str
) -> None:
    answers = {**NEEDED, name: answer}
    to = tmp_path / "copy"
    done = copier("copy", "--quiet", "--defaults", *given(answers), str(template), str(to))
    assert done.returncode != 0
    # Asked at a terminal, copier shows the sentence alone and asks again; for --data it raises.
    assert said in done.stderr.strip().splitlines()[-1], done.stderr
    assert not to.exists() or not list(to.iterdir())


def test_template_needs_a_name(template: Path, tmp_path: Path) -> None:
    done = copier("copy", "--quiet", "--defaults", str(template), str(tmp_path / "copy"))
    assert done.returncode != 0
    assert "project_name" in done.stderr
