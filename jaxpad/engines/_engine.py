"""What every engine can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxpad.engines._request import Run


@dataclass(frozen=True)
class Engine(ABC):
    """One program that runs containers."""

    program: str  # as found on PATH

    @property
    @abstractmethod
    def name(self) -> str:
        """docker, podman or apptainer."""

    @abstractmethod
    def run_argv(self, run: Run) -> list[str]:
        """The command that runs the container in the foreground and ends with its exit code."""
