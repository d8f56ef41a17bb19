"""Planted children: what hangs, floods, will not end, or must not outlive its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import HOME, environ, gone
from jaxpad.core import child, lifeline, paths
from jaxpad.core.child import PIPE, Child, Outcome

DEAF = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
)


def sh(script: str, limit_s: float = 20.0) -> Outcome:
    return child.run(["sh", "-c", script], limit_s=limit_s)


def test_ends_by_itself() -> None:
    assert sh("echo a; echo b >&2; exit 3") == Outcome(3, "a\n", "b\n")


def test_ends_by_a_signal() -> None:
    assert sh("kill -SEGV $$").code == -signal.SIGSEGV


def test_not_there() -> None:
    with pytest.raises(FileNotFoundError):
        child.run(["no-such-program"], limit_s=1)


def test_given_more_than_a_pipe_holds() -> None:
    assert child.run(["cat"], limit_s=20, given="ü" * 300_000).out == "ü" * 300_000


def test_given_to_one_that_reads_nothing() -> None:
    assert child.run(["true"], limit_s=20, given="x" * 300_000).code == 0


def test_has_no_stdin_of_ours() -> None:
    assert child.run(["cat"], limit_s=20) == Outcome(0, "", "")


def test_no_text() -> None:
    assert sh(r"printf 'a\377\r\nb\rc'").out == "a�\nb\nc"


def test_hangs() -> None:
    begun = time.monotonic()
    found = sh("echo before; echo why >&2; exec sleep 60", limit_s=0.5)
    assert found == Outcome(-signal.SIGKILL, "before\n", "why\n", late=True)
    assert time.monotonic() - begun < 10


def test_closes_its_streams_and_hangs() -> None:
    assert sh("exec sleep 60 >&- 2>&-", limit_s=0.5).late


def test_ignores_sigterm() -> None:
    with child.start(child.python("-c", DEAF), stdout=PIPE) as deaf:
        assert deaf.stdout
        assert deaf.stdout.readline() == b"1\n"
        begun = time.monotonic()
        assert deaf.end(grace_s=0.3)
        assert time.monotonic() - begun >= 0.3
    assert deaf.code == -signal.SIGKILL


def test_heeds_sigterm() -> None:
    with child.start(["sleep", "60"]) as heeding:
        assert heeding.end(grace_s=20)
    assert heeding.code == -signal.SIGTERM


def test_prints_without_end() -> None:
    """64 MiB of it: what is over the bound is read, so that it comes to its end, and dropped."""
    write = "import os\nfor _ in range(1024): os.write(1, b'x' * 65536)\nos.write(2, b'end')"
    found = child.run(child.python("-c", write), limit_s=60, bound=1 << 20)
    assert (found.code, len(found.out), found.err, found.cut) == (0, 1 << 20, "end", True)


def test_as_much_as_the_bound_is_whole() -> None:
    assert child.run(["echo", "1234"], limit_s=20, bound=5) == Outcome(0, "1234\n", "")


def test_grandchild_ends_with_it() -> None:
    """It holds the pipe, and would hold the caller."""
    begun = time.monotonic()
    found = sh("sleep 60 & echo $!")
    assert time.monotonic() - begun < 10
    assert found.code == 0
    assert gone(int(found.out))


def test_grandchild_in_another_session_holds_nobody() -> None:
    begun = time.monotonic()
    pid = int(sh("setsid sleep 60 & echo $!").out)
    assert time.monotonic() - begun < 10
    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that is stuck in the kernel: SIGKILL is sent, and does not arrive."""
    monkeypatch.setattr(os, "killpg", lambda _pid, _number: None)
    monkeypatch.setattr(lifeline.Lifeline, "tie", lambda *_: None)
    started: list[Child] = []
    begin = child.Child.__init__

    def noted(self: Child, *given: object) -> None:
        begin(self, *given)  # type: ignore[arg-type]
        started.append(self)

    monkeypatch.setattr(child.Child, "__init__", noted)
    yield
    for each in started:
        os.kill(each.pid, signal.SIGKILL)
        each.wait()


@pytest.mark.usefixtures("stuck")
def test_stuck_in_the_kernel_is_left_behind() -> None:
    begun = time.monotonic()
    found = child.run(["sleep", "60"], limit_s=0.2, stuck_s=0.3)
    assert time.monotonic() - begun < 10
    assert found.late
    assert found.left
    assert found.note == f"; process {found.left} cannot be killed and is left behind"


PARENT = """
import os, time, threading
from jaxpad.core import child
def begin():
    started = child.start(["sh", "-c", "sleep 60 & echo $!; exec sleep 60"], session=SESSION)
    os.write(1, b"%d\\n" % started.pid)  # whole, as two write to this pipe
    held.append(started)
held = []
beginner = threading.Thread(target=begin)
beginner.start()
beginner.join()
time.sleep(60)
"""


@pytest.mark.parametrize("session", [True, False])
def test_parent_is_killed(session: bool) -> None:
    """Also a child that was started by a thread which has ended since, and stays till then."""
    script = PARENT.replace("SESSION", str(session))
    parent = child.start(child.python("-c", script), environ=environ(), stdout=PIPE)
    with parent:
        assert parent.stdout
        pids = [int(parent.stdout.readline()) for _ in range(2)]
        time.sleep(0.3)
        assert not any(gone(pid, 0.1) for pid in pids)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        killed = pids if session else [min(pids)]
        assert all(gone(pid) for pid in killed)
    assert all(gone(pid) for pid in pids)


