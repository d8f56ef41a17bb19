"""The tasks of tasks.py as tables: what they are called, what they take, what they do."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke import Argument, Collection, Task


def tasks(home: Path) -> Iterator[tuple[str, Task[Any]]]:
    """Every task by the name it is called by, in the order of the alphabet."""
    spec = importlib.util.spec_from_file_location("_tasks_told", home / "tasks.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(home / "tasks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = Collection.from_module(module)
    for name in sorted(found.task_names):
        yield name, found[name]


def table(home: Path) -> str:
    """One row a task: its name, the first line of its docstring, its options' names."""
    rows = [
        f"| `{name}` | {says(task)} | {' '.join(f'`{flag(one)}`' for one in options(task))} |"
        for name, task in tasks(home)
    ]
    return "\n".join(["| command | does | options |", "| --- | --- | --- |", *rows]) + "\n"


def reference(home: Path) -> str:
    """A section a task, with what each option means."""
    return "\n".join(line for name, task in tasks(home) for line in _section(name, task)) + "\n"


def says(task: Task[Any]) -> str:
    """The first line of the docstring, without its full stop."""
    return (task.__doc__ or "").strip().splitlines()[0].rstrip(".")


def options(task: Task[Any]) -> list[Argument]:
    return sorted(task.get_arguments(), key=lambda one: str(one.name))


def flag(option: Argument) -> str:
    """An option as it is typed."""
    return f"--{option.name}".replace("_", "-")


def _section(name: str, task: Task[Any]) -> Iterator[str]:
    yield from ("", f"## {name}", "", f"{says(task)}.")
    if found := options(task):
        yield from ("", "| option | means |", "| --- | --- |")
        yield from (f"| `{_usage(one)}` | {_escaped(one.help or '')} |" for one in found)


def _usage(option: Argument) -> str:
    return flag(option) if option.kind is bool else f"{flag(option)} {_word(option)}"


def _word(option: Argument) -> str:
    return "N" if option.kind in (int, float) else str(option.name).upper()


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
