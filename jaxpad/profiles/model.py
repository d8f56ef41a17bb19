"""What a profile file says, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from jaxpad.core.results import UsageError
from jaxpad.core.text import did_you_mean, listed


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


# One TOML table, read with the words to say where a mistake is.

_KINDS = {bool: "a boolean", int: "a whole number", float: "a number", str: "a string"}


@dataclass(frozen=True)
class Table:
    """A table of a profile file: `where` is empty for the file itself."""

    path: Path
    where: str
    items: Mapping[str, Any]

    def refuse(self, problem: str) -> NoReturn:
        """Raise a UsageError that opens with the file and the table."""
        place = f"{self.path}: {self.where}: " if self.where else f"{self.path}: "
        raise UsageError(place + problem)

    def only(self, *known: str) -> None:
        """Refuse keys that are not known."""
        for key in self.items:
            if key not in known:
                hint = did_you_mean(key, known) or f"; expected {listed(known, 'or')}"
                self.refuse(f"unknown key {key!r}{hint}")

    def text(self, key: str) -> str:
        """A required string that says something."""
        value = self.items.get(key)
        if value is None:
            self.refuse(f'{key} is missing; add {key} = "…"')
        if not isinstance(value, str):
            self.refuse(f"{key} is {kind(value)}, expected a string; write it in quotes")
        if not value.strip():
            self.refuse(f"{key} is empty, expected words; say it or remove the entry")
        return value

    def texts(self, key: str, known: Iterable[str] = ()) -> tuple[str, ...]:
        """An optional list of strings, each among the known ones where those are given."""
        value = self.items.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.refuse(f'{key} is {kind(value)}, expected a list of strings such as ["…"]')
        for item in value if known else ():
            if item not in known:
                hint = did_you_mean(item, known) or f"; expected {listed(known, 'or')}"
                self.refuse(f"{key} names {item!r}, which is not known{hint}")
        return tuple(value)

    def table(self, key: str) -> Table:
        """An optional table, empty where it is absent."""
        value = self.items.get(key, {})
        if not isinstance(value, dict):
            self.refuse(f"{key} is {kind(value)}, expected a table; write [{key}] on its own line")
        return Table(self.path, f"[{key}]", value)

    def tables(self, key: str) -> tuple[Table, ...]:
        """An optional list of tables, named by their place in the file from 1."""
        value = self.items.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self.refuse(f"{key} is {kind(value)}, expected tables; head each with [[{key}]]")
        return tuple(
            Table(self.path, f"[[{key}]] number {place}", item)
            for place, item in enumerate(value, start=1)
        )


def kind(value: object) -> str:
    """What a TOML value is, in words."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list that holds something else" if value else "a list"
    return _KINDS.get(type(value), "a date or a time")


# The variables that a profile may set: it tunes, and decides neither which code runs nor where.
# Names as the shell matches them, each group with its reason.

ALLOWED = {
    "JAX_*": "JAX's own settings; `profile.check` has JAX read them",
    "XLA_*": "memory and the runtime of XLA's clients",
    "TF_*": "the allocator and the log of XLA, by TensorFlow's names",
    "NCCL_* OFI_NCCL_* SHARP_COLL_*": "protocols, channels and networks of collectives",
    "UCX_* FI_* NVSHMEM_*": "the transports below them",
    "CUDA_DEVICE_MAX_CONNECTIONS CUDA_DEVICE_ORDER CUDA_MODULE_LOADING CUDA_LAUNCH_BLOCKING "
    "CUDA_SCALE_LAUNCH_QUEUES CUDA_CACHE_MAXSIZE CUDA_CACHE_DISABLE": "queues and caches of CUDA",
    "NVTE_* NVIDIA_TF32_OVERRIDE CUBLAS_WORKSPACE_CONFIG CUBLASLT_WORKSPACE_SIZE": (
        "precision, workspace and kernels of NVIDIA's libraries"
    ),
    "OMP_* MKL_* OPENBLAS_*": "threads of the CPU's libraries",
}
DATA = ("NCCL_TOPO_FILE", "NCCL_GRAPH_FILE")  # files that are read as data alone
REFUSED = {
    "*XLA_FLAGS*": "put XLA's flags in [[flag]] tables",
    "JAX_PLATFORMS JAX_PLATFORM_NAME JAX_MOCK_*": "--platform says where JAX computes",
    "*PLUGIN *PLUGINS *LIBRARY *LIBRARIES *PATH *PATHS *MODULE *MODULES *COMMAND": (
        "a profile names no code that is to run; set it where you start the program"
    ),
    "*FILE *DIR *_TO *URL *ADDR *ADDRESS *SERVER *_COMM_ID *HOSTID": (
        "a profile names no file, folder or address; set it where you start the program"
    ),
}


def refusal(name: str) -> str:
    """Why a profile may not set a variable of this name, and what to do; empty: it may."""
    if name in DATA:
        return ""
    if why := next((why for names, why in REFUSED.items() if _is_one(name, names)), ""):
        return why
    if any(_is_one(name, names) for names in ALLOWED):
        return ""
    return "it is none of those that tune (docs/profiles.md); set it where you start the program"


def _is_one(name: str, names: str) -> bool:
    return any(fnmatchcase(name, each) for each in names.split())
