"""Reports that anybody may have left there: named, set aside, never followed, never fatal."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_nodes import put, report
from helpers import environ
from jaxpad import fleet
from jaxpad.core.results import UsageError, Verdict
from jaxpad.fleet import digest, gathering, untrusted
from jaxpad.report import to_json

GOOD = json.dumps(to_json(report("n0")))


def changed(**fields: object) -> str:
    return json.dumps(json.loads(GOOD) | fields)


def first_number(text: str) -> str:
    """A good report with `text` for its first number."""
    seconds = json.loads(GOOD)["seconds"]
    return GOOD.replace(f'"seconds": {seconds}', f'"seconds": {text}', 1)


CONTENTS: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "it is no JSON"),
    "cut short": (GOOD[: len(GOOD) // 2], "it is cut short"),
    "cut in a string": (GOOD[:30], "it is cut short"),
    "not UTF-8": (GOOD.encode().replace(b"n0", b"n\xff"), "it is no JSON"),
    "UTF-16": (GOOD.encode("utf-16"), "it is no JSON"),
    "a list": ("[]", "schema None"),
    "a word": ('"smoke"', "schema None"),
    "null": ("null", "schema None"),
    "old schema": (changed(schema=1), "this report has schema 1 and this jaxpad reads schema 2"),
    "new schema": (changed(schema=99), "schema 99"),
    "schema of another type": (changed(schema={"a": [1]}), "schema {'a': [1]}"),
    "no checks": (changed(checks=None), "report.checks is None"),
    "unknown field": (changed(virus=1), "report.virus is not a field"),
    "another verdict": (changed(verdict="fail"), "it says 'fail' where its checks come to 'pass'"),
    "a list of checks of numbers": (changed(checks=[1]), "report.checks[0] is not an object"),
    "NaN": (first_number("NaN"), "it holds NaN"),
    "Infinity": (first_number("-Infinity"), "it holds -Infinity"),
    "huge number": (first_number("1e999"), "it holds 1e999, which is too large a number"),
    "huge whole number": (first_number("9" * 400), "it holds a number of 400 digits"),
    "number without end": (first_number("9" * 2_000_000), "it holds a number of 2,000,000 digits"),
    "deep lists": ("[" * 5_000_000, "nested over 32 deep"),
    "deep objects": ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested over 32 deep"),
    "just too deep": ("[" * 33 + "]" * 33, "nested over 32 deep"),
    "many values": ("[" + "0," * 1_000_001 + "0]", "more than 1,000,000 values"),
    "oversize": (b" " * (untrusted.LIMIT + 1), "has 16,777,217 bytes, over the 16 MiB it may have"),
    "text after it": (GOOD + GOOD, "it is no JSON"),
}


@pytest.mark.parametrize("name", CONTENTS)
def test_content_is_set_aside(name: str, tmp_path: Path) -> None:
    content, why = CONTENTS[name]
    put(tmp_path, "n0", report("n0"))
    file = put(tmp_path, "n1", content)
    found = fleet.merge(tmp_path)
    (aside,) = found.set_aside
    assert aside.folder == "n1"
    assert why in aside.why
    assert len(aside.why) < 400
    assert [node.verdict for node in found.nodes] == [Verdict.PASS, Verdict.INCONCLUSIVE]
    assert found.verdict is Verdict.INCONCLUSIVE
    with pytest.raises(fleet.Refused) as caught:
        fleet.read_node(file)
    assert why in str(caught.value)


def test_names_in_values_are_text(tmp_path: Path) -> None:
    """A hostile word where text belongs is kept as text; the page escapes it (see the browser)."""
    put(tmp_path, "n0", changed(node="<script>alert(1)</script>\x1b[31m", profile="$(reboot)"))
    found = fleet.merge(tmp_path)
    assert not found.set_aside
    assert found.verdict is Verdict.PASS


def fifo(path: Path) -> None:
    os.mkfifo(path)


def link_to_secret(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def link_to_report(path: Path) -> None:
    path.symlink_to(put(path.parent.parent, "n0", report("n0")))


def dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def folder(path: Path) -> None:
    path.mkdir()


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # a path of its own may be too long for a socket


def device(path: Path) -> None:
    """/dev/zero, which never ends."""
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices cannot be made here")


KINDS: dict[Callable[[Path], None], str] = {
    fifo: "a FIFO",
    link_to_secret: "a symbolic link",
    link_to_report: "a symbolic link",
    dangling: "a symbolic link",
    folder: "a folder",
    unix_socket: "a socket",
    device: "a device",
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_kind_of_file_is_set_aside(make: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "n1").mkdir()
    make(tmp_path / "n1" / "smoke.json")
    begun = time.monotonic()
    found = fleet.merge(tmp_path)
    assert time.monotonic() - begun < 5
    (aside,) = found.set_aside
    assert aside.why == f"smoke.json is {KINDS[make]}, not a plain file"
    with pytest.raises(fleet.Refused, match=KINDS[make]):
        fleet.read_node(tmp_path / "n1" / "smoke.json")


@pytest.mark.parametrize(
    "make", [make for make in KINDS if make is not folder], ids=lambda make: make.__name__
)
def test_kind_of_folder_is_set_aside(make: Callable[[Path], None], tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    make(reports / "n1")
    found = fleet.merge(reports)
    (aside,) = found.set_aside
    assert (aside.folder, aside.why) == ("n1", f"it is {KINDS[make]}, not a folder")


def test_folder_swapped_for_a_link_is_not_followed(tmp_path: Path) -> None:
    """It was a folder when the names were read."""
    put(tmp_path / "elsewhere", "n0", report("n0"))
    (tmp_path / "n0").symlink_to(tmp_path / "elsewhere" / "n0")
    (answer,) = digest.read(str(tmp_path), ["n0"])
    assert isinstance(answer, fleet.Refused)
    assert "symbolic link" in answer.why


@pytest.fixture
def interrupted_read(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`interrupted_read(act)` does `act` after the first bytes of a file were read."""
    read, acts = os.read, list[Callable[[], object]]()

    def slow(handle: int, count: int) -> bytes:
        part = read(handle, min(count, 100))
        if acts:
            acts.pop()()
        return part

    monkeypatch.setattr(os, "read", slow)
    return acts.append


