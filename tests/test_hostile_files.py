"""Files that are none, that never end or nest without end: one sentence and 2, for every option."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_nodes import healthy
from helpers import HOME, environ
from jaxpad import profiles
from jaxpad.core import codec, files, paths
from jaxpad.core.codec import Misfit
from jaxpad.core.results import UsageError
from jaxpad.effects import compilation, explanation
from jaxpad.effects.model import Outcome
from jaxpad.report import write
from test_report_samples import PASSED_CPU

BASE = HOME / "configs/profiles/base.toml"


def endless(path: Path) -> None:
    """A terabyte that takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(path))


KINDS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "socket": listening,
    "folder": Path.mkdir,
    "link": lambda path: path.symlink_to(BASE),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link in a circle": lambda path: path.symlink_to(path.name),
    "endless": endless,
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
    "NUL": lambda path: path.write_bytes(b"\0" * 1000),
    "nested lists": lambda path: path.write_text(f"x = {'[' * 100_000}"),
    "nested keys": lambda path: path.write_text(f"x{'.x' * 100_000} = 1"),
    "nested tables": lambda path: path.write_text(f"x = {'{x=' * 50_000}"),
    "digits": lambda path: path.write_text(f"x = {'9' * 200_000}"),
    "JSON": lambda path: path.write_text('{"a": ' * 50_000),
}
# Words of a command that names the file; {} is its place.
OPTIONS = {
    "profile": "profile.show --profile {}",
    "profile checked": "profile.check --profile {}",
    "GPU": "profile.explain --profile base --gpu {} --workload dense",
    "against": "profile.explain --profile base --gpu h100-sxm --workload dense --against {}",
    "bounds of health": "health --thresholds {}",
    "bounds of smoke": "smoke --dry-run --thresholds {}",
    "profile of smoke": "smoke --dry-run --profile {}",
    "bounds of fleet": "fleet --reports docs --out {out} --thresholds {}",
    "reports": "fleet --reports {} --out {out}",
    "space": "profile.tune --workload dense --platform cpu --dry-run --space {}",
    "profile of kernel": "kernel --dry-run --profile {}",
    "certificates": "build --dry-run --ca-bundle {}",
    "certificates of launch": "launch --dry-run --image x --engine docker --ca-bundle {}",
    "matrix": "profile.matrix --check --sample 0 --questions 1 --out {}",
}
# A folder is right there, or what is in the file is not looked at here.
TAKEN = {("reports", "folder"), *(("certificates of launch", kind) for kind in KINDS)} - {
    ("certificates of launch", kind)
    for kind in ("FIFO", "socket", "folder", "link to a device", "link in a circle")
}
RUN = """
import io, sys, contextlib
from jaxpad.cli.main import main
for line in sys.stdin.read().splitlines():
    sys.argv = ["jaxpad", *line.split()]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = main()
    print(code, repr(said.getvalue()), flush=True)
"""


@pytest.mark.parametrize("option", OPTIONS)
def test_file_that_is_none(option: str, tmp_path: Path) -> None:
    kinds = [kind for kind in KINDS if (option, kind) not in TAKEN]
    for kind in kinds:
        KINDS[kind](tmp_path / f"{kind.replace(' ', '-')}.toml")
    places = [str(tmp_path / f"{kind.replace(' ', '-')}.toml") for kind in kinds]
    lines = [OPTIONS[option].format(place, out=tmp_path / "out") for place in places]
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\n".join(lines),
        env=environ(),
        cwd=HOME,
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = done.stdout.splitlines()
    assert len(told) == len(kinds), done.stderr
    for kind, answer in zip(kinds, told, strict=True):
        code, _, said = answer.partition(" ")
        assert code == "2", f"{kind}: {answer}"
        assert said.count("\\n") == 1, f"{kind}: {said}"
        assert "jaxpad: " in said, f"{kind}: {said}"
        assert "Traceback" not in said, f"{kind}: {said}"


def test_plain_file_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100)
    assert files.read_plain(file, 100) == b"x" * 100
    with pytest.raises(files.NotPlain, match="larger than the 0 KiB"):
        files.read_plain(file, 99)
    link = tmp_path / "link"
    link.symlink_to(file)
    assert files.read_plain(link, follow=True) == b"x" * 100
    for odd in (link, tmp_path, Path("/dev/null"), "a\0b"):
        with pytest.raises(files.NotPlain):
            files.read_plain(odd)
    with pytest.raises(FileNotFoundError):
        files.read_plain(tmp_path / "none")


def test_file_that_grows_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10)
    before = os.fstat

    def grow(handle: int) -> os.stat_result:
        found = before(handle)
        file.write_bytes(b"x" * 1000)
        return found

    monkeypatch.setattr(os, "fstat", grow)
    with pytest.raises(files.NotPlain, match="larger"):
        files.read_plain(file, 100)


def test_shipped_file_may_be_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some installers make it; what somebody names by its path may not."""
    (tmp_path / "base.toml").symlink_to(BASE)
    with pytest.raises(UsageError, match="a symbolic link, not a plain file"):
        paths.read_toml(tmp_path / "base.toml")
    monkeypatch.setattr(paths, "HOME", tmp_path)
    assert paths.read_toml(tmp_path / "base.toml") == paths.read_toml(BASE)


PROFILE = 'description = "d"\nextends = [{extends}]\n'
FLAG = '[[flag]]\nname = "xla_{name}"\nvalue = "{value}"\nwhy = "w"\nsource = "https://x.org"\n'


def test_chain_of_extends(tmp_path: Path) -> None:
    for at in range(1500):
        (tmp_path / f"p{at}.toml").write_text(PROFILE.format(extends=f'"p{at + 1}"'))
    (tmp_path / "p1500.toml").write_text(PROFILE.format(extends=""))
    with pytest.raises(UsageError, match="extends goes more than 32 profiles deep"):
        profiles.layers(profiles.load(tmp_path / "p0.toml"))
    assert len(profiles.layers(profiles.load(tmp_path / "p1480.toml"))) == 21


@pytest.mark.parametrize("size", [5000, 200_000])
def test_value_is_too_long(size: int, tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text(PROFILE.format(extends="") + FLAG.format(name="a", value="x" * size))
    with pytest.raises(UsageError, match=f"value has {size:,} characters, expected at most 4,096"):
        profiles.load(file)


def test_values_are_too_many(tmp_path: Path) -> None:
    file = tmp_path / "many.toml"
    flags = "".join(FLAG.format(name=f"a{at}", value="x" * 4000) for at in range(20))
    file.write_text(PROFILE.format(extends="") + flags)
    with pytest.raises(UsageError, match=r"come to 80,\d+ characters, expected at most 65,536"):
        profiles.layers(profiles.load(file))


def test_environment_is_too_large(tmp_path: Path) -> None:
    """What the caller has and a profile adds is more than one variable may hold."""
    own = f"--xla_dump_to=/{'x' * 100_000}"
    file = tmp_path / "many.toml"
    flags = "".join(FLAG.format(name=f"a{at}", value="x" * 4000) for at in range(10))
    file.write_text(PROFILE.format(extends="") + flags)
    argv = [sys.executable, "-m", "jaxpad", "smoke", "--profile", str(file), "--out"]
    done = subprocess.run(
        [*argv, str(tmp_path / "out"), "-k", "temporary"],
        env=environ(XLA_FLAGS=own),
        cwd=HOME,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 2
    assert "shorten the longest, as XLA_FLAGS" in done.stderr


def test_log_on_stdin_never_ends() -> None:
    script = f"yes | {sys.executable} -m jaxpad pod --read"
    done = subprocess.run(
        ["bash", "-c", script], env=environ(), cwd=HOME, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "larger than 64 MiB" in done.stderr


# A cache entry is checked before it is believed.

SPOILT = ("[[1]]", "[" * 100_000, '{"message": 5}', '{"program": {}}', '{"program": 5}', "[]", "")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compilation.folder().mkdir(parents=True)
    return compilation.folder()


@pytest.mark.parametrize("text", SPOILT)
def test_spoilt_entry_is_passed_over(text: str, cache: Path) -> None:
    (cache / "key.json").write_text(text)
    assert compilation.stored("key") is None


def test_entry_that_is_no_file_is_passed_over(cache: Path) -> None:
    os.mkfifo(cache / "fifo.json")
    endless(cache / "endless.json")
    (cache / "device.json").symlink_to("/dev/zero")
    for key in ("fifo", "endless", "device"):
        assert compilation.stored(key) is None
        assert compilation.get(key) is None


def test_entry_is_kept(cache: Path) -> None:
    compilation.store("key", Outcome(message="it broke", lasting=True))
    assert compilation.stored("key") == Outcome(message="it broke")
    assert stat.S_ISREG((cache / "key.json").lstat().st_mode)


@pytest.mark.parametrize(
    "kept",
    [[[1]], [["xla_x", "no effect"]], [["xla_x", "odd", ""]], [["xla_y", "", ""]], [[1, 2, 3]], {}],
)
def test_spoilt_answers_are_asked_anew(kept: object) -> None:
    assert not explanation._are_answers(kept, ("--xla_x=1",))
    assert explanation._are_answers([["xla_x", "", ""]], ("--xla_x=1",))


def test_codec_reads_a_mapping_that_may_be_missing() -> None:
    read = codec._reader(dict[str, int] | None)
    assert read({"a": 1}) == {"a": 1}
    assert read(None) is None
    with pytest.raises(Misfit):
        read({"a": "x"})


# What is written: names of the system's, swept where their writer was killed.


def test_unfinished_files_have_names_of_their_own(tmp_path: Path) -> None:
    """Two containers may both be process 1, and write into one folder."""
    code = (
        "import os, sys; os.getpid = lambda: 1\n"
        "from pathlib import Path; from jaxpad.core.files import replace_all, write_whole\n"
        "for at in range(200):\n"
        "    replace_all(Path(sys.argv[1]), {'a.json': sys.argv[2] * 5000, 'b': 'x'})\n"
        "    write_whole(Path(sys.argv[1]) / 'c', sys.argv[2] * 5000)\n"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen([*argv, letter], env=environ(), cwd=HOME) for letter in "pq"]
    wanted = {"p" * 5000, "q" * 5000}
    while any(writer.poll() is None for writer in writers):
        for name in ("a.json", "c"):
            if (tmp_path / name).exists():
                assert (tmp_path / name).read_text() in wanted
    assert [writer.returncode for writer in writers] == [0, 0]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.json", "b", "c"]


def test_unfinished_file_of_a_killed_writer_is_swept(tmp_path: Path) -> None:
    left = tmp_path / ".a.json.0123456789abcdef.tmp"
    others = (tmp_path / ".a.json.mine.tmp", tmp_path / ".b.json.0123456789abcdef.tmp")
    for file in (left, *others):
        file.write_text("half")
        os.utime(file, (time.time() - 100,) * 2)
    files.replace_all(tmp_path, {"a.json": "whole"})
    assert not left.exists()
    assert all(file.exists() for file in others)


def test_unfinished_file_in_work_stays(tmp_path: Path) -> None:
    """It is locked, however slow the disk."""
    file = tmp_path / "a.json"
    with files._beside(file) as unfinished:
        os.utime(unfinished, (time.time() - 100,) * 2)
        files.write_whole(file, "of another")
        assert unfinished.exists()


# One folder, one run.


def test_second_run_is_told(tmp_path: Path) -> None:
    with files.claimed(tmp_path / "out"):
        for words in (
            ["smoke", "-k", "temporary", "--out", str(tmp_path / "out")],
            ["fleet", "--reports", str(HOME / "docs"), "--out", str(tmp_path / "out")],
        ):
            argv = [sys.executable, "-m", "jaxpad", *words]
            done = subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True)
            assert done.returncode == 2
            assert done.stderr == (
                f"jaxpad: another run is writing into {tmp_path / 'out'}: wait for its end, or "
                "name another folder with --out\n"
            )
    assert list((tmp_path / "out").iterdir()) == []


def test_claim_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from jaxpad.core.files import claimed\n"
        "with claimed(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, env=environ(), cwd=HOME, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(UsageError, match="another run"), files.claimed(tmp_path):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with files.claimed(tmp_path):
            pass


def taken_away(out: Path, how: str) -> None:
    """As soon as there is a whole report: before that nothing was run, and none is lost."""
    while not all((out / name).exists() for name in ("smoke.json", "report.html", "junit.xml")):
        time.sleep(0.01)
    out.rename(out.with_name("moved"))
    if how == "a file":
        out.write_text("in its place")


@pytest.mark.parametrize("how", ["a file", "nothing"])
def test_folder_that_is_taken_away_costs_no_result(how: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "jaxpad", "smoke", "-k", "pytrees", "--json", "--out", str(out)]
    thief = threading.Thread(target=taken_away, args=(out, how), daemon=True)
    thief.start()
    done = subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True)
    thief.join(10)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "pass"
    assert "Pass" in done.stderr
    if how == "a file":
        assert f"cannot write the report to {out} (" in done.stderr
        assert out.read_text() == "in its place"
    else:
        assert json.loads((out / "smoke.json").read_text())["verdict"] == "pass"


def test_fleet_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The folder can be made, and a file in it not."""
    healthy(tmp_path / "reports", ["n0", "n1"])
    (tmp_path / "out/fleet.html").mkdir(parents=True)
    argv = [sys.executable, "-m", "jaxpad", "fleet", "--reports", str(tmp_path / "reports")]
    done = subprocess.run(
        [*argv, "--out", str(tmp_path / "out")],
        env=environ(),
        cwd=HOME,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 3)
    assert "nodes" in done.stdout
    assert done.stderr.startswith("jaxpad: cannot write the report to ")


