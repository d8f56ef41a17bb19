"""The evidence that the shipped profiles stand on: whole, true to the compiler, and read right."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaxpad import effects, flags, profiles
from jaxpad.cli import profile
from jaxpad.commands.profile import CheckOptions
from jaxpad.core.results import UsageError
from jaxpad.effects import Cell, Verdict, matrix
from jaxpad.effects.matrix import Build, CellRow, Draw, Matrix
from matrix_again import again, of_commit, run, seconds_and_mib
from tools import matrix_tables

JAXLIBS = ("0.10.2", "0.12.0.1")
DEAD = {
    "xla_gpu_lhs_enable_gpu_async_tracker",
    "xla_gpu_enable_custom_fusions",
    "xla_gpu_enable_address_computation_fusion",
    "xla_gpu_enable_nccl_per_stream_comms",
    "xla_gpu_cudnn_gemm_fusion",
}
SHOWN = {Verdict.CHANGES, Verdict.RUN_TIME, Verdict.UNDECIDED}


@pytest.fixture(scope="module")
def kept() -> Matrix:
    return matrix.read()


def test_matrix_is_reproduced(tmp_path: Path) -> None:
    """A draw that changes with the commit: every workload and GPU, compiled here and now.

    tests/release compiles the whole, within its time.
    """
    seed = of_commit()
    done = again("--questions", "10", "--sample", "4", "--seed", str(seed), cache=tmp_path)
    assert done.returncode == 0, f"seed {seed}: {done.stdout[-3000:]}{done.stderr}"
    assert "; 0 differ from" in done.stdout
    compiled = re.match(r"(\d+) of (\d+) programs compiled, 0 cells kept", done.stdout)
    assert compiled, done.stdout
    assert int(compiled[1]) == int(compiled[2]) >= 20
    assert 0 < seconds_and_mib(done.stdout)[1] < 4096


def place(one: effects.Question) -> tuple[str, str, str]:
    return one.profile.name, one.gpu.name, one.workload.name


@pytest.mark.parametrize("seed", range(20))
def test_draw_misses_no_workload_and_no_gpu(seed: int) -> None:
    every = matrix.questions(matrix.shipped())
    found = matrix.drawn(every, Draw(sample=0, seed=seed, questions=10))
    assert len(set(map(place, found))) == 10
    assert {one.workload.name for one in found} == {one.workload.name for one in every}
    assert {one.gpu.name for one in found} == {one.gpu.name for one in every}
    assert found == matrix.drawn(every, Draw(sample=0, seed=seed, questions=10))


def test_draws_come_to_all() -> None:
    """Seed by seed, so that no question is left out for good."""
    every = matrix.questions(matrix.shipped())
    draws = (matrix.drawn(every, Draw(0, seed, 10)) for seed in range(200))
    assert {place(one) for draw in draws for one in draw} == set(map(place, every))
    assert matrix.drawn(every, Draw(0, 1)) == every


def test_matrix_is_whole(kept: Matrix) -> None:
    """Both jaxlibs, and each profile with the flags that it has today."""
    assert tuple(build.jaxlib for build in kept.builds) == JAXLIBS
    version = flags.jaxlib_version()
    found = {
        (row["profile"], row["gpu"], row["workload"]): {f["name"]: f["value"] for f in row["flags"]}
        for row in kept.part(version).effects
    }
    for one in matrix.questions((*matrix.shipped(), *matrix.peers())):
        today = {flag.name: flag.value for _, flag in profiles.select(one.profile, version)}
        assert found[one.profile.name, one.gpu.name, one.workload.name] == today
    assert len(found) == len(kept.part(version).effects)


def test_took_no_longer_than_said(kept: Matrix) -> None:
    """45 minutes on two cores, for all jaxlibs together."""
    assert sum(build.seconds for build in kept.builds) / 2 <= 45 * 60


@pytest.mark.parametrize("name", [n for n in profiles.names() if profiles.load(n).flags])
def test_shipped_flag_does_something(kept: Matrix, name: str) -> None:
    """On some GPU and workload that the profile is for, or where no compile can show it."""
    for flag in profiles.load(name).flags:
        rows = [
            seen["verdict"]
            for row in kept.effects_of(name)
            for each in row["flags"]
            if each["name"] == flag.name
            for seen in (each["alone"], each["left_out"])
        ]
        assert SHOWN & set(rows), f"{flag.word} in {name} does nothing: {set(rows)}"


def test_shipped_flag_is_taken(kept: Matrix) -> None:
    """None stops a process, breaks a compile or repeats XLA's default."""
    for name in matrix.shipped():
        for row in kept.effects_of(name):
            for flag in row["flags"]:
                said = (flag["alone"], flag["left_out"])
                assert not {one["verdict"] for one in said} & {
                    Verdict.FATAL,
                    Verdict.REJECTED,
                    Verdict.BREAKS,
                }
                assert not any(one.get("reason") == effects.DEFAULT for one in said)


@pytest.mark.parametrize("name", sorted({*profiles.names()} - {"debug", "deterministic"}))
def test_profile_exposes_no_more(kept: Matrix, name: str) -> None:
    """By the roofline model, on every GPU it is for."""
    for row in kept.effects_of(name):
        before, after = matrix_tables.exposed_us(row) or (0, 0)
        assert after <= before, (name, row["gpu"], row["workload"], row["jaxlib"])


def test_no_figure_between_hosts(kept: Matrix) -> None:
    """The model knows NVLink, which ends at the host: docs/schedule.md."""
    rows = [row for row in kept.effects if row["workload"] == "fsdp-2x8"]
    assert {row["jaxlib"] for row in rows} == {*JAXLIBS}
    assert not any(matrix_tables.exposed_us(row) for row in rows)
    assert "exposed" not in json.dumps(rows)
    others = [row for row in kept.effects if row["workload"] == "fsdp"]
    assert any(matrix_tables.exposed_us(row) for row in others)


