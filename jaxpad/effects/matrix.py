"""Compute the installed jaxlib's part of the matrix."""

from __future__ import annotations

import datetime
import hashlib
import json
import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jaxpad import effects, flags, gpus, profiles, workloads
from jaxpad.core import files, host, paths
from jaxpad.core.results import UsageError
from jaxpad.effects import Cell, Outcome

# The matrix as plain data.

Effects = Mapping[str, Any]  # an Explanation as its `to_json` gives it


@dataclass(frozen=True)
class Build:
    """What one part of the matrix was computed with.

    `releases` are the packages that the answers hang on, `programs` how many different ones
    the cells compile to. `seconds` are those of all compiles added up, each on one core.
    """

    jaxlib: str
    releases: Mapping[str, str]
    date: str
    machine: str
    cells: int
    programs: int
    seconds: int


@dataclass(frozen=True)
class CellRow:
    """One cell: the digest of its program, or XLA's message where there is none."""

    jaxlib: str
    gpu: str
    workload: str
    flags: str
    digest: str = ""
    message: str = ""

    @classmethod
    def of(cls, jaxlib: str, cell: Cell, outcome: Outcome) -> CellRow:
        """The row of a cell and its outcome."""
        words = " ".join(cell.words)
        if outcome.program is None:
            return cls(jaxlib, cell.gpu, cell.workload, words, message=outcome.message)
        parts = outcome.program.digest.parts
        text = " ".join(f"{name}={part.digest}" for name, part in sorted(parts.items()))
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        return cls(jaxlib, cell.gpu, cell.workload, words, digest=digest)

    @property
    def cell(self) -> Cell:
        """The cell that this row is of."""
        return Cell(self.gpu, self.workload, tuple(self.flags.split()))


@dataclass(frozen=True)
class Matrix:
    """All cells, and what they say of each profile's flags, by jaxlib."""

    builds: tuple[Build, ...] = ()
    cells: tuple[CellRow, ...] = ()
    effects: tuple[Effects, ...] = ()

    def with_part(self, part: Matrix) -> Matrix:
        """The same with another's builds in place of those of the same jaxlibs."""
        new = {build.jaxlib for build in part.builds}
        return Matrix(
            tuple(
                sorted(
                    (*(b for b in self.builds if b.jaxlib not in new), *part.builds),
                    key=lambda build: build.jaxlib,
                )
            ),
            (*(c for c in self.cells if c.jaxlib not in new), *part.cells),
            (*(e for e in self.effects if e["jaxlib"] not in new), *part.effects),
        )

    def part(self, jaxlib: str) -> Matrix:
        """The part of one jaxlib; empty where there is none."""
        return Matrix(
            tuple(build for build in self.builds if build.jaxlib == jaxlib),
            tuple(cell for cell in self.cells if cell.jaxlib == jaxlib),
            tuple(row for row in self.effects if row["jaxlib"] == jaxlib),
        )

    def effects_of(self, profile: str, jaxlib: str | None = None) -> tuple[Effects, ...]:
        """What is known of a profile: one row a GPU, workload and jaxlib."""
        return tuple(
            row
            for row in self.effects
            if row["profile"] == profile and jaxlib in (None, row["jaxlib"])
        )


# The matrix as one JSON file, a row a line, so that a change to it can be read.

_FILE = "configs/xla/matrix.json"
COMMAND = "invoke profile.matrix"
_SCHEMA = 1


def kept() -> Path:
    """The matrix that is there, of the project or else jaxpad's own."""
    return paths.found(_FILE)


def place() -> Path:
    """Where the matrix is written unless told otherwise: the project's, else jaxpad's own."""
    return paths.roots()[0] / _FILE


def read(file: Path | None = None) -> Matrix:
    """The matrix in a file, default the project's, else jaxpad's own; empty where none is.

    Raises UsageError for a file that holds something else.
    """
    named, file = file is not None, file or kept()
    try:
        return _matrix(json.loads(files.read_plain(file, follow=not named).decode("utf-8")))
    except FileNotFoundError:
        return Matrix()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"{file} holds no matrix of this jaxpad ({type(error).__name__}); give another file, "
            f"or move it away and run `{COMMAND}`"
        ) from None