def test_file_replaced_while_read(tmp_path: Path, interrupted_read: Callable[..., None]) -> None:
    file = put(tmp_path, "n0", GOOD)
    other = put(tmp_path / "new", "n0", GOOD)
    interrupted_read(lambda: other.replace(file))
    with pytest.raises(fleet.Refused, match="changed while it was read; merge again"):
        fleet.read_node(file)


def test_file_written_while_read(tmp_path: Path, interrupted_read: Callable[..., None]) -> None:
    file = put(tmp_path, "n0", GOOD)
    interrupted_read(lambda: file.write_text(GOOD[:200]))
    with pytest.raises(fleet.Refused, match="changed while it was read"):
        fleet.read_node(file)


def test_file_that_grows_without_end(
    tmp_path: Path, interrupted_read: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untrusted, "LIMIT", len(GOOD) + 1000)
    file = put(tmp_path, "n0", GOOD)
    interrupted_read(lambda: file.write_text(GOOD + " " * 2000))
    with pytest.raises(fleet.Refused, match="grew over"):
        fleet.read_node(file)


def test_fifo_with_a_writer_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "n0").mkdir()
    file = tmp_path / "n0" / "smoke.json"
    os.mkfifo(file)
    writer = os.open(file, os.O_RDWR)  # a writer that keeps its end open
    try:
        os.write(writer, GOOD.encode()[:4000])
        assert len(fleet.merge(tmp_path).set_aside) == 1
    finally:
        os.close(writer)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "n0", GOOD)

    def refused(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", refused)
    (aside,) = fleet.merge(tmp_path).set_aside
    assert aside.why == "smoke.json cannot be read (Input/output error)"


NAMES = {
    "bad\nname": "bad name",
    "..\n": ".. ",  # hidden names are passed over, and this is one
    "red\x1b[31m": "red",
    "a b": "a b",
    "-rf": "-rf",
    "n0;reboot": "n0;reboot",
    "$(reboot)": "$(reboot)",
    "<script>alert(1)<": "<script>alert(1)<",
    "n_0": "n_0",
    "x" * 64: "x" * 64,
    "n0-": "n0-",
    "n0.": "n0.",
    "\u202egnp.exe": "\ufffdgnp.exe",
    "n\u0660": "n\u0660",
}


@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith(".")], ids=ascii)
def test_folder_name_is_set_aside(name: str, tmp_path: Path) -> None:
    put(tmp_path, name, report("n0"))
    found = fleet.merge(tmp_path)
    (aside,) = found.set_aside
    assert aside.folder == NAMES[name]
    assert "RFC 1123" in aside.why
    assert found.nodes == ()
    assert found.verdict is Verdict.INCONCLUSIVE


def test_folder_name_of_bytes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"n\xff")).mkdir()
    (aside,) = fleet.merge(tmp_path).set_aside
    assert aside.folder == "n\ufffd"


def test_hidden_and_plain_files_are_nobodys(tmp_path: Path) -> None:
    put(tmp_path, "..\n", report("n0"))
    put(tmp_path, ".snapshot", "{")
    (tmp_path / "fleet.json").write_text("{}")
    put(tmp_path, "n0", report("n0"))
    found = fleet.merge(tmp_path)
    assert not found.set_aside
    assert [node.name for node in found.nodes] == ["n0"]


def names_aside(root: Path) -> dict[str, str]:
    return {aside.folder: aside.why for aside in fleet.merge(root).set_aside}


def test_duplicate_keeps_the_one_that_is_named_so(tmp_path: Path) -> None:
    for name in ("n0", "n1", "n2"):
        put(tmp_path, name, GOOD)
    why = "the same report, byte for byte, lies in n0"
    assert names_aside(tmp_path) == {"n1": why, "n2": why}