# `report` writes what it makes, and nothing else.


@pytest.fixture
def reported(tmp_path: Path) -> Path:
    write(PASSED_CPU, tmp_path)
    return tmp_path


def report(folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "report", "--dir", str(folder)]
    return subprocess.run(argv, env=environ(), cwd=HOME, capture_output=True, text=True, timeout=60)


def test_report_leaves_its_input(reported: Path) -> None:
    file = reported / "smoke.json"
    text = json.dumps(json.loads(file.read_text()))  # the same content in other bytes
    file.write_text(text)
    before = file.stat()
    assert report(reported).returncode == 0
    after = file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert file.read_text() == text


def test_report_mends_no_verdict(reported: Path) -> None:
    file = reported / "smoke.json"
    text = file.read_text().replace('"verdict": "pass"', '"verdict": "fail"', 1)
    file.write_text(text)
    (reported / "report.html").unlink()
    done = report(reported)
    assert done.returncode == 2
    assert "says 'fail' where its checks come to 'pass'" in done.stderr
    assert file.read_text() == text
    assert not (reported / "report.html").exists()


@pytest.mark.parametrize("name", ["smoke.json", "traces.json"])
@pytest.mark.parametrize("kind", ["FIFO", "socket", "folder", "link to a device", "endless"])
def test_report_of_no_file(name: str, kind: str, reported: Path) -> None:
    (reported / name).unlink(missing_ok=True)
    KINDS[kind](reported / name)
    done = report(reported)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