def write(matrix: Matrix, file: Path) -> None:
    """Put the matrix in a file, whole or not at all. Raises UsageError if it cannot be."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        files.write_whole(file, "".join(_lines(matrix)))
    except OSError as error:
        raise UsageError(
            f"{file} cannot be written ({error.strerror}); give another with --out"
        ) from None


def _matrix(plain: dict[str, Any]) -> Matrix:
    if plain["schema"] != _SCHEMA:
        raise ValueError
    return Matrix(
        builds=tuple(Build(**row) for row in plain["builds"]),
        cells=tuple(CellRow(**row) for row in plain["cells"]),
        effects=tuple(plain["effects"]),
    )


def _lines(matrix: Matrix) -> Iterable[str]:
    yield f'{{\n"schema": {_SCHEMA},\n"command": "{COMMAND}",\n'
    builds, cells = map(asdict, matrix.builds), (_short(asdict(one)) for one in matrix.cells)
    yield from _rows("builds", builds)
    yield ",\n"
    yield from _rows("cells", cells)
    yield ",\n"
    yield from _rows("effects", matrix.effects)
    yield "\n}\n"


def _rows(name: str, rows: Iterable[Any]) -> Iterable[str]:
    yield f'"{name}": [\n'
    yield ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    yield "\n]"


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value or name == "flags"}


# Which profile is explained for which GPU and workload.

# One GPU for each class of architecture that XLA tells apart.
GPUS = ("v100-sxm-32", "t4", "a100-sxm-80", "l4", "h100-sxm", "b200", "rtx-5090")
# What a profile for every workload is compiled for: one without collectives, one with.
EVERY = ("dense", "fsdp")
PEERS = "peers"


def shipped() -> tuple[str, ...]:
    """The names of jaxpad's own profiles."""
    return profiles.names()


def peers() -> tuple[str, ...]:
    """The names of the flag sets that others publish: `peers/NAME`."""
    return tuple(f"{PEERS}/{name}" for name in profiles.names(profiles.FOLDER / PEERS))


def questions(names: Iterable[str]) -> list[effects.Question]:
    """Each profile for each GPU and workload that it requires, where it has any flag.

    A profile that requires no workload is for `EVERY`.

    Raises UsageError as `profiles.load` does.
    """
    version = flags.jaxlib_version()
    found = [profiles.load(name) for name in names]
    described = [gpus.load(name) for name in GPUS]
    return [
        effects.Question(profile, gpu, workload)
        for profile in found
        if profiles.select(profile, version)
        for workload in map(workloads.load, profile.requires.workload or EVERY)
        for gpu in described
        if profile.requires.hold(gpu.architecture, workload.name)
    ]