def test_duplicate_of_nobody_known(tmp_path: Path) -> None:
    for name in ("n1", "n2"):
        put(tmp_path, name, GOOD)
    assert names_aside(tmp_path).keys() == {"n1", "n2"}


def test_report_of_another_node(tmp_path: Path) -> None:
    put(tmp_path, "n0", report("n0"))
    put(tmp_path, "n1", changed(node="n0.example.org"))
    assert names_aside(tmp_path) == {
        "n1": "it is a report of n0.example.org, which has a folder of its own"
    }


def test_hostname_of_a_container_is_no_other_node(tmp_path: Path) -> None:
    for name in ("n0", "n1"):
        put(tmp_path, name, changed(node="localhost", started=f"2026-05-04T12:00:00+00:00{name}"))
    assert names_aside(tmp_path) == {}


def test_names_that_differ_in_case(tmp_path: Path) -> None:
    for name in ("n0", "N0"):
        put(tmp_path, name, report(name))
    assert names_aside(tmp_path).keys() == {"n0", "N0"}


def test_more_numbers_than_a_node_can_have(tmp_path: Path) -> None:
    content = json.loads(GOOD)
    one = content["checks"][0]
    numbers = [
        {"name": f"x{at}", "value": 1, "unit": "", "spread": None, "gate": None, "source": None}
        for at in range(20_001)
    ]
    content["checks"][0] = one | {"measurements": numbers}
    put(tmp_path, "n0", json.dumps(content))
    assert names_aside(tmp_path) == {"n0": "it holds more than 20,000 rates and measurements"}


KILLED = """
import os, sys
from jaxpad.fleet import __main__ as worker
read = worker.read
worker.read = lambda root, names: os.kill(os.getpid(), 9) if "n3" in names else read(root, names)
worker.main()
"""


def test_report_that_kills_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kernel kills for want of memory: the report is found out, the others are read."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "killed.py").write_text(KILLED)
    for at in range(6):
        put(tmp_path / "reports", f"n{at}", report(f"n{at}", 1))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"), prepend=os.pathsep)
    monkeypatch.setattr(gathering, "FEW", 2)
    monkeypatch.setattr(gathering, "CHUNK", 2)
    monkeypatch.setattr(gathering, "MODULE", "killed")
    found = fleet.merge(tmp_path / "reports")
    assert [(a.folder, a.why) for a in found.set_aside] == [
        ("n3", "it ended the process that read it")
    ]
    assert len(found.nodes) == 6


def test_caller_may_come_from_stdin(tmp_path: Path) -> None:
    """No script, no guard: multiprocessing could not start a worker."""
    for at in range(201):
        put(tmp_path, f"n{at}", report(f"n{at}", 1)) if at < 3 else (tmp_path / f"n{at}").mkdir()
    script = (
        "from pathlib import Path; from jaxpad import fleet\n"
        f"print(fleet.merge(Path({str(tmp_path)!r})).counts)"
    )
    done = subprocess.run(
        [sys.executable], input=script, env=environ(), capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "'pass': 3" in done.stdout


def test_workers_and_none_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for at in range(5):
        put(tmp_path, f"n{at}", report(f"n{at}", 1))
    put(tmp_path, "n5", "{")
    alone = fleet.merge(tmp_path)
    monkeypatch.setattr(gathering, "FEW", 0)
    monkeypatch.setattr(gathering, "CHUNK", 2)
    together = fleet.merge(tmp_path)
    assert together.nodes == alone.nodes
    assert together.distributions == alone.distributions
    assert together.set_aside == alone.set_aside


def read_or_refused(file: Path) -> str:
    try:
        return fleet.read_node(file).node
    except fleet.Refused as refused:
        return refused.why


def test_nothing_waits_with_many_writers(tmp_path: Path) -> None:
    """Reports that are written anew all the time, as jaxpad does it, are read whole or refused."""
    file, stop = put(tmp_path, "n0", GOOD), threading.Event()

    def write() -> None:
        while not stop.is_set():
            fresh = put(tmp_path / ".new", "n0", GOOD)
            fresh.replace(file)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(50):
            assert read_or_refused(file) in ("n0", "smoke.json changed while it was read")
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("path", ["nowhere", "n0/smoke.json", "a\0b"])
def test_folder_that_is_none(path: str, tmp_path: Path) -> None:
    put(tmp_path, "n0", GOOD)
    with pytest.raises(UsageError, match=r"--reports .*; give the folder that holds one folder a"):
        fleet.merge(tmp_path / path)


def test_read_node_of_no_smoke_json(tmp_path: Path) -> None:
    with pytest.raises(fleet.Refused, match=r"there is no .*smoke\.json"):
        fleet.read_node(tmp_path / "smoke.json")
    with pytest.raises(fleet.Refused, match=r"is no smoke\.json; give the path"):
        fleet.read_node(tmp_path / "fleet.json")
