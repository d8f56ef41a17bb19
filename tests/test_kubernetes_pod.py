"""What a pod prints, and what is left of it in a log."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
import zlib
from base64 import b64encode

import pytest
from hypothesis import given, strategies as st

from helpers import HOME, environ
from jaxpad.clusters import kube_logs
from jaxpad.clusters.kube_logs import Lost, pack, unpack

_RANDOM = random.Random(7)
TEXT = json.dumps([_RANDOM.random() for _ in range(2000)])
LINES = list(pack(TEXT))


def pod(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "pod", *words]
    return subprocess.run(
        argv, env=environ(), cwd=HOME, input=given, capture_output=True, text=True
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_parcel_round_trip(text: str) -> None:
    assert unpack("\n".join(pack(text))) == text


def test_parcel_lines_are_whole_writes() -> None:
    assert len(LINES) > 3
    assert max(map(len, LINES)) < 4000  # PIPE_BUF is 4096, a runtime's line 16,384


def test_parcel_among_other_lines() -> None:
    """In any order, with others' words between, behind a progress bar's, and with CRs."""
    lines = [f"{line}\r" for line in LINES]
    random.Random(1).shuffle(lines)
    noisy = "\n".join(
        f"{words}\n{line}" for words, line in zip("abcdefgh" * 9, lines, strict=False)
    )
    assert unpack(f"no gpu here: {noisy}\n[1/9] …") == TEXT


@pytest.mark.parametrize("lost", [0, 2, len(LINES) - 1])
def test_parcel_with_a_line_lost(lost: int) -> None:
    with pytest.raises(Lost, match=f"line {lost + 1} of {len(LINES)} of the report is missing"):
        unpack("\n".join(LINES[:lost] + LINES[lost + 1 :]))


def test_parcel_cut_in_a_line() -> None:
    """The end of a line is gone: what is left still looks like one."""
    cut = "\n".join(LINES)[:-41]
    with pytest.raises(Lost, match="garbled"):
        unpack(cut)


def test_parcel_with_a_letter_changed() -> None:
    line = LINES[1]
    other = line[:-9] + ("A" if line[-9] != "A" else "B") + line[-8:]
    with pytest.raises(Lost, match="garbled"):
        unpack("\n".join([LINES[0], other, *LINES[2:]]))


def test_no_parcel() -> None:
    with pytest.raises(Lost, match="holds no report"):
        unpack("Traceback (most recent call last):\n")


def test_parcel_that_claims_too_much() -> None:
    line = LINES[0].replace(f"1/{len(LINES)} ", "1/999999 ")
    with pytest.raises(Lost, match="missing"):
        unpack(line)


def test_parcel_that_would_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_logs, "LARGEST", 1000)
    bomb = b64encode(zlib.compress(b"0" * 100_000)).decode()
    with pytest.raises(Lost, match="larger than"):
        unpack(f"{kube_logs.MARK} 1/1 {'0' * 64} {bomb}")


def test_pod_runs_and_packs() -> None:
    done = pod("--", "profile.list", "--json")
    assert done.returncode == 0
    assert "base" in unpack(done.stdout)
    assert pod("--read", given=done.stdout).stdout == unpack(done.stdout)


def test_pod_gives_its_command_bounds() -> None:
    done = pod("--bounds", "nosuch = 1\n", "--", "health", "--json")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


def test_pod_has_the_code_of_its_command() -> None:
    done = pod("--", "profile.show", "--profile", "nosuch")
    assert done.returncode == 2
    assert "nosuch" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "there is no command"),
        (
            ("--seconds", "1.5", "--", "doctor"),
            "a whole number of seconds from 1 to 9999999",
        ),
    ],
)
def test_pod_usage(words: tuple[str, ...], sentence: str) -> None:
    done = pod(*words)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert sentence in done.stderr


def test_pod_read_says_what_is_lost() -> None:
    done = pod("--read", given="nothing\n")
    assert (done.returncode, done.stderr) == (3, "jaxpad: its log holds no report\n")


SLOW = """
import sys, time
from jaxpad.cli import node as pod_command
pod_command.sys.executable = sys.executable
argv, limit = [sys.executable, "-uc", sys.argv[1]], float(sys.argv[2] or 0) or None
with pod_command.child.passing_on(*pod_command._SIGNALS) as to:
    code, text = pod_command._run(argv, limit, to)
print(code, text.strip())
"""
CHILD = """
import signal, sys, time
def end(*_): print("report"); sys.exit(3)
signal.signal(signal.SIGTERM, end)
print("ready", file=sys.stderr)
time.sleep(30)
"""


def test_pod_that_takes_too_long_still_reports() -> None:
    argv = [sys.executable, "-c", SLOW, CHILD, "1.5"]
    done = subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True, timeout=20)
    assert done.stdout == "3 report\n"
    assert "has taken its 1.5 s" in done.stderr


def test_pod_passes_on_the_signal_of_its_end() -> None:
    argv = [sys.executable, "-c", SLOW, CHILD, ""]
    child = subprocess.Popen(
        argv, env=environ(), cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr is not None
    assert child.stderr.readline() == "ready\n"
    time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    assert child.communicate(timeout=20)[0] == "3 report\n"
