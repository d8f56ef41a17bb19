"""The proof that flags are in effect: XLA's own dump of what it compiled with."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from helpers import environ
from jaxpad import flags
from jaxpad.flags import Effective, FlagInEffect, Status
from jaxpad.flags.in_effect import Expected, extra, judge, with_dump
from jaxpad.flags.schema import agrees
from jaxpad.profiles import missing, parse

KINDS = {
    "xla_gpu_enable_latency_hiding_scheduler": "true",  # bool
    "xla_gpu_enable_triton_gemm": "false",  # bool that is true by default
    "xla_gpu_memory_limit_slop_factor": "90",  # int
    "xla_gpu_all_gather_combine_threshold_bytes": "1073741824",  # more than 31 bits
    "xla_gpu_pgle_profile_file_or_directory_path": "/a b",  # string, quoted
    "xla_step_marker_location": "STEP_MARK_NONE",  # enum
    "xla_gpu_enable_command_buffer": "+COLLECTIVES,-CUBLAS",  # list, by steps
    "xla_gpu_disable_async_collectives": "ALLREDUCE,ALLGATHER",  # list, replaced
    "xla_gpu_analytical_latency_estimator_options": "rtt_us=31,gpus_per_node=8",  # map
    "xla_disable_hlo_passes": "rematerialization,b",  # list of strings
    "xla_gpu_enable_pipelined_all_gather": "true",  # stands for another option from 0.12 on
    "xla_gpu_autotune_level": "4",  # the default
}


def effective(text: str, **added: str) -> Effective:
    return flags.effective({**os.environ, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": text, **added})


def test_every_kind(tmp_path: Path) -> None:
    words = [f"--{name}='{value}'" for name, value in KINDS.items()]
    own, cache = tmp_path / "own", tmp_path / "cache"
    found = effective(
        " ".join([*words, "--xla_gpu_enable_cudnn_fmha", f"--xla_dump_to={own}"]),
        JAX_COMPILATION_CACHE_DIR=str(cache),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
        JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1",
    )
    assert found.ok, found.message
    assert found.extra == {}
    status = {flag.name: flag.status for flag in found.flags}
    assert {name: status[name] for name in KINDS} == dict.fromkeys(KINDS, Status.IN_EFFECT)
    assert status["xla_gpu_enable_cudnn_fmha"] == Status.NOT_VISIBLE
    assert status["xla_dump_to"] == Status.NOT_VISIBLE
    assert not own.exists()  # the check leaves the user's folder alone,
    assert not cache.exists()  # and the cache, from which a hit would dump nothing
    shown = {flag.name: flag.found for flag in found.flags}
    assert shown["xla_gpu_pgle_profile_file_or_directory_path"] == "/a b"
    assert "COLLECTIVES," in shown["xla_gpu_enable_command_buffer"]
    assert "CUBLAS," not in shown["xla_gpu_enable_command_buffer"]


def test_asks_in_children() -> None:
    """Nothing of JAX is imported by the process that asks, and so no XLA_FLAGS are read there."""
    script = (
        "import os, sys; from jaxpad import flags; flags.catalogue(); flags.effective(os.environ); "
        "print([name for name in ('jax', 'jaxlib') if name in sys.modules])"
    )
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, env=environ(JAX_PLATFORMS="cpu"), capture_output=True, text=True)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr


def test_stray_and_overridden() -> None:
    """One flag that JAX's compile options override, one outweighed, one list emptied, one lost."""
    found = effective(
        "--xla_cpu_enable_fast_min_max=true --xla_gpu_autotune_level=1 --xla_gpu_autotune_level=2 "
        "--xla_gpu_enable_command_buffer= oops --xla_gpu_enable_triton_gemm=false"
    )
    assert [(flag.name, flag.status) for flag in found.flags] == [
        ("xla_cpu_enable_fast_min_max", Status.NOT_IN_EFFECT),
        ("xla_gpu_autotune_level", Status.OUTWEIGHED),
        ("xla_gpu_autotune_level", Status.IN_EFFECT),
        ("xla_gpu_enable_command_buffer", Status.IN_EFFECT),
        ("xla_gpu_enable_triton_gemm", Status.NOT_IN_EFFECT),
    ]
    assert found.stray == "oops"
    assert not found.ok
    assert found.message.startswith("XLA stops reading XLA_FLAGS at 'oops'; ")
    assert "xla_cpu_enable_fast_min_max=true is not in effect" in found.message
    assert "xla_gpu_enable_triton_gemm=false is not in effect" in found.message


def test_fatal_flag() -> None:
    found = effective("--xla_gpu_graph_level=0")
    assert not found.ok
    assert found.flags == ()
    assert found.error.endswith("Unknown flag in XLA_FLAGS: --xla_gpu_graph_level=0")


def test_file() -> None:
    assert (
        effective("flags.txt").error
        == "XLA_FLAGS is 'flags.txt', which XLA takes for a file's path"
    )


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("xla_gpu_enable_triton_gemm", ("true", "1", "TRUE", None), ("false", "0")),
        ("xla_gpu_autotune_level", ("4", "04"), ("3",)),
        ("xla_gpu_cuda_data_dir", ("./cuda_sdk_lib",), ("", "/a")),
        ("xla_gpu_shape_checks", ("IGNORE", "runtime"), ()),  # left to XLA
    ],
)
def test_agrees(name: str, same: tuple[str | None, ...], other: tuple[str, ...]) -> None:
    default = flags.catalogue()[name].default
    assert [agrees(word, name, default) for word in same] == [True] * len(same)
    assert [agrees(word, name, default) for word in other] == [False] * len(other)


def test_odd_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "a 'b'"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert effective("--xla_gpu_autotune_level=2").ok


@pytest.mark.parametrize("text", ["", "--a", "--a stray --b", "--a --xla_dump_to=/mine --b"])
def test_with_dump(text: str) -> None:
    """XLA dumps to our folder, and still reads the user's flags."""
    whole = with_dump(text, "/ours")
    assert missing(text, whole) == ()
    assert [f.value for f in parse(whole).flags if f.name == "xla_dump_to"][-1] == "/ours"


def test_dump_differs() -> None:
    """A flag whose option was compiled with another value is not in effect."""
    name, default = "xla_gpu_autotune_level", {"xla_gpu_autotune_level": "4", "b": "1"}
    asked = default | {name: "2"}
    expected = Expected(default, asked, alone=(asked,), without=(default,))
    (judged,) = judge(parse(f"--{name}=2").flags, expected, default | {name: "3"})
    assert (judged.status, judged.expected, judged.found) == (Status.NOT_IN_EFFECT, "2", "3")
    told = Effective((judged,))
    assert told.message == f"{name}=2 is not in effect (the program was compiled with '3')"


def test_extra_option() -> None:
    """What no flag asks for and JAX does not set anyway is told; what JAX sets is not."""
    default = {"a": "1", "b": "1", "c": "1", "xla_dump_to": ""}
    expected = Expected(default, default | {"a": "2"}, (), ())
    found = {"a": "2", "b": "9", "c": "9", "xla_dump_to": "/d"}
    assert extra(expected, found, usual=default | {"c": "9"}) == {"b": "9"}
    told = Effective(extra={"b": "9"})
    assert not told.ok
    assert told.message == "b is 9, which no flag asks for"


def test_flag_that_jax_overrides_names_who() -> None:
    lost = FlagInEffect("xla_gpu_cuda_data_dir", "/x", Status.NOT_IN_EFFECT, "/x", "None")
    assert "CUDA_ROOT" in Effective(flags=(lost,)).message
