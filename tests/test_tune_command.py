"""profile.tune as a command, compiled for real and measured out of a table."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from helpers import HOME, environ
from jaxpad import flags, profiles, tune
from jaxpad.cli import tune as cli_tune
from jaxpad.commands.profile import TuneOptions as Options
from jaxpad.core.results import UsageError
from tune_bench import TableBench

WIDTH, FAST = "xla_cpu_prefer_vector_width", "xla_cpu_enable_fast_math"
SPACE = f"""
description = "a test"
[flags]
{WIDTH} = [128, 512]
{FAST} = [true]
xla_cpu_copy_insertion_use_region_analysis = [true]
"""
VALIDATOR = jsonschema.Draft202012Validator(json.loads(tune.SCHEMA.read_text()))
Bench = Callable[[TableBench], None]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose compiles are done: 12 candidates, 6 programs."""
    folder = tmp_path_factory.mktemp("tuned")
    (folder / "space.toml").write_text(SPACE)
    assert cli_tune.profile_tune(options(folder, compile_only=True)) == 0
    return folder


@pytest.fixture
def folder(compiled: Path, tmp_path: Path) -> Path:
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "study").mkdir()
    (tmp_path / "study/study.jsonl").write_bytes((compiled / "study/study.jsonl").read_bytes())
    return tmp_path


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return lambda one: monkeypatch.setattr(cli_tune, "_bench", lambda _: one)


def options(folder: Path, **more: Any) -> Options:
    return dataclasses.replace(
        Options(
            "benchmarks.steps:mlp",
            space=str(folder / "space.toml"),
            platform="cpu",
            out=str(folder / "study"),
            json=True,
        ),
        **more,
    )


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "study/tune.json").read_text())
    VALIDATOR.validate(found)
    assert tune.to_json(tune.from_json(found)) == found
    return found


def test_compile_only(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli_tune.profile_tune(options(compiled, compile_only=True)) == 0
    printed = capsys.readouterr()
    assert printed.err == "12 candidates: 6 distinct programs\n"
    assert json.loads(printed.out) == told(compiled)
    assert told(compiled)["programs"] == 6
    assert not list((compiled / "study").glob("*.toml"))


def test_winner(folder: Path, bench: Bench) -> None:
    """Its profile is one that the other commands take, and says what was measured."""
    bench(TableBench({(WIDTH, "512"): 1.1, (FAST, "true"): 0.9}))
    assert cli_tune.profile_tune(options(folder, name="wide")) == 0
    found = told(folder)
    assert found["winner"] == {WIDTH: "512"}
    profile = profiles.load(folder / "study/wide.toml")
    assert [flag.word for flag in profile.flags] == [f"--{WIDTH}=512"]
    assert flags.check(profile) == ()
    noted = dict(profile.measured)
    assert float(noted["low"]) < float(noted["ratio"]) < float(noted["high"])
    assert float(noted["ratio"]) == pytest.approx(1.1, abs=0.01)
    for name in ("workload_digest", "jaxlib", "date", "device", "space_digest"):
        assert noted[name] == found["about"][name] != ""


def test_against(folder: Path, bench: Bench, tmp_path: Path) -> None:
    """The baseline's flags are in the winner's profile, in front."""
    base = tmp_path / "base.toml"
    base.write_text(
        'description = "x"\n[[flag]]\nname = "xla_cpu_ftz"\nvalue = false\nwhy = "a test"\n'
        'source = "https://x.org"\n[env]\n'
        'NCCL_AB = { value = "1", why = "w", source = "https://x.org" }'
    )
    bench(TableBench({(WIDTH, "512"): 1.1}))
    wanted = options(folder, out=str(tmp_path / "other"), against=str(base))
    assert cli_tune.profile_tune(wanted) == 0
    profile = profiles.load(tmp_path / "other/mlp.toml")
    assert dict(profile.measured)["baseline"] == "base.toml"  # the file's folder is nobody's
    assert [flag.name for flag in profile.flags] == ["xla_cpu_ftz", WIDTH]
    assert profiles.environment(profile) == {"NCCL_AB": "1"}


def test_nothing_beats(folder: Path, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench(TableBench({(WIDTH, "512"): 0.98}))
    assert cli_tune.profile_tune(options(folder, json=False)) == 0
    assert "Nothing beats the default: no profile is written." in capsys.readouterr().out
    assert told(folder)["winner"] is None
    assert not list((folder / "study").glob("*.toml"))


def test_interrupted(folder: Path, bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench(TableBench({(WIDTH, "512"): 1.1}, interrupt=3))
    with pytest.raises(KeyboardInterrupt):  # of which the command makes 130
        cli_tune.profile_tune(options(folder))
    assert "2 measurements are kept" in capsys.readouterr().err
    assert len(told(folder)["measured"]) == 2
    assert not list((folder / "study").glob("*.toml"))
    again = TableBench({(WIDTH, "512"): 1.1})
    bench(again)
    assert cli_tune.profile_tune(options(folder)) == 0
    assert len(again.measured) == 3
    assert (folder / "study/mlp.toml").is_file()


def test_profile_of_others(folder: Path, bench: Bench) -> None:
    """An older file of that name stays; this study's own is written anew."""
    one = TableBench({(WIDTH, "512"): 1.1})
    bench(one)
    mine = folder / "study/mlp.toml"
    mine.write_text("description = 'by hand'\n")
    with pytest.raises(UsageError, match=r"is not this study's; give another --name"):
        cli_tune.profile_tune(options(folder))
    assert (mine.read_text(), one.measured) == ("description = 'by hand'\n", [])
    mine.unlink()
    for _ in range(2):
        assert cli_tune.profile_tune(options(folder)) == 0
    assert len(profiles.load(mine).flags) == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"seed": 1}, "study of another seed"),
        ({"workload": "benchmarks.steps:transformer"}, "study of another workload"),
        ({"workload": "benchmarks.steps:none"}, "no function none"),
        ({"platform": "tpu"}, "unknown platform 'tpu'"),
        ({"gpu": "h100-sxm"}, "contradict each other"),
        ({"gpu": "h100", "platform": "auto"}, "h100-sxm"),
        ({"space": "gpu"}, "is for the gpu"),
        ({"name": "../x"}, "is no profile's name"),
        ({"against": "nothing-like-it"}, "no profile is called"),
    ],
)
def test_refused(folder: Path, bench: Bench, more: dict[str, Any], said: str) -> None:
    before = (folder / "study/study.jsonl").read_bytes()
    bench(TableBench({}))
    with pytest.raises(UsageError) as raised:
        cli_tune.profile_tune(options(folder, **more))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert (folder / "study/study.jsonl").read_bytes() == before


def test_command_line(folder: Path) -> None:
    """As a user calls it; nothing is compiled by a dry run, and a mistake is code 2."""
    argv = [sys.executable, "-m", "jaxpad", "profile.tune", "--workload", "benchmarks.steps:mlp"]
    more = ["--platform", "cpu", "--out", str(folder / "none"), "--dry-run"]
    done = subprocess.run([*argv, *more], env=environ(), cwd=HOME, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("192 candidates of ")
    assert not (folder / "none").exists()
    more = ["--platform", "cpu", "--space", "cpus"]
    done = subprocess.run([*argv, *more], env=environ(), cwd=HOME, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("jaxpad: no search space is called 'cpus'")
