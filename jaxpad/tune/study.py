"""The study file: every compile and every measurement, one JSON line each, as it comes.

So a run that is cut short, however hard, loses at most what it was in the middle of.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from jaxpad.core.results import UsageError
from jaxpad.tune.model import Candidate, Compiled, End, Fate, Measured, Pair, Ratio, Tuned

# What a tuning run knows as JSON, and back.


def plain_of(thing: Any) -> Any:
    """A dataclass of the model as JSON's own types; a candidate as a table of its flags."""
    if isinstance(thing, Candidate):
        return dict(thing.flags)
    if dataclasses.is_dataclass(thing):
        fields = dataclasses.fields(thing)
        return {field.name: plain_of(getattr(thing, field.name)) for field in fields}
    if isinstance(thing, dict):
        return {key: plain_of(value) for key, value in thing.items()}
    return [plain_of(one) for one in thing] if isinstance(thing, list | tuple) else thing


def compiled_from(given: dict[str, Any]) -> Compiled:
    """What `plain` made of a Compiled. Raises KeyError or TypeError for anything else."""
    own = {"candidate": Candidate.of(given["candidate"]), "fate": Fate(given["fate"])}
    return Compiled(**given | own)


def measured_from(given: dict[str, Any]) -> Measured:
    """What `plain` made of a Measured. Raises KeyError or TypeError for anything else."""
    ratio = given["ratio"]
    own = {
        "candidate": Candidate.of(given["candidate"]),
        "end": End(given["end"]),
        "ratio": Ratio(**ratio) if ratio else None,
        "pairs": tuple(Pair(**one) for one in given["pairs"]),
    }
    return Measured(**given | own)


FILE = "study.jsonl"
# What a study's results hang on: one of another is refused.
KEY = (
    *("workload", "workload_digest", "space_digest", "jaxlib", "platform", "gpu", "device"),
    *("baseline_flags", "seed"),
)
_NAMES = {
    "gpu": "GPU",
    "workload_digest": "workload's source",
    "space_digest": "space",
    "baseline_flags": "baseline",
}


class Study:
    """One study, open for this run alone.

    `compiled` holds what was compiled, by candidate; `measured` and `confirmed` what was
    measured, by the program's digest.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.compiled: dict[Candidate, Compiled] = {}
        self.measured: dict[str, Measured] = {}
        self.confirmed: dict[str, Measured] = {}
        self.notes: dict[str, Any] = {}

    def keep(self, kind: str, thing: Compiled | Measured) -> None:
        """Hold a result and write it down: kind is compiled, measured or confirmed."""
        self._hold(kind, thing)
        self._write({kind: plain_of(thing)})

    def note(self, name: str, value: Any) -> None:
        """Hold a fact of the study's own and write it down."""
        self.notes[name] = value
        self._write({"note": {name: value}})

    def read(self, row: Mapping[str, Any]) -> None:
        """Hold what one line of the file says."""
        for kind, given in row.items():
            if kind == "note":
                self.notes |= given
            else:
                parse = compiled_from if kind == "compiled" else measured_from
                self._hold(kind, parse(given))

    def _hold(self, kind: str, thing: Compiled | Measured) -> None:
        if isinstance(thing, Compiled):
            self.compiled[thing.candidate] = thing
        elif kind == "confirmed":
            self.confirmed[thing.digest] = thing
        else:
            self.measured[thing.digest] = thing

    def _write(self, row: Mapping[str, Any]) -> None:
        self._file.write(f"{json.dumps(row)}\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def key_digest(key: Mapping[str, str]) -> str:
    """SHA-256, in hexadecimal, of a study's key: what it is called by."""
    return hashlib.sha256(json.dumps(dict(key), sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def opened(folder: Path, key: Mapping[str, str]) -> Iterator[Study]:
    """The study in a folder, begun anew where there is none.

    `key` says what its results hang on. Raises UsageError where the file is of another one,
    is none of ours, is in use by another run, or cannot be written. It is then as it was.
    """
    path = folder / FILE
    with _locked(path) as file:
        file.seek(0)
        lines = file.read().splitlines(keepends=True)
        study = Study(file)
        if lines and not _whole(lines[-1]):  # cut off in the middle of a line
            lines = lines[:-1]
            file.truncate(sum(len(line.encode()) for line in lines))
        if lines:
            _require_same(path, _parsed(path, lines[0]).get("study"), key)
            for line in lines[1:]:
                _take(path, study, line)
        else:
            study._write({"study": dict(key)})
        yield study


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.fdopen(_plain(path), "a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be written ({error.strerror}); give another --out"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"{path}: another run is at work on this study; wait for it, or give another --out"
            ) from None
        yield file


LARGEST = 256 << 20  # bytes; a line is under 1 kB, and a space has at most some thousand programs


def _plain(path: Path) -> int:
    """Open what is a plain file, or is not there yet. Raises OSError for all else."""
    more = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | more, 0o666)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST:
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "not a plain file, or larger than a study can be")


def _whole(line: str) -> bool:
    if not line.endswith("\n"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _parsed(path: Path, line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{path}: no study of profile.tune; give another --out")
    return found


def _take(path: Path, study: Study, line: str) -> None:
    try:
        study.read(_parsed(path, line))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UsageError(
            f"{path}: has a line that this jaxpad does not read; give another --out"
        ) from None


def _require_same(path: Path, found: Any, key: Mapping[str, str]) -> None:
    if not isinstance(found, dict):
        raise UsageError(f"{path}: no study of profile.tune; give another --out")
    other = next((name for name in key if found.get(name) != key[name]), None)
    if other is not None:
        what = _NAMES.get(other, other)
        raise UsageError(
            f"{path}: a study of another {what} ({_short(found.get(other))}, and this run has "
            f"{_short(key[other])}); give another --out"
        )


def _short(value: Any) -> str:
    text = str(value or "none")
    return text[:12] if len(text) == 64 else text


# tune.json: a tuning run as data, described by tune.schema.json beside this file.

JSON_FILE = "tune.json"
SCHEMA = Path(__file__).parent / "tune.schema.json"
SCHEMA_VERSION = 1


def to_json(tuned: Tuned) -> dict[str, Any]:
    """The content of tune.json. `programs` counts the distinct ones, the baseline's included."""
    programs = {one.digest for one in tuned.compiled if one.digest}
    held = {key: value for key, value in plain_of(tuned).items() if key != "about"}
    return {
        "schema": SCHEMA_VERSION,
        "about": dict(tuned.about),
        "candidates": len(tuned.compiled),
        "programs": len(programs),
        **held,
    }


def from_json(given: dict[str, Any]) -> Tuned:
    """What `to_json` made. Raises KeyError or TypeError for anything else."""
    winner = given["winner"]
    return Tuned(
        about=given["about"],
        compiled=tuple(compiled_from(one) for one in given["compiled"]),
        measured=tuple(measured_from(one) for one in given["measured"]),
        confirmed=tuple(measured_from(one) for one in given["confirmed"]),
        winner=None if winner is None else Candidate.of(winner),
        seconds=given["seconds"],
    )


def text(tuned: Tuned) -> str:
    """tune.json's text. A ratio that is no number would be no JSON, and raises ValueError."""
    return json.dumps(to_json(tuned), indent=2, allow_nan=False) + "\n"
