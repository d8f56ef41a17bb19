"""docs/troubleshooting.md: its commands exist, the code says its sentences, its links lead on."""

from __future__ import annotations

import ast
import functools
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from invoke.parser import Parser

from helpers import HOME, smoke

sys.path.insert(0, str(HOME))
import tasks

PAGE = HOME / "docs/troubleshooting.md"
_BULLET = re.compile(r"^- (Ask|Says|Do|Source): (.*(?:\n  .*)*)", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)]+)\)")
_UNNAMED = "\0"  # what stands for a value in an f-string


@dataclass(frozen=True)
class Entry:
    """One symptom: the words to search for, and its bullets."""

    title: str
    search: str
    bullets: tuple[tuple[str, str], ...]

    def of(self, kind: str) -> list[str]:
        return [" ".join(text.split()) for name, text in self.bullets if name == kind]


def entries() -> list[Entry]:
    parts = re.split(r"^### (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    found = re.compile(r"^Search for: (.+)$", re.MULTILINE)
    return [
        Entry(title, (found.findall(text) or [""])[0], tuple(_BULLET.findall(text)))
        for title, text in pairs
    ]


ENTRIES = entries()


def commands() -> list[str]:
    return sorted({ask.strip("`") for entry in ENTRIES for ask in entry.of("Ask")})


@functools.cache
def sentences() -> tuple[str, ...]:
    """Every string of the toolkit and the suite; a value in an f-string is `_UNNAMED`."""
    found: list[str] = []
    for folder in ("jaxpad", "smoke_tests"):
        for file in (HOME / folder).rglob("*.py"):
            found += map(_text, ast.walk(ast.parse(file.read_text())))
    return tuple(filter(None, found))


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.FormattedValue):
        return _UNNAMED
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def said(quoted: str) -> bool:
    """Whether one string of the code holds the quoted one, each ellipsis being a value."""
    words = (re.escape(part) for part in quoted.split("…"))
    pattern = re.compile(f".*{_UNNAMED}.*".join(words).removeprefix(".*"), re.DOTALL)
    return any(pattern.search(text) for text in sentences())


def test_every_entry_is_whole() -> None:
    assert len(ENTRIES) >= 20
    for entry in ENTRIES:
        kinds = {name for name, _ in entry.bullets}
        assert kinds == {"Ask", "Says", "Do", "Source"}, entry.title
        assert entry.search.startswith("`"), entry.title
        assert len(entry.of("Ask")) == 1, entry.title
        assert "https://" in entry.of("Source")[0], entry.title


@pytest.mark.parametrize("command", commands())
def test_command_exists(command: str) -> None:
    words = shlex.split(command)
    words = words[words.index("jaxpad") + 1 :]
    words = words[: words.index("--")] if "--" in words else words
    [found] = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(words)
    assert found.name == words[0]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.title[:40])
def test_sentence_is_the_codes(entry: Entry) -> None:
    for quoted in entry.of("Says"):
        assert quoted.startswith('"')
        assert said(quoted.strip('"')), f"nothing in the code says {quoted}"


@pytest.mark.parametrize(
    ("title", "check", "platform", "variables"),
    [
        ("No GPU/TPU found", "test_platform_expected", "gpu", {}),
        ("Unknown flags", "test_flags_accepted", "cpu", {"XLA_FLAGS": "--xla_gpu_bogus=true"}),
        ("My XLA flags", "test_flags_not_cut", "cpu", {"XLA_FLAGS": "--xla_dump_to= a --xla_b=1"}),
        ("The container is slow", "test_cache_writable", "cpu", {"JAX_COMPILATION_CACHE_DIR": ""}),
    ],
)
def test_symptom_is_answered(
    title: str, check: str, platform: str, variables: dict[str, str], tmp_path: Path
) -> None:
    """The command of the entry, where the symptom is, says one of the entry's sentences."""
    [entry] = [each for each in ENTRIES if each.title.startswith(title)]
    if "JAX_COMPILATION_CACHE_DIR" in variables:
        (tmp_path / "file").touch()
        variables = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "file/cache")}
    assert check in entry.of("Ask")[0]
    found = smoke(tmp_path / "out", "--platform", platform, "-k", check, **variables)
    assert found.code == 1, found.stderr
    told = found.check(check)
    words = f"{told['reason']} {told['remedy']}"
    patterns = [".*".join(map(re.escape, s.strip('"').split("…"))) for s in entry.of("Says")]
    assert any(re.search(pattern, words) for pattern in patterns), words


def test_other_sentences_would_be_found_out() -> None:
    assert said("this JAX has no CUDA plugin: only the CPU packages are installed")
    assert not said("this JAX has no CUDA plugin: and never had")
    assert not said("JAX_PLATFORMS=… keeps JAX off the TPU")


def test_checks_that_are_named_exist() -> None:
    names = {
        node.name
        for file in (HOME / "smoke_tests").glob("test_*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    named = set(re.findall(r"\btest_[a-z_]+(?!\w*\.py)\b", PAGE.read_text()))
    assert named - {"test_troubleshooting"} <= names


def test_commands_in_the_text_exist() -> None:
    """`jaxpad NAME` anywhere on the page is a task."""
    tasks_of = {context.name for context in tasks.namespace.to_contexts()}
    assert set(re.findall(r"`jaxpad ([a-z.]+)", PAGE.read_text())) <= tasks_of


def anchors(page: str) -> set[str]:
    """GitHub's and mkdocs' anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", (HOME / "docs" / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_links_lead_somewhere() -> None:
    for link in _LINK.findall(PAGE.read_text()):
        page, _, anchor = link.partition("#")
        if not link.startswith("https://"):
            assert (HOME / "docs" / page).is_file(), link
            assert not anchor or anchor in anchors(page), link
