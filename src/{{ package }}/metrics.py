"""What a run tells while it goes: a line of JSON a step, and a progress bar."""

import json
import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@dataclass(frozen=True)
class Row:
    """One step: the loss in nats a byte, times in seconds."""

    step: int
    loss: float
    grad_norm: float
    tokens_per_second: float
    step_seconds: float
    device: str


class Metrics:
    """Appends to metrics.jsonl and moves the bar on standard error."""

    def __init__(self, folder: Path, done: int, steps: int) -> None:
        self._file = folder / "metrics.jsonl"
        _cut(self._file, done)
        text = TextColumn("loss {task.fields[loss]} · {task.fields[rate]}")
        columns = (BarColumn(), MofNCompleteColumn(), text, TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(file=sys.stderr))
        self._task = self._bar.add_task("", total=steps, completed=done, loss="-", rate="-")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def add(self, row: Row) -> None:
        """Write one step down."""
        with self._file.open("a") as file:
            file.write(json.dumps(asdict(row)) + "\n")
        told = {"loss": f"{row.loss:.3f}", "rate": f"{row.tokens_per_second:,.0f} tokens/s"}
        self._bar.update(self._task, completed=row.step, **told)  # type: ignore[arg-type]


def finite(row: Row) -> bool:
    """Whether training can go on from here."""
    return math.isfinite(row.loss) and math.isfinite(row.grad_norm)


def _cut(file: Path, done: int) -> None:
    """Leave out steps past the checkpoint that the run goes on from: they are done again."""
    if not file.exists():
        return
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if _step(line) <= done]
    half = file.with_suffix(".tmp")
    half.write_text("".join(kept))
    half.replace(file)


def _step(line: str) -> float:
    """The step of a line; a line that a crash cut short is past every step."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf
