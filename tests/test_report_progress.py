"""How far a run has come: lines in a log, a bar on a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from jaxpad.report import Progress
from test_report_samples import FAILED, NASTY, OPEN, check, suite


def plain_console() -> Console:
    return Console(file=io.StringIO(), width=40)


def lines(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_one_line_a_file() -> None:
    console = plain_console()
    with Progress(total=63, console=console) as progress:
        for result in suite():
            progress.started(result.id)
            progress.finished(result)
    assert len(lines(console)) == 11
    assert lines(console)[0].startswith("test_arrays.py: 6 pass, 0.0")


def test_line_comes_when_the_next_file_begins() -> None:
    console = plain_console()
    with Progress(total=3, console=console) as progress:
        progress.finished(FAILED)
        progress.finished(check())
        assert not lines(console)
        progress.started(OPEN.id)
        assert lines(console)[0].startswith("test_jit.py: 1 pass, 1 fail, ")


def test_interrupted_run_still_tells() -> None:
    console = plain_console()

    def interrupted() -> None:
        with Progress(total=9, console=console) as progress:
            progress.finished(FAILED)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert lines(console)[0].startswith("test_jit.py: 1 fail, ")


def test_nothing_to_tell() -> None:
    console = plain_console()
    with Progress(total=0, console=console):
        pass
    assert not lines(console)


def terminal(term: str) -> Console:
    environ = {"TERM": term}
    return Console(file=io.StringIO(), width=100, force_terminal=True, _environ=environ)


def test_bar_on_a_terminal() -> None:
    console = terminal("xterm-256color")
    with Progress(total=2, console=console) as progress:
        progress.finished(FAILED)
        progress.started("test_jit.py::test_x[red]")
    text = "\n".join(lines(console))
    assert "1/2" in text
    assert "test_jit.py::test_x[red]" in text
    assert f"fail: {FAILED.id}" in text  # at once: a run may have minutes to go


def test_dumb_terminal_gets_lines() -> None:
    console = terminal("dumb")
    with Progress(total=1, console=console) as progress:
        progress.finished(check())
    assert lines(console)[0].startswith("test_jit.py: 1 pass")
    assert "\x1b" not in lines(console)[0]


def test_any_encoding() -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=80)
    with Progress(total=1, console=console) as progress:
        progress.finished(check(file=NASTY))
    console.file.flush()
    assert b": 1 pass, " in raw.getvalue()
