"""Profile files that are refused, each with one sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jaxpad import profiles
from jaxpad.core.results import UsageError

HEAD = 'description = "d"\n'
REST = 'why = "w"\nsource = "https://example.org/a"\n'


def flag(name: str = "xla_a", value: str = "1", more: str = "") -> str:
    """One [[flag]] table."""
    return f'[[flag]]\nname = "{name}"\nvalue = {value}\n{REST}{more}\n'


FLAG = flag()
REFUSED = [
    ("description = \n", "not TOML: Invalid value (at line 1, column 15); fix that line"),
    ("", 'description is missing; add description = "…"'),
    ("description = 3\n", "description is a whole number, expected a string; write it in quotes"),
    ('description = " "\n', "description is empty, expected words"),
    (HEAD + "extend = []\n", "unknown key 'extend'; did you mean extends?"),
    (
        HEAD + "zz = 1\n",
        "unknown key 'zz'; expected description, extends, requires, measured, flag or env",
    ),
    (HEAD + 'extends = "base"\n', "extends is a string, expected a list of strings"),
    (HEAD + "extends = [1]\n", "extends is a list that holds something else, expected a list"),
    (HEAD + "requires = 1\n", "requires is a whole number, expected a table; write [requires]"),
    (
        HEAD + '[requires]\narchitecture = ["hoper"]\n',
        "[requires]: architecture names 'hoper', which is not known; did you mean hopper?",
    ),
    (
        HEAD + '[requires]\nworkload = ["zz"]\n',
        "[requires]: workload names 'zz', which is not known; expected dense, transformer",
    ),
    (HEAD + "[requires]\ngpu = []\n", "[requires]: unknown key 'gpu'; expected architecture or"),
    (HEAD + "[flag]\n", "flag is a table, expected tables; head each with [[flag]]"),
    (HEAD + "[[flag]]\n", '[[flag]] number 1: name is missing; add name = "…"'),
    (HEAD + FLAG.replace("why", "wy"), "number 1: unknown key 'wy'; did you mean why?"),
    (HEAD + FLAG.replace("value = 1\n", ""), "number 1 (xla_a): value is missing"),
    (HEAD + FLAG.replace('why = "w"\n', ""), "number 1 (xla_a): why is missing"),
    (HEAD + re.sub("source.*", "", FLAG), "number 1 (xla_a): source is missing"),
    (HEAD + flag("--xla_a"), "name is '--xla_a', expected xla_ and then a-z, 0-9 or _"),
    (HEAD + flag("xla_A"), "name is 'xla_A', expected xla_"),
    (HEAD + flag("jax_a"), "name is 'jax_a', expected xla_"),
    (HEAD + flag(value="[1]"), "(xla_a): value is a list that holds something else, expected true"),
    (HEAD + flag(value="{a = 1}"), "(xla_a): value is a table, expected true, false"),
    (HEAD + flag(value="2026-01-01"), "(xla_a): value is a date or a time, expected true, false"),
    (HEAD + flag(value="nan"), "(xla_a): value is not finite, expected true, false"),
    (HEAD + flag(value='"a b"'), "value 'a b' has ' ' in it, expected printable ASCII"),
    (HEAD + flag(value="\"'a'\""), 'has "\'" in it'),
    (HEAD + flag(value="'\"'"), "has '\"' in it"),
    (HEAD + flag(value="'a\\'"), "has '\\\\' in it"),
    (HEAD + flag(value='"a\\tb"'), "has '\\t' in it"),
    (HEAD + flag(value='"a\\u0000"'), "has '\\x00' in it"),
    (HEAD + flag(value='"é"'), "has 'é' in it"),
    (HEAD + flag(value='"$HOME"'), "has '$' in it"),
    (HEAD + flag(more="jaxlib = 1"), "jaxlib is a whole number, expected a string"),
    (HEAD + flag(more='jaxlib = "0.8"'), "jaxlib is '0.8', expected a range of versions"),
    (HEAD + flag(more='jaxlib = ">=x"'), "jaxlib is '>=x', expected a range of versions"),
    (HEAD + FLAG.replace("https:", "ftp:"), "source is 'ftp://example.org/a', expected an http or"),
    (HEAD + FLAG.replace("https://example.org/a", "docs"), "source is 'docs', expected an http or"),
    (
        HEAD + FLAG + FLAG,
        "[[flag]] number 2: xla_a is there twice, and jaxlib 0 would take both; keep one",
    ),
    (
        HEAD + flag(more='jaxlib = ">=0.8"') + flag(more='jaxlib = "<0.9"'),
        "xla_a is there twice, and jaxlib 0.8 would take both",
    ),
    (HEAD + "[env]\na = 1\n", "[env]: 'a' is no variable's name, expected A-Z, 0-9 and _"),
    (HEAD + "[env]\nNCCL_A = '1'\n", "[env]: NCCL_A is a string, expected { value = …, why = …"),
    (
        HEAD + "[env]\nNCCL_A = { value = 1, why = 'w', source = 'https://example.org' }\n",
        "[env] NCCL_A: value is a whole number, expected a string; write it in quotes",
    ),
    (
        HEAD + "[env]\nNCCL_A = { value = '1', source = 'https://e.org' }\n",
        "[env] NCCL_A: why is missing",
    ),
    (
        HEAD + '[env]\nNCCL_A = { value = "a\\nb", why = "w", source = "https://e.org" }\n',
        "[env] NCCL_A: value has the control character '\\n' in it",
    ),
    *(
        (HEAD + f"[env]\n{name} = {{}}\n", f"[env]: {name} may not be set by a profile")
        for name in (
            "XLA_FLAGS",
            "XLA_FLAGS_APPEND",
            "JAXPAD_X",
            "LD_PRELOAD",
            "PYTHONPATH",
            "PATH",
            "PJRT_NAMES_AND_LIBRARY_PATHS",
            "CUDA_INJECTION64_PATH",
            "NCCL_NET_PLUGIN",
            "NCCL_TUNER_PLUGIN",
            "NCCL_CONF_FILE",
            "NCCL_COMM_ID",
            "GCONV_PATH",
            "PYTEST_PLUGINS",
            "PYTEST_ADDOPTS",
            "PIP_INDEX_URL",
            "GIT_SSH_COMMAND",
            "JAX_PLATFORMS",
            "JAX_COMPILATION_CACHE_DIR",
            "JAX_DUMP_IR_TO",
            "TF_XLA_FLAGS",
            "UCX_MODULE_DIR",
            "NVSHMEM_BOOTSTRAP_PLUGIN",
            "OMP_TOOL_LIBRARIES",
            "CUDA_VISIBLE_DEVICES",
            "HTTPS_PROXY",
        )
    ),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=lambda text: text[-40:])
def test_load_refuses(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as refusal:
        profiles.load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_load_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b'description = "\xff"')
    with pytest.raises(UsageError, match="not UTF-8 at byte 15; save it as UTF-8"):
        profiles.load(tmp_path / "a.toml")


def test_load_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.toml: cannot be read \(No such file"):
        profiles.load(str(tmp_path / "a.toml"))


def test_load_no_name() -> None:
    with pytest.raises(UsageError, match=r"no profile is called 'bas' \(.*did you mean base\?"):
        profiles.load("bas")
    with pytest.raises(UsageError, match=r"there are base, debug, .* and tp$"):
        profiles.load("zzzz")


@pytest.mark.parametrize(
    "name",
    [
        "JAX_OPTIMIZATION_LEVEL",
        "XLA_PYTHON_CLIENT_MEM_FRACTION",
        "TF_GPU_ALLOCATOR",
        "NCCL_PROTO",
        "NCCL_TOPO_FILE",
        "UCX_TLS",
        "CUDA_DEVICE_MAX_CONNECTIONS",
        "OMP_NUM_THREADS",
    ],
)
def test_what_tunes_may_be_set(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.toml"
    entry = '{ value = "1", why = "w", source = "https://example.org" }'
    path.write_text(HEAD + f"[env]\n{name} = {entry}\n", encoding="utf-8")
    assert [one.name for one in profiles.load(path).env] == [name]
