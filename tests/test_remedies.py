"""Every command, option, flag, variable and file that a text of ours names is one that exists.

All strings of the toolkit, the suite and the configs are read, docstrings aside. What names a
command of jaxpad's goes through its declared options, a pip command through pip's own parser,
an XLA flag through XLA's, a JAX variable to JAX's configuration. Of programs that are not here
the tables below have what their manuals give.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from pip._internal.commands import create_command

from helpers import HOME
from jaxpad import flags
from jaxpad.commands import COMMANDS, Command
from jaxpad.commands.options import Option, declared
from tools.commands import COMMANDS as OURS

VALUE = "\0"  # what an f-string puts in
BY_NAME = {one.name: one for one in (*COMMANDS, *OURS)}
# nvidia-smi(1), of driver 580; a word without a dash is a command of its own.
SMI = {
    "": "-L -q -d -i -r -e -c -pl -ac -lgc -rgc -rmc -rac -pm -mig",
    "nvlink": "-s -i",
    "mig": "-cgi -C -i",
}
# Each program's manual: nvidia-ctk(1), systemctl(1), docker-run(1), podman(1), sbatch(1), …
PROGRAMS = {
    "nvidia-ctk": "cdi generate runtime configure config system create-dev-char-symlinks "
    "--output --runtime --set --in-place --create-all",
    "systemctl": "start restart enable --now",
    "docker": "build run info pull system version df prune --build-arg --device --version",
    "podman": "info system df version",
    "kubectl": "auth whoami cluster-info get pods -o",
    "sinfo": "--Node",
    "srun": "-N jaxpad multi",
    "usermod": "-aG",
    "fuser": "-v",
    "chronyc": "tracking",
    "ip": "link",
    "rdma": "link",
    "mount": "-o -t remount",
    "rmmod": "",
    "modprobe": "",
}
# Options that stand by themselves, as words of Slurm's, an engine's or the kernel's.
LONE = {
    "--gres", "--gpu-bind", "--gpus-per-task", "--gpus-per-node", "--gpus", "--device",
    "--shm-size", "--build-arg", "--user", "--help", "--version", "--option", "--engine",
}  # fmt: skip
# NCCL's user guide, Environment Variables.
NCCL = """
    NCCL_ALGO NCCL_HOSTID NCCL_IB_DISABLE NCCL_IB_HCA NCCL_MNNVL_ENABLE NCCL_NET
    NCCL_NET_GDR_LEVEL NCCL_NVLS_ENABLE NCCL_P2P_DISABLE NCCL_P2P_LEVEL NCCL_SHM_DISABLE
    NCCL_DEBUG NCCL_DEBUG_FILE NCCL_DEBUG_SUBSYS NCCL_SOCKET_IFNAME NCCL_NET_PLUGIN
    NCCL_TUNER_PLUGIN
"""
# CUDA's and NVIDIA's container toolkit's documentation, XLA's own, ld.so(8), environ(7).
OTHERS = """
    CUDA_VISIBLE_DEVICES CUDA_ROOT NVIDIA_VISIBLE_DEVICES NVIDIA_DRIVER_CAPABILITIES
    LD_LIBRARY_PATH XLA_FLAGS XLA_FLAGS_APPEND XLA_PYTHON_CLIENT_ALLOCATOR
    XLA_PYTHON_CLIENT_PREALLOCATE XLA_PYTHON_CLIENT_MEM_FRACTION XLA_CLIENT_MEM_FRACTION
    XDG_CACHE_HOME JUPYTER_DATA_DIR DOCKER_HOST
