"""What is declared of a command is what it takes, says and refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad.cli.main import CHECKOUT_ONLY
from jaxpad.commands import COMMANDS, Command, options, overview, parser
from jaxpad.commands.machine import (
    DoctorOptions,
    FleetOptions,
    HealthOptions,
    LaunchOptions,
    SmokeOptions,
)
from jaxpad.commands.profile import MatrixOptions, TuneOptions
from jaxpad.core.results import UsageError
from jaxpad.doctor.model import ENGINES
from jaxpad.fleet import SCHEDULERS
from jaxpad.health.slurm_hook import HOOKS
from jaxpad.machine.devices import CHOICES
from tools.commands import COMMANDS as CHECKOUTS_OWN

EVERY = (*COMMANDS, *CHECKOUTS_OWN)
BY_NAME = {one.name: one for one in EVERY}


def jaxpad(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", *words]
    return subprocess.run(argv, cwd=HOME, env=environ(), capture_output=True, text=True)


@pytest.mark.parametrize("command", EVERY, ids=lambda one: one.name)
def test_help_tells_every_option(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parser.parsed(command, ["--help"])
    said = capsys.readouterr().out
    assert left.value.code == 0
    declared = options.declared(parser.options_of(command))
    assert [one.flag for one in declared if f"{one.flag} " not in f"{said} "] == []
    assert all(one.help for one in declared)
    assert command.example in said


def test_a_checkout_has_what_its_refusal_names() -> None:
    """An installed jaxpad says of these that they are in a checkout alone."""
    assert sorted(CHECKOUT_ONLY) == sorted(one.name for one in CHECKOUTS_OWN)


@pytest.mark.parametrize(
    ("declared", "name", "known"),
    [
        (HealthOptions, "hook", HOOKS),
        (FleetOptions, "scheduler", SCHEDULERS),
        (DoctorOptions, "engine", ENGINES),
        (SmokeOptions, "platform", CHOICES),
    ],
)
def test_choices_are_what_the_work_knows(declared: type, name: str, known: tuple[str, ...]) -> None:
    (found,) = (one for one in options.declared(declared) if one.name == name)
    assert set(found.choices) == set(known)


def test_overview_has_each_command_once() -> None:
    lines = overview(EVERY).splitlines()
    assert [one.name for one in EVERY if sum(f"  {one.name} " in line for line in lines) != 1] == []


@pytest.mark.parametrize(
    ("declared", "words", "said"),
    [
        (HealthOptions, {"expect": "many"}, "--expect must be a whole number of GPUs from 0 to 99"),
        (HealthOptions, {"expect": "٣"}, "--expect must be a whole number of GPUs"),
        (HealthOptions, {"hook": "prologue"}, "unknown hook 'prologue': expected healthcheck, pro"),
        (SmokeOptions, {"limit": "soon"}, "--limit must be a number of seconds from 0.1 on, got"),
        (SmokeOptions, {"limit": "nan"}, "--limit must be a number of seconds"),
        (
            SmokeOptions,
            {"nodes": "0"},
            "--nodes must be a whole number of nodes from 1 on, got '0'",
        ),
        (SmokeOptions, {"extra": "'x"}, '--extra "\'x" cannot be split into words'),
        (SmokeOptions, {"gpus_per_node": "-1"}, "--gpus-per-node must be a whole number of GPUs"),
        (LaunchOptions, {"port": "99999"}, "--port must be a port from 1 to 65535, got '99999'"),
        (FleetOptions, {"scheduler": "lsf"}, "unknown scheduler 'lsf': expected slurm or kubernet"),
        (MatrixOptions, {"workers": "2.5"}, "--workers must be a whole number from 1 to 4096"),
        (TuneOptions, {"minutes": "-1"}, "--minutes must be a number of minutes from 0 on, got"),
        (TuneOptions, {"seed": "x"}, "--seed must be a whole number from 0 on, got 'x'"),
    ],
)
def test_refused(declared: type, words: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        options.read(declared, words)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_values_have_their_types() -> None:
    words = {"nodes": "2", "limit": "1.5", "extra": "-x 'a b'", "strict": True, "thresholds": "x"}
    found = options.read(SmokeOptions, words)
    assert (found.nodes, found.limit, found.extra) == (2, 1.5, ("-x", "a b"))
    assert (found.strict, found.thresholds, found.out) == (True, Path("x"), Path("smoke-report"))


def test_nothing_given_is_the_default() -> None:
    assert options.read(SmokeOptions, {"platform": "", "nodes": ""}) == SmokeOptions()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profle", "x"], "unknown option --profle of smoke; did you mean --profile"),
        (["--out"], "--out needs a value; see jaxpad smoke --help"),
        (["--out", "--json"], "--out needs a value"),
        (["--json=yes"], "--json takes no value"),
        (["health"], "one command at a time: run smoke and health by themselves"),
        (["x"], "unexpected word 'x' behind smoke"),
        (["--", "x"], "smoke takes no words behind --"),
    ],
)
def test_slip(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as error:
        parser.parsed(BY_NAME["smoke"], words, BY_NAME)
    assert said in str(error.value)


def test_a_value_may_begin_with_a_dash() -> None:
    found = parser.parsed(BY_NAME["smoke"], ["--extra", "--qos=x", "-k", "not -a", "--strict"])
    assert (found.extra, found.k, found.strict) == (("--qos=x",), "not -a", True)


def test_words_behind_two_dashes_are_the_commands() -> None:
    found = parser.parsed(BY_NAME["launch"], ["--gpus", "0", "--", "python", "--gpus", "1"])
    assert (found.gpus, found.command) == ("0", ("python", "--gpus", "1"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("smok",), 2, "unknown command 'smok'; did you mean smoke"),
        (("-R", "build"), 2, "unknown option -R; see jaxpad --help"),
        (("profile.list", "health"), 2, "one command at a time"),
        (("--help", "fleet"), 0, ""),
        ((), 0, ""),
    ],
)
def test_exit_code(words: tuple[str, ...], code: int, said: str) -> None:
    done = jaxpad(*words)
    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == (1 if code else 0)


def test_help_is_light() -> None:
    """The overview imports what no command needs: nothing but the table."""
    code = (
        "import sys; sys.argv = ['jaxpad', '--help']; from jaxpad.cli.main import main; main()\n"
        "heavy = {'invoke', 'rich', 'argparse', 'dataclasses', 'pathlib', 'numpy', 'jax'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd="/",
        capture_output=True,
        text=True,
        env=environ(PYTHONPATH=str(HOME)),
    )
    assert (done.returncode, done.stderr) == (0, "")
