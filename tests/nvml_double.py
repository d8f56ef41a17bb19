"""Doubles of NVIDIA's libraries, built once a session, and children that find them."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from helpers import HOME, environ as base_environ
from jaxpad import nvml
from jaxpad.nvml import Snapshot
from nvml_scenario import flatten, load, put

SOURCES = Path(__file__).parent / "nvml"
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror")
VARIABLE = "JAXPAD_TEST_SCENARIO"

_GENERATED = """#define NVML_NO_UNVERSIONED_FUNC_DEFS /* the older versions are asked for, too */
#include <nvml.h>
#pragma GCC diagnostic ignored "-Wunused-parameter"
"""
_LAST_WORD = re.compile(r"(\w+)\W*$")
# Older names of the same call; C programs ask for them, too.
_NEWER = {
    "nvmlInit": "nvmlInit_v2",
    "nvmlDeviceGetCount": "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetHandleByIndex": "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetHandleByPciBusId": "nvmlDeviceGetHandleByPciBusId_v2",
    "nvmlDeviceGetPciInfo": "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetPciInfo_v2": "nvmlDeviceGetPciInfo_v3",
    "nvmlEventSetWait": "nvmlEventSetWait_v2",
    "nvmlSystemGetCudaDriverVersion": "nvmlSystemGetCudaDriverVersion_v2",
}
_PROTOTYPE = re.compile(r"nvmlReturn_t\s+DECLDIR\s+(nvml\w+)\s*\(([^;{]*)\)\s*;", re.DOTALL)


def environ(scenario: str | Path, changes: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The environment of a child that finds the doubles, in this scenario.

    `scenario` is a name in tests/nvml/scenarios or a path, `changes` flat keys such as
    `0.PowerUsage` on top of it.
    """
    found = load(scenario)
    missing = tuple(found.pop("missing", ()))
    flat = flatten(found)
    for key, value in (changes or {}).items():
        put(flat, key, value)
    file = Path(tempfile.mkdtemp(dir=_folder())) / "scenario"
    file.write_text("".join(f"{key} {value}\n" for key, value in flat.items()))
    return base_environ(LD_LIBRARY_PATH=str(library(missing)), **{VARIABLE: str(file)})


@functools.cache
def seen(scenario: str) -> Snapshot:
    """The snapshot that a child takes in this scenario, once a session."""
    return nvml.ask(environ=environ(scenario))


def python(variables: Mapping[str, str], code: str) -> Any:
    """What Python code prints as JSON in a child."""
    return _json([sys.executable, "-c", code], variables)


def module(variables: Mapping[str, str], *words: str) -> Any:
    """What `python -m WORDS` prints as JSON."""
    return _json([sys.executable, "-m", *words], variables)


def _json(argv: list[str], variables: Mapping[str, str]) -> Any:
    done = subprocess.run(argv, env=dict(variables), cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def library(missing: tuple[str, ...] = ()) -> Path:
    """A folder with both libraries, the NVML one without the symbols `missing`."""
    folder = Path(tempfile.mkdtemp(dir=_folder()))
    (folder / "hide").write_text(f"{{ local: {''.join(f'{name}; ' for name in missing)}}};\n")
    hide = [f"-Wl,--version-script={folder / 'hide'}"] if missing else []
    _link(folder / "libnvidia-ml.so.1", *map(str, _objects()), *hide)
    _link(folder / "libcuda.so.1", *FLAGS, str(SOURCES / "cuda_double.c"))
    return folder


@functools.cache
def _folder() -> Path:
    _kept.append(tempfile.TemporaryDirectory(prefix="nvml-double-"))
    return Path(_kept[0].name)


_kept: list[tempfile.TemporaryDirectory[str]] = []  # until the session ends


@functools.cache
def _objects() -> tuple[Path, Path]:
    double, generated = _compile(SOURCES / "double.c"), _folder() / "generated.c"
    generated.write_text(_GENERATED + "".join(_unsupported(double)))
    return double, _compile(generated)


def _compile(source: Path) -> Path:
    target = _folder() / f"{source.stem}.o"
    include = f"-I{header().parent}"
    subprocess.run(["gcc", *FLAGS, include, "-c", str(source), "-o", str(target)], check=True)
    return target


def _link(target: Path, *words: str) -> None:
    named = f"-Wl,-soname,{target.name}"
    subprocess.run(["gcc", "-shared", named, "-o", str(target), *words], check=True)


def header() -> Path:
    """NVIDIA's own nvml.h, of the package nvidia-nvml-dev; its licence keeps it out of here."""
    files = metadata.files("nvidia-nvml-dev") or ()
    found = next((Path(str(file.locate())) for file in files if file.name == "nvml.h"), None)
    assert found, "nvidia-nvml-dev has no nvml.h: install requirements/dev.txt again"
    return found


def _unsupported(double: Path) -> Iterator[str]:
    """Every call of the header that the double does not answer; older names for those it does."""
    listed = subprocess.run(["nm", "--defined-only", double], check=True, capture_output=True)
    answered = {line.split()[-1] for line in listed.stdout.decode().splitlines()}
    for name, arguments in dict(_PROTOTYPE.findall(_bare(header().read_text()))).items():
        if name not in answered:
            head = f"nvmlReturn_t DECLDIR {name}({arguments})"
            yield f"{head} {{ return {_call(name, arguments)}; }}\n"


def _call(name: str, arguments: str) -> str:
    """The call by its newer name, or the code of one that has no answer."""
    if name not in _NEWER:
        return "NVML_ERROR_NOT_SUPPORTED"
    given = [] if arguments.strip() == "void" else arguments.split(",")
    names = ", ".join(_LAST_WORD.findall(each)[0] for each in given)
    return f"{_NEWER[name]}({names})"


def _bare(text: str) -> str:
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
