"""Nothing that lies in the current folder runs: no module of it, no plugin, from no script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad.clusters import slurm_plan
from jaxpad.clusters.slurm_commands import Inside
from jaxpad.core import paths

# Modules of Python, of what jaxpad stands on and of what its children import, late ones first.
PLANTED = (
    *("pynvml", "queue", "rich", "yaml", "packaging", "invoke", "pytest", "_pytest", "conftest"),
    *("json", "syslog", "logging", "subprocess", "selectors", "tempfile", "tomllib", "dataclasses"),
    *("jax", "jaxlib", "jax_plugins", "numpy", "matplotlib", "jaxtyping", "beartype", "tools"),
    "planted_plugin",
)
COMMANDS = [
    ("--help",),
    ("health",),
    ("health", "--hook", "prolog"),
    ("health", "--hook", "healthcheck"),
    ("doctor",),
    ("profile.list",),
    ("fleet", "--reports", "none"),
    ("smoke", "--platform", "cpu", "-k", "test_jax_starts or test_driver_recent", "--out", "out"),
]


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder whose modules leave a mark, in a folder beside it, when they are run."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in PLANTED:
        mark = tmp_path / f"ran-{name}"
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'w'); raise SystemExit('planted')")
    return folder


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_module_of_it_runs(planted: Path, words: tuple[str, ...]) -> None:
    given = {"PYTEST_PLUGINS": "planted_plugin", "PYTEST_ADDOPTS": "-p planted_plugin"}
    variables = environ(JAXPAD_PROJECT="", **given)
    done = subprocess.run(
        [sys.executable, "-m", "jaxpad", *words],
        env=variables,
        cwd=planted,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert not list(planted.parent.glob("ran-*")), done.stderr
    assert "planted" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("", ""),
        (":", ""),
        (".", ""),
        ("./:.//", ""),
        ("lib", "{here}/lib"),
        ("/a::/b:", "/a:/b"),
        (":/a:.:lib:", "/a:{here}/lib"),
    ],
)
def test_search_path_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, kept: str
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = [str(HOME), *filter(None, [kept.format(here=tmp_path)])]
    assert paths.importable({"PYTHONPATH": given})["PYTHONPATH"] == os.pathsep.join(wanted)
    wanted = ["/opt/jaxpad:/opt/jaxpad/site", *filter(None, [kept.format(here=tmp_path)])]
    assert image_search_path(tmp_path, given) == os.pathsep.join(wanted)


def image_search_path(folder: Path, given: str) -> str:
    """PYTHONPATH as the image's `jaxpad` hands it to its Python."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    python = programs / "python3"
    python.write_text('#!/bin/sh\nprintf "%s" "$PYTHONPATH"\n[ "$PYTHONSAFEPATH:$*" = "1:-m '
                      'jaxpad a  b *" ]\n')  # fmt: skip
    python.chmod(0o755)
    variables = {"PATH": f"{programs}:/usr/bin:/bin", "PYTHONPATH": given}
    argv = ["/bin/sh", str(HOME / "docker/jaxpad"), "a  b", "*"]
    done = subprocess.run(argv, env=variables, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stdout


# A Python in a shell script, a Dockerfile or a list of words: with -P or -I, or one of these.

SHELL = [
    *sorted((HOME / "docker").iterdir()),
    *sorted((HOME / "configs/clusters").rglob("*")),
    HOME / ".ci/run",
]
STARTS = re.compile(
    r"""(?:^|[\s"'/(])python3?["',]*\s+(?!-[PIV])["']?(-m|-c|-)(?=[\s"']|$)[^\n]*""", re.MULTILINE
)
MEANT = (
    "-m jaxpad",  # `__main__` leaves the folder out; docker/jaxpad sets PYTHONSAFEPATH
    "-m ipykernel_launcher",  # a notebook's own folder, and the launcher leaves it out at first
    "-m pytest",  # .ci/run, in the checkout
    "-m tools.",  # the same
    "-m benchmarks.",
)


def unsafe(text: str) -> list[str]:
    """What in a script starts a Python that imports from the current folder first."""
    joined = text.replace("\\\n", " ")
    found = [match[0].strip(" \"'/") for match in STARTS.finditer(joined)]
    bare = [re.sub(r"[\"',]+", "", words) for words in found]
    return [words for words in bare if not any(meant in words for meant in MEANT)]


@pytest.mark.parametrize(
    "file", [one for one in SHELL if one.is_file()], ids=lambda file: str(file.relative_to(HOME))
)
def test_scripts_start_python_apart(file: Path) -> None:
    assert not unsafe(file.read_text())


def test_shebangs_are_apart() -> None:
    """A script's own folder comes first there, and that is root's; PYTHONPATH may be anybody's."""
    first = [file.read_text().splitlines()[:1] for file in SHELL if file.is_file()]
    pythons = [
        line for (line,) in filter(None, first) if line.startswith("#!") and "python" in line
    ]
    assert pythons == ["#!/opt/jupyter/bin/python3 -I"]


@pytest.mark.parametrize(
    "text",
    [
        "exec python3 -m json.tool",
        "RUN python -m pip install x",
        "x=$(python3 -c 'print(1)')",
        "RUN a; \\\n  python3 \\\n  -m pip",
        '["python3", "-m", "pip"]',
        "/usr/bin/python3 -m pip",
        "echo | python3 -",
    ],
)
def test_unsafe_start_is_seen(text: str) -> None:
    assert unsafe(text)


@pytest.mark.parametrize(
    "text", ["python3 -P -m pip", "python3 -I -c 'x'", "python3 train.py", "exec python3 -m jaxpad"]
)
def test_safe_start_is_not_taken_for_it(text: str) -> None:
    assert not unsafe(text)


def test_generated_scripts_start_python_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What jaxpad writes for Slurm: a checkout is found in the job's folder, as nothing else is."""
    box = Inside("none")
    assert slurm_plan._runs(["smoke"], box, [], 0) == [sys.executable, "-m", "jaxpad", "smoke"]
    monkeypatch.setattr(paths, "HOME", HOME / "no-checkout")
    monkeypatch.setattr(paths, "project", lambda: None)
    assert slurm_plan._runs(["smoke"], box, [], 0)[:3] == [sys.executable, "-P", "-m"]