ASKING = """
from jaxpad.containers import engine as containers
containers.follow(["sh", "-c", "trap 'echo asked > told; exit' TERM; echo 1; sleep 60 & wait"])
"""


def test_container_is_asked_to_end(tmp_path: Path) -> None:
    """Whoever follows it is killed: docker run passes SIGTERM on, and not SIGKILL."""
    asking = child.python("-c", ASKING)
    with child.start(asking, environ=environ(), stdout=PIPE, cwd=tmp_path) as following:
        assert following.stdout
        assert following.stdout.readline() == b"1\n"
        time.sleep(0.1)
        following._process.kill()
        following.wait()
        until = time.monotonic() + 10
        while not (tmp_path / "told").is_file():
            assert time.monotonic() < until
            time.sleep(0.02)


def test_a_signal_before_the_child_is_there_reaches_it() -> None:
    """As where it comes between the start and the moment in which we know the child."""
    with child.passing_on(signal.SIGTERM) as to:
        os.kill(os.getpid(), signal.SIGTERM)
        with to(child.start(["sleep", "60"])) as started:
            assert started.wait(10) == -signal.SIGTERM


FORKING = """
import os, time
from jaxpad.core import lifeline as forked
made = forked.fork(lambda: time.sleep(60))
print(made.pid, flush=True)
time.sleep(60)
"""


def test_parent_of_a_fork_is_killed() -> None:
    with child.start(child.python("-c", FORKING), environ=environ(), stdout=PIPE) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        assert not gone(pid, 0.3)
        os.kill(parent.pid, signal.SIGKILL)
        assert gone(pid)


WORK = """
import os, sys
from jaxpad.core import lifeline as forked
def work():
    if sys.argv[1:]: raise ValueError("planted")
made = forked.fork(work)
print(os.waitstatus_to_exitcode(os.waitpid(made.pid, 0)[1]))
made.close()
"""


@pytest.mark.parametrize(("words", "code"), [((), 0), (("fail",), lifeline.FAILED)])
def test_fork_ends(words: tuple[str, ...], code: int) -> None:
    found = child.run(child.python("-c", WORK, *words), environ=environ(), limit_s=20)
    assert found.out == f"{code}\n"
    assert ("planted" in found.err) == bool(words)


def test_killed_from_another_thread() -> None:
    with child.start(["sleep", "60"]) as sleeping:
        threading.Timer(0.2, sleeping.kill).start()
        assert sleeping.wait(20) == -signal.SIGKILL


def test_no_descriptor_stays() -> None:
    sh("true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        sh("echo a")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("given", ["", ":", f":{HOME}", f"{HOME}::"])
def test_imports_nothing_from_the_current_folder(tmp_path: Path, given: str) -> None:
    """Nor does a Python that the child starts, in whatever way."""
    for name in ("json", "jax_plugins", "jaxpad", "jax"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the current folder is imported')")
    again = "import subprocess, sys, jaxpad; sys.exit(subprocess.call([sys.executable, '-c', "
    again += "'import json, jaxpad; print(jaxpad.__file__)']))"
    for argv in (child.python("-c", "import json, jaxpad; print(jaxpad.__file__)"), again):
        words = child.python("-c", argv) if isinstance(argv, str) else argv
        variables = paths.importable(environ(PYTHONPATH=given))
        found = child.run(words, environ=variables, cwd=tmp_path, limit_s=60)
        assert (found.code, found.err) == (0, "")
        assert Path(found.out.strip()).parent == HOME / "jaxpad"


def test_importable_drops_empty_parts() -> None:
    found = paths.importable({"PYTHONPATH": "::/a::/b:", "X": "1"})
    ours = {"PYTHONPATH": f"{HOME}:/a:/b", "PYTHONSAFEPATH": "1", "JAXPAD_PROJECT": ""}
    assert found == ours | {"X": "1"}


def test_light() -> None:
    """`jaxpad health` starts with it: it brings in nothing but a little of the standard library."""
    code = (
        "import sys; before = set(sys.modules); import jaxpad.core.child; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), capture_output=True, text=True, check=True
    )
    found = set(done.stdout.split())
    assert {name for name in found if name.startswith("jaxpad")} == {
        *("jaxpad", "jaxpad.core", "jaxpad.core.lifeline", "jaxpad.core.child"),
        *("jaxpad.core.files", "jaxpad.core.paths", "jaxpad.core.results"),
    }
    assert not found & {"subprocess", "tempfile", "asyncio", "numpy", "jax"}


FORKED = """
import sys, time
from jaxpad.core import child
found = child.run_fork({work}, limit_s={limit}, bound=1000, stuck_s=2.0)
print(found.code, len(found.out), found.late, found.left, found.cut)
"""


@pytest.mark.parametrize(
    ("work", "limit", "said"),
    [
        ("lambda: print('x' * 10)", 20, "0 11 False None False"),
        ("lambda: 1 / 0", 20, "70 0 False None False"),
        ("lambda: sys.exit(3)", 20, "70 0 False None False"),
        ("lambda: time.sleep(60)", 0.3, "-9 0 True None False"),
        ("lambda: print('x' * 10_000_000)", 20, "-9 1000 False None True"),
    ],
    ids=["says", "raises", "exits", "hangs", "floods"],
)
def test_fork(work: str, limit: float, said: str) -> None:
    """In a program of its own: a fork wants no other thread beside it, and pytest has some."""
    code = FORKED.format(work=work, limit=limit)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ(), cwd=HOME, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{said}\n", "")
