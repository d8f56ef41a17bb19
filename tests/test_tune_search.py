"""The search with speed-ups out of a table; runs that are cut short, and studies refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers import HOME, environ
from jaxpad.core.results import UsageError
from jaxpad.tune import Candidate, Request, Run, Space, Study, Target, Tuned, opened, undecided
from jaxpad.tune.searching import FEW
from tune_bench import TableBench, compiled, space

KEY = {"workload": "test", "jaxlib": "1", "seed": "0"}
# As the CPU's: most flags do little, one hurts, two that help are not alone.
FLAGS = {
    "a": ("1",),
    "b": ("1", "2"),
    "c": ("1",),
    "d": ("1",),
    "e": ("1", "2"),
    "f": ("1",),
    "inert": ("1",),
}
FACTORS = {
    ("a", "1"): 1.04,
    ("b", "1"): 0.93,
    ("b", "2"): 1.06,
    ("c", "1"): 0.85,
    ("d", "1"): 1.01,
    ("e", "2"): 0.98,
}
INERT = frozenset({"inert"})
BEST = 1.04 * 1.06 * 1.01


@contextmanager
def run(
    folder: Path,
    bench: TableBench,
    *,
    flags: dict[str, tuple[str, ...]] | None = None,
    measurements: int = 0,
    minutes: float = 0,
    seed: int = 0,
) -> Iterator[tuple[Run, Study]]:
    """A run whose candidates are compiled already, so that no compiler is asked."""
    made = space(folder, **(flags or FLAGS))
    with opened(folder, KEY) as study:
        _compile(made, study)
        request = Request(
            made, Target("test"), {"baseline": ""}, seed, bench, minutes, measurements
        )
        yield Run(request, study), study


def _compile(made: Space, study: Study) -> None:
    for one in made.candidates():
        if one not in study.compiled:
            study.keep("compiled", compiled(one, INERT))


def tuned(folder: Path, bench: TableBench, **options: int) -> Tuned:
    with run(folder, bench, **options) as (one, _):  # type: ignore[arg-type]
        return one.go()


@pytest.mark.parametrize("seed", range(3))
def test_finds_the_best(tmp_path: Path, seed: int) -> None:
    """At most a third of the measurements that a loop over the candidates makes."""
    bench = TableBench(FACTORS)
    found = tuned(tmp_path, bench, seed=seed)
    assert found.winner is not None
    assert bench.true(found.winner) == pytest.approx(BEST, abs=0.006)
    assert 3 * (len(bench.measured) + len(bench.confirmed)) <= len(found.compiled)
    assert len(set(bench.measured)) == len(bench.measured)


def test_few_are_all_measured(tmp_path: Path) -> None:
    bench = TableBench({("b", "2"): 1.2})
    with run(tmp_path, bench, flags={"a": ("1",), "b": ("1", "2"), "inert": ("1",)}) as (one, _):
        found = one.go()
    assert len(bench.measured) == 5 < FEW
    assert found.winner is not None
    assert dict(found.winner.flags)["b"] == "2"


def test_flags_that_add_nothing_are_left_out(tmp_path: Path) -> None:
    """Of programs that are as good as the best, the one with the fewest flags is confirmed."""
    for seed in range(5):
        bench = TableBench({("a", "1"): 1.1})
        with run(tmp_path / str(seed), bench, flags={"a": ("1",), "b": ("1", "2")}, seed=seed) as (
            one,
            _,
        ):
            assert one.go().winner == Candidate.of({"a": "1"})


def test_nothing_beats(tmp_path: Path) -> None:
    bench = TableBench({("a", "1"): 0.99})
    found = tuned(tmp_path, bench)
    assert found.winner is None


def test_fluke_is_not_confirmed(tmp_path: Path) -> None:
    bench = TableBench({}, fluke=1.1)
    found = tuned(tmp_path, bench)
    assert len(bench.confirmed) == 1
    assert found.winner is None


def test_disturbed_confirmation_is_no_answer_and_made_again(tmp_path: Path) -> None:
    unquiet = tuned(tmp_path, TableBench(FACTORS, disturbed=True))
    assert unquiet.winner is None
    assert undecided(unquiet)
    bench = TableBench(FACTORS)
    found = tuned(tmp_path, bench)
    assert len(bench.confirmed) == 1
    assert found.winner is not None
    assert not undecided(found)


def test_budget(tmp_path: Path) -> None:
    bench = TableBench(FACTORS)
    tuned(tmp_path, bench, measurements=20)
    assert len(bench.measured) == 20


def test_minutes(tmp_path: Path) -> None:
    bench = TableBench(FACTORS)
    with run(tmp_path, bench, minutes=1e-9) as (one, _):
        found = one.go()
    assert (bench.measured, found.winner) == ([], None)


def test_resumed_after_interrupt(tmp_path: Path) -> None:
    """What was measured is not measured again, and the end is the same."""
    first, second = TableBench(FACTORS, interrupt=12), TableBench(FACTORS)
    with run(tmp_path, first) as (one, _), pytest.raises(KeyboardInterrupt):
        one.go()
    assert len(one.result().measured) == 11
    found = tuned(tmp_path, second)
    assert not set(first.measured) & set(second.measured)
    assert found.winner is not None
    assert second.true(found.winner) == pytest.approx(BEST, abs=0.006)
    again = TableBench(FACTORS)
    assert tuned(tmp_path, again).winner == found.winner
    assert (again.measured, again.confirmed) == ([], [])


KILLED = """
import sys, time
from pathlib import Path
from test_tune_search import FACTORS, tuned
from tune_bench import TableBench
class Slow(TableBench):
    def measure(self, *given, **named):
        time.sleep(0.05)
        return super().measure(*given, **named)
