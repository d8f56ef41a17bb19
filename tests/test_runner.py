"""One check file in a child: every way a check can end becomes that check's verdict."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import HOME, Answers, environ, gone
from jaxpad.core import child
from jaxpad.core.results import Verdict
from jaxpad.smoke import child as smoke_child

PASSES = "\ndef test_after():\n    pass\n"


def test_verdicts_of_each_kind(answers: Answers) -> None:
    found = answers("""
import pytest
from jaxpad import checks
def test_pass(): pass
def test_wrong(): assert 1 == 2
def test_raises(): raise ValueError("no")
def test_known(): raise checks.Failed("the cable is out", "plug it in")
def test_unknown(): raise checks.Inconclusive("nobody home", "ring again")
def test_absent(): checks.not_applicable("no GPU")
def test_not_asked(nothing_of_this_name): pass
""")
    verdicts = {name: result.verdict.value for name, result in found.items()}
    assert verdicts == {
        "test_pass": "pass",
        "test_wrong": "fail",
        "test_raises": "fail",
        "test_known": "fail",
        "test_unknown": "inconclusive",
        "test_absent": "not applicable",
        "test_not_asked": "inconclusive",
    }
    assert "1 == 2" in found["test_wrong"].reason
    assert found["test_raises"].reason == "ValueError: no"
    assert (found["test_known"].reason, found["test_known"].remedy) == (
        "the cable is out",
        "plug it in",
    )
    assert (found["test_unknown"].reason, found["test_unknown"].remedy) == (
        "nobody home",
        "ring again",
    )
    assert found["test_absent"].reason == "no GPU"


def test_measurements_and_output(answers: Answers) -> None:
    found = answers("""
from jaxpad import checks
def test_it(record_property):
    '''Is it fast?

    More.'''
    print("said so")
    checks.measurer(record_property)("rate", 2.5, "GB/s", spread=0.1)
""")["test_it"]
    assert found.question == "Is it fast?"
    assert [(m.name, m.value, m.unit, m.spread) for m in found.measurements] == [
        ("rate", 2.5, "GB/s", 0.1)
    ]
    assert found.output == "said so"
    assert 0 <= found.seconds < 5


def test_output_stays_with_its_check(answers: Answers) -> None:
    found = answers("def test_a(): print('one')\ndef test_b(): print('two')\n")
    assert (found["test_a"].output, found["test_b"].output) == ("one", "two")


def test_parameters_are_one_check(answers: Answers) -> None:
    found = answers("""
import pytest
@pytest.mark.parametrize("n", [1, 2, 3])
def test_n(n): assert n != 2
def test_after(): pass
""")
    assert {name: result.verdict.value for name, result in found.items()} == {
        "test_n": "fail",
        "test_after": "pass",
    }


def test_segfault_fails_that_check(answers: Answers) -> None:
    found = answers("import ctypes\ndef test_crash(): ctypes.string_at(0)\n" + PASSES)
    assert found["test_crash"].verdict is Verdict.FAIL
    assert "SIGSEGV" in found["test_crash"].reason
    assert "test_crash" in found["test_crash"].output, "the fault handler's stack is in the output"
    assert found["test_after"].verdict is Verdict.PASS


def test_exit_fails_that_check(answers: Answers) -> None:
    found = answers(
        "import os\ndef test_exit():\n    print('F: refused')\n    os._exit(1)\n" + PASSES
    )
    assert found["test_exit"].verdict is Verdict.FAIL
    assert found["test_exit"].reason == "its process ended itself with exit code 1"
    assert "F: refused" in found["test_exit"].output
    assert found["test_after"].verdict is Verdict.PASS


def test_hang_fails_that_check(answers: Answers) -> None:
    deadlock = """