def test_nvidia_dead_flags(kept: Matrix) -> None:
    for jaxlib in JAXLIBS:
        rows = kept.effects_of("peers/nvidia-gpu-performance", jaxlib)
        fatal = {
            flag["name"]
            for row in rows
            for flag in row["flags"]
            if flag["alone"]["verdict"] == Verdict.FATAL
        }
        assert fatal == DEAD


def test_copied_flags(kept: Matrix) -> None:
    """docs/two-flags.md: one is XLA's default everywhere, the other does nothing on Hopper."""
    tips = kept.effects_of("peers/jax-docs-tips")
    assert len(tips) == len(JAXLIBS) * len(matrix.GPUS) * len(profiles.WORKLOADS)
    for row in tips:
        triton, hiding = (flag["alone"] for flag in row["flags"])
        assert triton == {"verdict": "no effect", "reason": effects.DEFAULT}
        if row["gpu"] == "h100-sxm":
            assert hiding["verdict"] == "no effect"
        if (row["gpu"], row["workload"]) == ("a100-sxm-80", "fsdp"):
            assert hiding["verdict"] == "changes"


def test_dry_run_counts() -> None:
    done = run("--dry-run")
    assert done.returncode == 0, done.stderr
    part = matrix.read().part(flags.jaxlib_version()).builds[0]
    assert done.stdout.startswith(f"jaxlib {part.jaxlib}: {part.cells} cells of ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--check", "--out", "nothing.json"), "the matrix has no part of jaxlib"),
        (("--workers", "0"), "--workers must be a whole number from 1 to 4096, got '0'"),
        (("--check", "--sample", "-1"), "--sample must be a whole number from 0 on, got '-1'"),
        (("--check", "--questions", "0"), "--questions must be a whole number from 1 on, got '0'"),
        (("--check", "--out", __file__), "holds no matrix of this jaxpad"),
    ],
)
def test_bad_input(words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_other_build_is_unproven(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(flags, "jaxlib_version", lambda: "0.13.0.dev20261101")
    assert profile.check_command(CheckOptions("base", json=True)) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert "unproven here: what its flags do was seen with jaxlib 0.10.2 and" in row["notes"][-1]
    assert profile.check_command(CheckOptions("none", json=True)) == 0
    assert "unproven" not in capsys.readouterr().out


BUILD = Build("1.0", {"jaxlib": "1.0"}, "2026-01-01", "a machine", 1, 1, 60)
ROW = CellRow("1.0", "l4", "dense", "--xla_a=1 --xla_b", digest="0" * 32)
EFFECT = {"jaxlib": "1.0", "profile": "base", "gpu": "l4", "workload": "dense", "flags": []}
SMALL = Matrix((BUILD,), (ROW,), (EFFECT,))


def test_file_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "new" / "matrix.json"
    matrix.write(SMALL, file)
    assert matrix.read(file) == SMALL
    assert json.loads(file.read_text())["command"] == "invoke profile.matrix"
    assert [one.name for one in file.parent.iterdir()] == ["matrix.json"]


def test_part_replaces_its_own_jaxlib() -> None:
    other = Matrix((replace(BUILD, jaxlib="2.0"),), (replace(ROW, jaxlib="2.0"),), ())
    both = SMALL.with_part(other)
    assert [build.jaxlib for build in both.builds] == ["1.0", "2.0"]
    newer = Matrix((replace(BUILD, seconds=1),), (), ())
    assert both.with_part(newer).part("1.0") == newer
    assert both.with_part(newer).part("2.0") == other


def test_folder_takes_no_file() -> None:
    with pytest.raises(UsageError, match=r"cannot be written .*; give another with --out"):
        matrix.write(SMALL, Path("/proc/no-such-folder/matrix.json"))


def test_difference_is_told() -> None:
    """One digest of the kept matrix was changed, one profile's row is gone."""
    cell = Cell("l4", "dense", ("--xla_a=1", "--xla_b"))
    same = effects.Outcome(message="what XLA says")
    rows = [CellRow.of("1.0", cell, same), CellRow.of("1.0", Cell("l4", "conv"), same)]
    told = list(matrix._cells(Matrix((BUILD,), (ROW,), ()), iter(rows)))
    assert [one.where for one in told] == [
        "dense on l4 with --xla_a=1 --xla_b",
        "conv on l4 with no flags",
    ]
    assert (told[0].kept, told[0].found) == (f"program {'0' * 32}", "what XLA says")
    assert told[1].kept == "nothing"
    gone: list[dict[str, Any]] = [{**EFFECT, "workload": "conv"}]
    said = list(matrix._effects(SMALL, gone))
    assert [one.where for one in said] == [
        "profile base, conv on l4",
        "profile base, dense on l4",
    ]
    assert [one.where for one in matrix._effects(SMALL, gone, whole=False)] == [
        "profile base, conv on l4"
    ]


def test_rows_rest_on_their_cells(kept: Matrix) -> None:
    """'No effect' is said only of cells that have the same digest."""
    digests = {(row.jaxlib, row.cell): row.digest for row in kept.cells}
    alone = 0
    for row in kept.effects:
        floor = digests[row["jaxlib"], Cell(row["gpu"], row["workload"])]
        for flag in row["flags"]:
            words = (f"--{flag['name']}={flag['value']}",)
            found = digests.get((row["jaxlib"], Cell(row["gpu"], row["workload"], words)))
            if found is not None and flag["alone"]["verdict"] in ("no effect", "run time only"):
                alone += 1
                assert found == floor
            if flag["alone"]["verdict"] == "changes":
                assert found != floor
    assert alone > 100
