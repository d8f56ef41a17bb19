"""What a profile file says, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Flag:
    """One XLA flag of a profile. `value` is spelled as XLA_FLAGS spells it."""

    name: str
    value: str
    why: str
    source: str
    jaxlib: str = ""  # a PEP 440 specifier; empty means every version

    @property
    def word(self) -> str:
        """The flag as it stands in XLA_FLAGS."""
        return f"--{self.name}={self.value}"


@dataclass(frozen=True)
class EnvVar:
    """One environment variable of a profile."""

    name: str
    value: str
    why: str
    source: str


@dataclass(frozen=True)
class Requires:
    """When a profile applies. Empty means always."""

    architecture: tuple[str, ...] = ()
    workload: tuple[str, ...] = ()

    def hold(self, architecture: str, workload: str) -> bool:
        """Whether they hold for a GPU of this architecture and a workload."""
        return architecture in (self.architecture or (architecture,)) and workload in (
            self.workload or (workload,)
        )


@dataclass(frozen=True)
class Profile:
    """A named set of XLA flags and environment variables: one TOML file.

    `name` is what `load` takes: the file's name without its ending for a shipped
    profile, the whole path for any other.
    """

    name: str
    path: Path
    description: str
    extends: tuple[str, ...] = ()
    requires: Requires = Requires()
    flags: tuple[Flag, ...] = ()
    env: tuple[EnvVar, ...] = ()
    measured: tuple[tuple[str, str], ...] = ()
