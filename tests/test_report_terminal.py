"""What a person reads at the end of a run, on any terminal."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jaxpad.core.results import CheckResult, Judgement, Report, Verdict
from jaxpad.report import summary
from test_report_samples import FAILED, NASTY, PASSED_CPU, PASSED_GPU, SHAPES, check, every_shape


def shown(report: Report, width: int = 80, folder: Path | None = None) -> str:
    out = io.StringIO()
    summary(report, Console(file=out, width=width), folder)
    return out.getvalue()


@every_shape
def test_no_escape_codes_off_a_terminal(report: Report) -> None:
    assert "\x1b" not in shown(report)


@every_shape
@pytest.mark.parametrize("width", [40, 80, 200])
def test_prose_fits_the_width(report: Report, width: int) -> None:
    prose = [line for line in shown(report, width).splitlines() if not line.startswith(" " * 5)]
    assert max(map(len, prose)) <= width
    assert not [line for line in prose if line != line.rstrip()]


@every_shape
def test_next_step_comes_last(report: Report) -> None:
    text = shown(report, folder=Path("smoke-report"))
    assert text.index("Report: ") < text.index("What to do next")
    assert "\n  1. " in text[text.index("What to do next") :]


def test_topics_have_counts_and_times() -> None:
    lines = shown(SHAPES["failed"]).splitlines()
    assert "jit          6 pass, 1 fail, 2.80 s" in lines
    assert "devices      6 pass, 1 not applicable, 2.80 s" in lines


def test_failure_tells_reason_and_remedy() -> None:
    text = shown(SHAPES["failed"])
    assert "fail: test_jit.py::test_new_shape_recompiles\n  why: compiled 2 times" in text
    assert "  remedy: unset JAX_DISABLE_JIT:\n      unset JAX_DISABLE_JIT\n" in text
    assert "inconclusive: test_environment.py::test_cache_hit\n" in text
    assert "measured: compiles 2, held to at most 1" in text
    assert "AssertionError" not in text


def test_remedy_is_never_cut() -> None:
    words = [f"word{at}" for at in range(200)]
    remedy = " ".join([*words, "x" * 300])
    text = shown(replace(PASSED_CPU, checks=(replace(FAILED, remedy=remedy),)), width=40)
    told = text[text.index("remedy: ") : text.index("1 fail in")]
    assert "".join(told.split()) == "remedy:" + remedy.replace(" ", "")


def test_command_is_one_line_to_copy() -> None:
    long = ("jaxpad", "smoke", *("--profile", "fsdp-hopper", "--out", "/scratch/a/long/way/down"))
    assert f"     {' '.join(long)}\n" in shown(replace(PASSED_GPU, command=long), width=40)


HEADINGS = {
    "passed on the GPU": "Pass: every check holds, on the GPU.",
    "passed on the CPU": "Pass, on the CPU only: JAX works here, no GPU was tested.",
    "failed": "Fail: 1 of 66 checks failed.",
    "inconclusive": "Inconclusive: 1 of 64 checks could not be answered.",
    "interrupted": "Inconclusive: 43 of 63 checks could not be answered, stopped by SIGINT.",
    "failed and interrupted": "Fail: 1 of 2 checks failed, stopped by SIGTERM.",
    "nothing applies": "Not applicable: none of the checks asked for applies here.",
    "fell back": "Pass for the checks asked for, but JAX computes on the CPU, not the GPU.",
    "JAX did not start": "Inconclusive: 1 of 1 check could not be answered.",
    "empty": "Inconclusive: no check was run.",
}


@pytest.mark.parametrize(("name", "heading"), HEADINGS.items(), ids=HEADINGS)
def test_verdict_in_words(name: str, heading: str) -> None:
    assert f"\n{heading}\n" in shown(SHAPES[name])


NEXT = {
    "passed on the GPU": "Start training here",
    "passed on the CPU": "jaxpad smoke --platform gpu",
    "failed": "jaxpad smoke --profile base -k test_new_shape_recompiles",
    "inconclusive": "Begin with test_environment.py::test_cache_hit: free 1 MiB",
    "interrupted": "The run was ended early; run it again",
    "failed and interrupted": "Begin with test_jit.py::test_new_shape_recompiles",
    "nothing applies": "Nothing was shown; run the whole suite",
    "fell back": "The whole suite says why",
    "empty": "Nothing was shown; run the whole suite",
}


@pytest.mark.parametrize(("name", "step"), NEXT.items(), ids=NEXT)
def test_next_step_suits_the_verdict(name: str, step: str) -> None:
    text = shown(SHAPES[name])
    assert step in text[text.index("What to do next") :]


def test_rates_against_their_gates() -> None:
    text = " ".join(shown(SHAPES["one slow GPU"], width=200).split())
    assert "gemm bf16 369 to 684 TFLOP/s, 37 to 69 % of peak, gate 593: fail: GPU 5" in text
    assert "copy 1 GiB 2,870 to 2,930 GB/s, 86 to 87 % of peak, gate 2,680: pass" in text
    assert "gemm" not in shown(SHAPES["rates of a CPU"])
    cpu = SHAPES["rates of a CPU"]
    aside = tuple(Judgement(rate, None, Verdict.NOT_APPLICABLE) for rate in cpu.rates)
    assert "gemm" not in shown(replace(cpu, judgements=aside))


def test_changed_bounds_are_told() -> None:
    changed = replace(PASSED_GPU, overrides=("gemm bf16: 0.4, not 0.6 (mine.toml)",))
    assert "\nchanged bound: gemm bf16: 0.4, not 0.6 (mine.toml)\n" in shown(changed)


def test_part_of_the_suite_is_no_clearance() -> None:
    text = shown(replace(PASSED_GPU, command=("invoke", "smoke", "-k", "jit")))
    assert "Start training" not in text
    assert "1. Only what -k names was run; run the whole suite:\n     invoke smoke\n" in text


def test_home_stays_outside_the_quotes() -> None:
    command = ("~/.venv/bin/jaxpad", "smoke", "--out", "a b")
    assert "     ~/.venv/bin/jaxpad smoke --out 'a b'\n" in shown(
        replace(PASSED_GPU, command=command)
    )


def test_jax_that_did_not_start() -> None:
    assert "JAX did not start (expected: not known)" in shown(SHAPES["JAX did not start"])


def test_devices_are_counted() -> None:
    assert "JAX computes on the GPU, 8 x NVIDIA H100 80GB HBM3" in shown(PASSED_GPU)


def test_many_with_one_reason_are_told_once() -> None:
    text = shown(SHAPES["interrupted"])
    assert text.count("why: not run: SIGINT came first") == 1
    assert "and 38 more" in text


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding(encoding: str) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding), width=80)
    summary(SHAPES["hostile"], console)
    summary(SHAPES["failed"], console)
    console.file.flush()
    assert b"Fail: 1 of 66" in raw.getvalue()


def test_markup_is_text() -> None:
    text = shown(replace(PASSED_CPU, checks=(replace(FAILED, reason="x[red]y[/red] :smile:"),)))
    assert "why: x[red]y[/red] :smile:" in text


def on_a_terminal(report: Report, environ: dict[str, str]) -> str:
    out = io.StringIO()
    summary(report, Console(file=out, width=80, force_terminal=True, _environ=environ))
    return out.getvalue()


def test_colour_on_a_terminal_only() -> None:
    assert "\x1b[1;31m" in on_a_terminal(SHAPES["failed"], {"TERM": "xterm-256color"})
    assert "\x1b" not in on_a_terminal(SHAPES["failed"], {"TERM": "dumb"})


def test_output_cannot_drive_the_terminal() -> None:
    hostile: CheckResult = check(verdict=Verdict.FAIL, reason=NASTY, remedy=NASTY)
    text = on_a_terminal(replace(PASSED_CPU, checks=(hostile,)), {"TERM": "dumb"})
    assert not set(text) & set("\x00\x07\x1b\r\u202e")