import threading
def test_hang():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
"""
    found = answers(deadlock + PASSES, limit=3.0)
    assert found["test_hang"].verdict is Verdict.FAIL
    assert "no answer within 3 s" in found["test_hang"].reason
    assert (
        "lock.acquire" in found["test_hang"].output or "in test_hang" in found["test_hang"].output
    )
    assert found["test_after"].verdict is Verdict.PASS


def test_hang_that_ignores_signals(answers: Answers) -> None:
    found = answers(
        "import signal, time\ndef test_deaf():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))\n    time.sleep(600)\n"
        + PASSES,
        limit=2.0,
    )
    assert found["test_deaf"].verdict is Verdict.FAIL
    assert found["test_after"].verdict is Verdict.PASS


def test_kill_from_outside(answers: Answers) -> None:
    found = answers("import os\ndef test_kill(): os.kill(os.getpid(), 9)\n" + PASSES)
    assert found["test_kill"].verdict is Verdict.INCONCLUSIVE
    assert "the kernel counts no memory kill" in found["test_kill"].reason
    assert found["test_after"].verdict is Verdict.PASS


@pytest.fixture
def small_memory() -> Iterator[Path]:
    """A memory cgroup of 200 MiB: the file to write a process id into."""
    for root, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup") / root / f"jaxpad-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(200 << 20))
        except OSError:
            continue
        yield group / "cgroup.procs"
        group.rmdir()
        return
    pytest.fail("no memory cgroup can be made: run the tests as root, or in a delegated cgroup")


def test_out_of_memory_fails_that_check(answers: Answers, small_memory: Path) -> None:
    found = answers(f"""
import os, pathlib
def test_eats():
    pathlib.Path({str(small_memory)!r}).write_text(str(os.getpid()))
    eaten = [bytearray(os.urandom(1 << 20)) * 16 for _ in range(100)]
{PASSES}""")
    assert found["test_eats"].verdict is Verdict.FAIL
    assert "out-of-memory killer" in found["test_eats"].reason
    assert "memory limit" in found["test_eats"].remedy
    assert found["test_after"].verdict is Verdict.PASS


def test_crash_at_exit_is_no_pass(answers: Answers) -> None:
    found = answers(
        "import atexit, ctypes\natexit.register(ctypes.string_at, 0)\ndef test_a(): pass\n" + PASSES
    )
    assert found["test_a"].verdict is Verdict.PASS
    assert found["test_after"].verdict is Verdict.FAIL
    assert "after the last check of its file" in found["test_after"].reason


def test_file_that_cannot_be_imported(answers: Answers) -> None:
    found = answers("import not_there_at_all\ndef test_a(): pass\n" + PASSES)
    assert {result.verdict for result in found.values()} == {Verdict.INCONCLUSIVE}
    assert "No module named 'not_there_at_all'" in found["test_a"].reason


def test_floods_the_log(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke_child, "MOST", 1 << 20)
    found = answers("""
import os, time
def test_it():
    os.write(1, b"x" * (2 << 20) + b"the end")
    time.sleep(60)
""")["test_it"]
    assert found.verdict is Verdict.FAIL
    assert "printed more than" in str(found.reason)
    assert found.output.endswith("the end")
    assert len(found.output) < 10_000


def test_stuck_in_the_kernel() -> None:
    verdict, reason, _ = smoke_child._death(smoke_child.Ending(-9, timed_out=True, left=7), 5)
    assert verdict is Verdict.FAIL
    assert reason.endswith("; process 7 cannot be killed and is left behind")


RUNNER = """
import sys
from pathlib import Path
from helpers import environ
from jaxpad.smoke import collection
from jaxpad.smoke.child import run_file
folder = Path(sys.argv[1])
list(run_file(collection.collect(folder), environ(), folder, 60.0, lambda _: None))
"""


def test_child_dies_with_runner(tmp_path: Path) -> None:
    """The runner is killed in the middle of a check: an orphan would hold the GPU."""
    (tmp_path / "test_it.py").write_text(
        "import os, time, pathlib\n"
        "def test_it():\n"
        "    pathlib.Path('pid.new').write_text(str(os.getpid()))\n"
        "    os.rename('pid.new', 'pid')\n"
        "    time.sleep(60)\n"
    )
    variables = environ(PYTHONPATH=f"{HOME}:{HOME / 'tests'}")
    with child.start(child.python("-c", RUNNER, str(tmp_path)), environ=variables) as running:
        while not (tmp_path / "pid").is_file():
            assert running.poll() is None
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGKILL)
        assert gone(int((tmp_path / "pid").read_text()))
