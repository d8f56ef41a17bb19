"""Temporary folders: gone with their process, whatever ends it."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers import environ
from jaxpad.core import child, files
from jaxpad.core.child import PIPE
from jaxpad.core.files import Folder

OLD = time.time() - 3600
HOLDER = """
import sys, time
from jaxpad.core.files import Folder
made = Folder("planted")
(made.path / "file").write_text("x")
print(made.path, flush=True)
if "stay" in sys.argv: time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files._sweep.cache_clear()
    yield tmp_path
    files._sweep.cache_clear()


def planted(place: Path, name: str = "jaxpad-tune-abcd1234.live") -> Path:
    """What a killed process has left an hour ago."""
    folder = place / name
    folder.mkdir()
    (folder / "file").write_text("x")
    os.utime(folder, (OLD, OLD))
    return folder


def test_gone_with_the_block(place: Path) -> None:
    with Folder("tune") as folder:
        assert folder.parent == place
        assert folder.name.startswith("jaxpad-tune-")
        (folder / "file").write_text("x")
    assert not list(place.iterdir())


def test_left_by_a_killed_process(place: Path) -> None:
    holder = child.python("-c", HOLDER, "stay")
    with child.start(holder, environ=environ(TMPDIR=str(place)), stdout=PIPE) as holding:
        assert holding.stdout
        left = Path(holding.stdout.readline().decode().strip())
        os.utime(left, (OLD, OLD))
        with Folder():
            assert left.is_dir(), "its process is there"
        os.kill(holding.pid, signal.SIGKILL)
        holding.wait()
    assert left.is_dir()
    files._sweep.cache_clear()
    with Folder():
        assert not left.exists()


def test_gone_with_a_process_that_forgets_it(place: Path) -> None:
    found = child.run(
        child.python("-W", "ignore", "-c", HOLDER), environ=environ(TMPDIR=str(place)), limit_s=30
    )
    assert found.code == 0
    assert not list(place.iterdir())


def test_leftover_is_swept(place: Path) -> None:
    left = [planted(place), planted(place, "jaxpad-abcd_234.live")]
    with Folder():
        assert not any(each.exists() for each in left)


@pytest.mark.parametrize(
    "name", ["jaxpad-mine", "jaxpad-src.live", "jaxpad-tune-ABCD1234.live", "other-abcd1234.live"]
)
def test_of_somebody_else_stays(place: Path, name: str) -> None:
    other = planted(place, name)
    with Folder():
        assert (other / "file").is_file()


def test_just_made_stays(place: Path) -> None:
    """Its maker has not locked it yet."""
    young = planted(place)
    os.utime(young)
    with Folder():
        assert young.is_dir()


def test_link_stays(place: Path) -> None:
    other = planted(place, "precious")
    (place / "jaxpad-tune-abcd1234.live").symlink_to(other)
    with Folder():
        assert (other / "file").is_file()


def test_of_another_user_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = planted(place)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with Folder():
        assert left.is_dir()
