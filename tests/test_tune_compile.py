"""The compile stage with the real compiler: which candidates are one program."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jaxpad import effects
from jaxpad.core.results import UsageError
from jaxpad.effects.processes import Child
from jaxpad.tune import Candidate, Compiled, Fate, Target, opened
from jaxpad.tune.compiling import Watcher, compile_all

STEP = "benchmarks.steps:mlp"
WIDTH = "xla_cpu_prefer_vector_width"
SPLIT = "xla_cpu_parallel_codegen_split_count"
FAST, NANS = "xla_cpu_enable_fast_math", "xla_cpu_fast_math_honor_nans"
ISA = "xla_cpu_max_isa"


def asked(words: tuple[str, ...], *options: dict[str, Any]) -> list[str]:
    """The digests that one process comes to."""
    child = Child(words, "jaxpad.tune.worker")
    try:
        requests = [{"workload": STEP, "options": one} for one in options]
        return [str(child.ask(request, 120)["digest"]) for request in requests]
    finally:
        child.close()


def stage(
    folder: Path, every: Sequence[dict[str, str]], target: Target | None = None
) -> dict[Candidate, Compiled]:
    """Each candidate in its turn, whichever worker came first; of none, what the study has."""
    with opened(folder, {"a": "test"}) as study:
        candidates = [Candidate.of(one) for one in every]
        compile_all(target or Target(STEP), candidates, effects.Effort(), study, Watcher())
        return {one: study.compiled[one] for one in candidates or study.compiled}


def test_digest_of_processes() -> None:
    """Same flags, same digest, in any process and at any turn; other code, another one."""
    first, again, wide, split = asked((), {}, {}, {WIDTH: 512}, {SPLIT: 1})
    assert first == again == split != wide
    assert asked((), {}) == [first]
    assert asked((f"--{WIDTH}=512",), {}) == [wide]


def test_folds_by_program(tmp_path: Path) -> None:
    """honor_nans changes nothing alone: with fast math it is held to what it makes there."""
    every = [{}, {NANS: "false"}, {FAST: "true"}, {WIDTH: "512"}, {WIDTH: "512", NANS: "false"}]
    found = [one.digest for one in stage(tmp_path, every).values()]
    assert found[0] == found[1]
    assert found[3] == found[4]
    assert len(set(found)) == 3
    assert all(len(digest) == 64 for digest in found)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 instruction sets")
def test_process_flag(tmp_path: Path) -> None:
    """XLA reads this one when its client starts: as an option of a compile it does nothing."""
    every = [{}, {ISA: "SSE4_2"}, {ISA: "SSE4_2", WIDTH: "128"}, {WIDTH: "128"}]
    found = [one.digest for one in stage(tmp_path, every).values()]
    assert len(set(found)) >= 3
    assert found[0] != found[1]
    assert asked((f"--{ISA}=SSE4_2", f"--{WIDTH}=128"), {}) == [
        stage(tmp_path, [])[Candidate.of(every[2])].digest
    ]


def test_baseline_in_front(tmp_path: Path) -> None:
    """A candidate that puts the baseline's flag back is the program of no flag at all."""
    target = Target(STEP, baseline=(f"--{FAST}=true",))
    found = stage(tmp_path, [{}, {FAST: "false"}], target)
    plain, fast = asked((), {}, {FAST: True})
    assert plain != fast
    assert [one.digest for one in found.values()] == [fast, plain]


def test_fates(tmp_path: Path) -> None:
    every = [{}, {"xla_cpu_scheduler_type": "FASTEST"}, {"xla_cpu_not_there": "1", WIDTH: "128"}]
    found = list(stage(tmp_path, every).values())
    by_flags = {len(one.candidate.flags): one for one in found}
    assert by_flags[0].fate is Fate.COMPILES
    assert by_flags[1].fate is Fate.REJECTED
    assert by_flags[2].fate is Fate.FATAL
    assert "does not know xla_cpu_not_there" in by_flags[2].reason
    assert by_flags[1].digest == by_flags[2].digest == ""


def test_too_large(tmp_path: Path) -> None:
    (found,) = stage(tmp_path, [{}], Target(STEP, memory=1000)).values()
    assert (found.fate, found.digest) == (Fate.TOO_LARGE, "")
    assert "of the device's 1000" in found.reason
    assert found.memory > 256 * 128 * 4


def test_workload_at_fault(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no function nothing"):
        stage(tmp_path, [{}], Target("benchmarks.steps:nothing"))


def test_for_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a GPU that is not there: GEMMs without Triton are another program, cuDNN's norm none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    every = [
        {},
        {"xla_gpu_enable_triton_gemm": "false"},
        {"xla_gpu_enable_cudnn_layer_norm": "true"},
    ]
    found = stage(tmp_path / "study", every, Target("dense", gpu="h100-sxm"))
    plain, gemm, norm = (found[Candidate.of(one)] for one in every)
    assert plain.digest == norm.digest != gemm.digest
    assert plain.memory > 0