tuned(Path(sys.argv[1]), Slow(FACTORS))
"""


def test_resumed_after_kill(tmp_path: Path) -> None:
    """kill -9, at a moment that nobody chose, and a line that was half written."""
    folder = tmp_path / "study"
    paths = {"PYTHONPATH": f"{HOME}{os.pathsep}{HOME / 'tests'}"}
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], env=environ(**paths))
    _wait_for(folder / "study.jsonl", '{"measured"', 9)
    child.send_signal(signal.SIGKILL)
    child.wait()
    with (folder / "study.jsonl").open("a") as file:
        file.write('{"measured": {"candi')
    kept = (folder / "study.jsonl").read_text().count('{"measured"') - 1
    bench = TableBench(FACTORS)
    found = tuned(folder, bench)
    assert kept >= 9
    assert len(found.measured) == kept + len(bench.measured)
    assert found.winner is not None
    assert bench.true(found.winner) == pytest.approx(BEST, abs=0.006)
    assert all(json.loads(line) for line in (folder / "study.jsonl").read_text().splitlines())


def _wait_for(file: Path, text: str, count: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if file.exists() and file.read_text().count(text) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"{file} never had {count} times {text}")


@pytest.mark.parametrize("name", KEY)
def test_another_study(tmp_path: Path, name: str) -> None:
    with opened(tmp_path, KEY) as study:
        study.keep("compiled", compiled(Candidate()))
    before = (tmp_path / "study.jsonl").read_bytes()
    with (
        pytest.raises(UsageError, match=rf"study of another {name} .*give another --out"),
        opened(tmp_path, KEY | {name: "other"}),
    ):
        pass
    assert (tmp_path / "study.jsonl").read_bytes() == before


@pytest.mark.parametrize("text", ["hello\n", "[]\n", '{"a": 1}\n', '{"study": 3}\n', "\x00\n"])
def test_no_study(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.jsonl").write_text(text + '{"note": {}}\n')
    with pytest.raises(UsageError, match="no study of"), opened(tmp_path, KEY):
        pass
    assert (tmp_path / "study.jsonl").read_text().startswith(text)


def test_odd_line(tmp_path: Path) -> None:
    with opened(tmp_path, KEY):
        pass
    with (tmp_path / "study.jsonl").open("a") as file:
        file.write('{"compiled": {"fate": "eaten"}}\n')
    with pytest.raises(UsageError, match="has a line that"), opened(tmp_path, KEY):
        pass


def test_in_use(tmp_path: Path) -> None:
    with (
        opened(tmp_path, KEY),
        pytest.raises(UsageError, match="another run"),
        opened(tmp_path, KEY),
    ):
        pass