def compute(
    names: Iterable[str],
    effort: effects.Effort | None = None,
    watcher: effects.Watcher | None = None,
) -> Matrix:
    """The matrix of these profiles with the installed jaxlib.

    Raises UsageError as `effects.explain_all` does, NoProgramError where a workload does not
    compile without flags.
    """
    version = flags.jaxlib_version()
    answers = effects.explain_all(questions(names), effort, watcher)
    cells = tuple(CellRow.of(version, *pair) for pair in answers.outcomes.items())
    build = Build(
        jaxlib=version,
        releases=effects.releases(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        machine=_machine(),
        cells=len(cells),
        programs=len({(one.gpu, one.workload, one.digest) for one in cells if one.digest}),
        seconds=_seconds(answers.outcomes),
    )
    rows = tuple(one.to_json() for one in answers.explanations)
    return Matrix((build,), cells, rows)


def _seconds(found: Mapping[effects.Cell, effects.Outcome]) -> int:
    """All compiles added up; cells that XLA reads alike were compiled once, to one program."""
    programs = {
        (cell.gpu, cell.workload, CellRow.of("", cell, one).digest, one.program.seconds)
        for cell, one in found.items()
        if one.program
    }
    return round(sum(seconds or 0 for *_, seconds in programs))


def _machine() -> str:
    facts = host.summary()
    return f"{facts['cpus']} CPU cores, {facts['memory']}, {facts['system']}"


# Compute part of the matrix again and hold it to what is kept.


@dataclass(frozen=True)
class Difference:
    """Where the matrix and the compiler part: a place, what is kept, what was found."""

    where: str
    kept: str
    found: str


@dataclass(frozen=True)
class Draw:
    """What is compiled again: how many questions of the shipped profiles, and of other cells.

    `questions` None stands for all. The same seed draws the same.
    """

    sample: int
    seed: int
    questions: int | None = None


def again(
    kept: Matrix,
    draw: Draw,
    effort: effects.Effort | None = None,
    watcher: effects.Watcher | None = None,
) -> tuple[Difference, ...]:
    """Compile the shipped profiles' own cells and some others with the installed jaxlib.

    Raises UsageError where the matrix has nothing of this jaxlib.
    """
    version = flags.jaxlib_version()
    part = kept.part(version)
    if not part.builds:
        raise UsageError(
            f"the matrix has no part of jaxlib {version}; compute it with `invoke profile.matrix`"
        )
    every = questions(shipped())
    asked = drawn(every, draw)
    more = _others(part, effects.cells(every), draw)
    answers = effects.explain_all(asked, effort, watcher, more=more)
    rows = (CellRow.of(version, *pair) for pair in answers.outcomes.items())
    told = [one.to_json() for one in answers.explanations]
    whole = len(asked) == len(every)
    return (*_cells(part, rows), *_effects(part, told, whole=whole))


def drawn(every: Sequence[effects.Question], draw: Draw) -> list[effects.Question]:
    """The questions that a draw asks: all, or so many.

    Each question brings in a workload, GPU or profile that no earlier one has, where there is
    one, so that a few cover all of them.
    """
    left = list(every)
    if draw.questions is None or draw.questions >= len(left):
        return left
    random.Random(draw.seed).shuffle(left)  # noqa: S311 - no secret
    taken: list[effects.Question] = []
    seen: set[tuple[str, ...]] = set()
    for _ in range(draw.questions):
        best = min(left, key=lambda one: [trait in seen for trait in _traits(one)])
        left.remove(best)
        taken.append(best)
        seen.update(_traits(best))
    return taken


def _traits(one: effects.Question) -> list[tuple[str, ...]]:
    """What it is of, the most telling first."""
    workload, gpu = one.workload.name, one.gpu.name
    return [("workload", workload), ("gpu", gpu), ("profile", one.profile.name)]


def _others(part: Matrix, own: Collection[effects.Cell], draw: Draw) -> Sequence[effects.Cell]:
    rest = sorted(
        (row.cell for row in part.cells if row.cell not in own),
        key=lambda cell: (cell.gpu, cell.workload, cell.words),
    )
    return random.Random(draw.seed).sample(  # noqa: S311 - no secret
        rest, min(draw.sample, len(rest))
    )


def _cells(part: Matrix, rows: Iterator[CellRow]) -> Iterator[Difference]:
    kept = {row.cell: row for row in part.cells}
    for row in rows:
        before = kept.get(row.cell)
        if before != row:
            where = f"{row.workload} on {row.gpu} with {row.flags or 'no flags'}"
            yield Difference(where, _said(before), _said(row))


def _said(row: CellRow | None) -> str:
    return "nothing" if row is None else row.message or f"program {row.digest}"


def _effects(
    part: Matrix, told: list[dict[str, Any]], *, whole: bool = True
) -> Iterator[Difference]:
    kept = {_place(row): dict(row) for row in part.effects}
    for row in told:
        before = kept.pop(_place(row), None)
        if before != row:
            yield Difference(_place(row), "other effects" if before else "nothing", str(row))
    for place, row in kept.items():
        if whole and row["profile"] in shipped():
            yield Difference(place, "effects", "no such question")


def _place(row: Mapping[str, object]) -> str:
    return f"profile {row['profile']}, {row['workload']} on {row['gpu']}"


# Whether the evidence is of the XLA that is installed.


def unproven(profile: profiles.Profile) -> str | None:
    """One sentence where nothing is kept of the profile's flags with the installed jaxlib.

    None where there is, or where it has no flags. Raises UsageError as `read` does.
    """
    version, seen = flags.jaxlib_version(), {build.jaxlib for build in read().builds}
    if version in seen or not profiles.select(profile, version):
        return None
    return (
        f"unproven here: what its flags do was seen with jaxlib {profiles.listed(sorted(seen))}, "
        f"not {version}; see it with jaxpad profile.explain"
    )