"""
# Words in capitals that are no variables.
WORDS = re.compile(r"(?:CUDA|CUDNN|CUBLAS|NVML|DEADLINE|CERTIFICATE|ACCESS|CAP|STATUS)_[A-Z_]+")


def text(node: ast.AST) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(text, node.values))
    if isinstance(node, ast.FormattedValue):
        return VALUE
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def of_python(file: Path) -> Iterator[str]:
    """Its strings of several words, without docstrings and the parts of an f-string."""
    tree = ast.parse(file.read_text())
    apart = {id(one) for node in ast.walk(tree) for one in _apart(node)}
    for node in ast.walk(tree):
        whole = isinstance(node, ast.JoinedStr | ast.Constant) and id(node) not in apart
        if whole and " " in (found := text(node)):
            yield found


def _apart(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.JoinedStr):
        yield from (one for one in ast.walk(node) if one is not node)
    if isinstance(node, ast.Expr):  # a docstring
        yield node.value


def of_toml(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from of_toml(one)
    elif isinstance(value, str) and " " in value:
        yield value


@functools.cache
def texts() -> tuple[str, ...]:
    found: list[str] = []
    for file in [*(HOME / "jaxpad").rglob("*.py"), *(HOME / "smoke_tests").glob("*.py")]:
        found += of_python(file)
    for file in (HOME / "configs").rglob("*.toml"):
        found += of_toml(tomllib.loads(file.read_text()))
    return tuple(dict.fromkeys(found))


# One sentence's commands: the words from a program's name to what ends them.

END = re.compile(r"[;,`:]|&&|\)(?=\W|$)|\. |\.$")


def after(sentence: str, program: str) -> Iterator[list[str]]:
    """The words behind each mention of a program, up to where that part of the sentence ends."""
    for part in re.split(rf"(?<![\w./-]){re.escape(program)} ", sentence)[1:]:
        words = END.split(part)[0].replace(VALUE, "1").replace("…", "1")
        try:
            yield shlex.split(words)
        except ValueError:
            yield words.split()


def wrong(sentence: str) -> list[str]:
    """What a sentence names that does not exist."""
    return [*_ours(sentence), *_programs(sentence), *_pip(sentence), *_lone(sentence),
            *_variables(sentence), *_files(sentence)]  # fmt: skip


def options_of(command: Command) -> tuple[Option, ...]:
    module, _, name = command.options.partition(":")
    return declared(getattr(importlib.import_module(module), name)) if module else ()


def _ours(sentence: str) -> Iterator[str]:
    for words in [*after(sentence, "jaxpad"), *after(sentence, "invoke")]:
        name = words[0].rstrip(".") if words else ""
        if not name.islower():
            continue  # a placeholder
        if name not in BY_NAME:
            if "." in name or (words[1:] and words[1].startswith("--")):
                yield f"jaxpad {name}"
            continue
        yield from _options(name, words[1:])


def _options(name: str, words: list[str]) -> Iterator[str]:
    known: dict[str, Option] = {one.flag: one for one in options_of(BY_NAME[name])}
    while words and words[0].startswith("-") and words[0] != "--":
        option = known.get(words.pop(0))
        if option is None:
            yield f"an option of jaxpad {name}"
            return
        value = words.pop(0) if option.kind != "bool" and words else ""
        if option.choices and value and value not in (*option.choices, "1"):
            yield f"{option.flag} {value}"


def _programs(sentence: str) -> Iterator[str]:
    for words in after(sentence, "nvidia-smi"):
        verb = words[0] if words and words[0] in SMI else ""
        for word in (one for one in words if re.fullmatch(r"-[A-Za-z]+", one)):
            if word not in SMI[verb].split():
                yield f"nvidia-smi {verb} {word}"
    for program, known in PROGRAMS.items():
        for words in after(sentence, program):
            if words and words[0].partition("=")[0] not in known.split() and known:
                continue  # prose: "docker is not installed"
            for word in (one for one in words if re.fullmatch(r"--?[a-z][\w-]*.*", one)):
                if word.partition("=")[0] not in known.split():
                    yield f"{program} {word}"


def _pip(sentence: str) -> Iterator[str]:
    for words in after(sentence, "pip"):
        if words and words[0] in ("install", "uninstall", "show"):
            try:
                create_command(words[0]).parser.parse_args(_command(words[1:]))
            except SystemExit:
                yield f"pip {shlex.join(words)}"


def _command(words: list[str]) -> list[str]:
    """Up to a word that is prose."""
    prose = ("or", "and", "where", "in", "on", "for", "shows")
    return words[: next((at for at, one in enumerate(words) if one in prose), len(words))]


@functools.cache
def _flags() -> frozenset[str]:
    every = {one.flag for command in BY_NAME.values() for one in options_of(command)}
    programs = {one for known in PROGRAMS.values() for one in known.split()}
    return frozenset(every | LONE | programs | {"--require-hashes", "--force-reinstall"})


def _lone(sentence: str) -> Iterator[str]:
    for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", sentence):
        if not option.startswith("--xla") and option not in _flags():
            yield option


@functools.cache
def _own_names() -> frozenset[str]:
    """Strings of the code that are a name and nothing more: variables that it reads."""
    files = [*(HOME / "jaxpad").rglob("*.py"), HOME / "docker/entrypoint"]
    return frozenset(re.findall(r"\bJAXPAD_[A-Z_]+\b", "".join(f.read_text() for f in files)))


def _variables(sentence: str) -> Iterator[str]:
    for name in re.findall(r"(?<![\w$/])[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+\b(?!\()", sentence):
        known = name in f"{NCCL}{OTHERS}".split() or bool(WORDS.fullmatch(name))
        if name.startswith("JAXPAD_"):
            known = name in _own_names()
        elif name.startswith("JAX_"):
            known = name.lower() in jax.config.values or name == "JAX_PLATFORM_NAME"
        if not known and re.search(rf"unset {name}|set {name}|{name}=", sentence):
            yield name


def _files(sentence: str) -> Iterator[str]:
    if "https://" in sentence or re.search(r" at [0-9a-f]{8}$", sentence):
        return  # another repository's
    for path in re.findall(r"\b(?:requirements|configs|docs)/[\w/.-]*\w", sentence):
        if "." in path and not (HOME / path).exists() and path != "configs/project.toml":
            yield path


def test_what_texts_name_exists() -> None:
    found = {sentence: bad for sentence in texts() if (bad := wrong(sentence))}
    assert not found


def test_enough_was_read() -> None:
    """Else the walk would hold for having read nothing."""
    every = "\n".join(texts())
    assert len(texts()) > 1500
    for words, least in {
        "jaxpad smoke": 8,
        "nvidia-smi -": 20,
        "unset ": 15,
        "pip install": 5,
    }.items():
        assert every.count(words) >= least, words


@pytest.mark.parametrize(
    "sentence",
    [
        "run jaxpad smok --platform gpu",
        "run jaxpad smoke --platfrom gpu",
        "say jaxpad smoke --platform tpu",
        "see `invoke profile.explian`",
        "run nvidia-smi -q -x 5",
        "nvidia-smi nvlink -z 1",
        "pip install --require-hashed -r requirements/cpu.txt",
        "sudo nvidia-ctk runtime configure --runtimes=docker",
        "give it --gpu-per-node 8",
        "unset JAX_PLATTFORMS",
        "unset NCCL_P2P_DISABLED and run again",
        "set JAXPAD_PROCESZ=0",
        "pip install -r requirements/cuda11.txt",
    ],
)
def test_a_slip_would_be_found(sentence: str) -> None:
    assert wrong(sentence), sentence


def test_flags_in_texts_are_xlas() -> None:
    """Each XLA flag that a text gives whole, through XLA's own parser."""
    pattern = re.compile(r"--xla_\w+(?:=[\w./-]+)?")
    found = {flag for sentence in texts() for flag in pattern.findall(sentence)}
    for flag in sorted(found):
        assert not flags.accept(flag if "=" in flag else f"{flag}=x").unknown, flag
