"""The tables of a profile file, checked and turned into data."""

from __future__ import annotations

import math
import re

from jaxpad.profiles._model import EnvVar, Flag, Requires
from jaxpad.profiles._table import Table, kind
from jaxpad.profiles._versions import is_specifier, overlap

ARCHITECTURES = ("volta", "turing", "ampere", "ada", "hopper", "blackwell")
WORKLOADS = (
    *("dense", "transformer", "conv", "decode", "dp"),
    *("fsdp", "fsdp-2x8", "tp", "pp", "moe"),
)

# What profile.tune notes of the measurement that a profile comes from.
_MEASURED = (
    *("ratio", "low", "high", "workload", "workload_digest", "platform", "gpu", "device"),
    *("driver", "jaxlib", "date", "space", "space_digest", "baseline", "seed"),
)

_FLAG_NAME = re.compile(r"xla_[a-z0-9_]+")
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
# What XLA splits at or unquotes, and what a shell or a Dockerfile's ENV would expand.
_UNSAFE = re.compile(r"[^!-~]|[\"'\\$`]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"https?://[^\s/]+\.[^\s]+")
# Names that decide which code runs: a profile tunes, it does not inject.
_NOT_OURS = re.compile(r"XLA_FLAGS\w*|JAXPAD_\w*|(LD|DYLD|PYTHON)_?\w*|PATH|HOME|ENV|BASH_ENV|IFS")


def requires(table: Table) -> Requires:
    """The [requires] table. Raises UsageError for what it does not know."""
    table.only("architecture", "workload")
    return Requires(table.texts("architecture", ARCHITECTURES), table.texts("workload", WORKLOADS))


def flags(tables: tuple[Table, ...]) -> tuple[Flag, ...]:
    """The [[flag]] tables. Raises UsageError for a bad entry or one that is there twice."""
    seen: list[Flag] = []
    for table in tables:
        flag = _flag(table)
        _once(table, flag, seen)
        seen.append(flag)
    return tuple(seen)


def env(table: Table) -> tuple[EnvVar, ...]:
    """The [env] table. Raises UsageError for a bad entry or a name a profile may not set."""
    return tuple(_env_var(table, name) for name in table.items)


def measured(table: Table) -> tuple[tuple[str, str], ...]:
    """The [measured] table. Raises UsageError for an unknown name or what is no text or number."""
    table.only(*_MEASURED)
    for name, value in table.items.items():
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            table.refuse(f"{name} is {kind(value)}, expected a string or a number; mend it")
    return tuple((name, str(value)) for name, value in table.items.items())


def _flag(table: Table) -> Flag:
    table.only("name", "value", "why", "source", "jaxlib")
    name = table.text("name")
    if not _FLAG_NAME.fullmatch(name):
        table.refuse(
            f"name is {name!r}, expected xla_ and then a-z, 0-9 or _; write it without its dashes"
        )
    table = Table(table.path, f"{table.where} ({name})", table.items)
    return Flag(name, _value(table), table.text("why"), _source(table), _specifier(table))


def _once(table: Table, flag: Flag, seen: list[Flag]) -> None:
    for other in seen:
        shared = overlap(flag.jaxlib, other.jaxlib) if flag.name == other.name else None
        if shared is not None:
            table.refuse(
                f"{flag.name} is there twice, and jaxlib {shared} would take both; "
                "keep one, or give each a jaxlib range that leaves out the other's"
            )


def _value(table: Table) -> str:
    value = table.items.get("value")
    if value is None:
        table.refuse("value is missing; add value = … (a string may be empty)")
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float | str) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        what = "not finite" if isinstance(value, float) else kind(value)
        table.refuse(f"value is {what}, expected true, false, a number or a string; give one")
    unsafe = _UNSAFE.search(str(value))
    if unsafe:
        table.refuse(
            f"value {value!r} has {unsafe[0]!r} in it, expected printable ASCII with no space, "
            "quote, backslash, dollar or backtick; XLA or a shell would not read it whole"
        )
    return str(value)


def _specifier(table: Table) -> str:
    if "jaxlib" not in table.items:
        return ""
    text = table.text("jaxlib")
    if not is_specifier(text):
        table.refuse(f"jaxlib is {text!r}, expected a range of versions; write one like '>=0.8'")
    return text


def _source(table: Table) -> str:
    url = table.text("source")
    if not _URL.fullmatch(url):
        table.refuse(f"source is {url!r}, expected an http or https address; say where to read")
    return url


def _env_var(table: Table, name: str) -> EnvVar:
    if not _ENV_NAME.fullmatch(name):
        table.refuse(f"{name!r} is no variable's name, expected A-Z, 0-9 and _; rename it")
    if _NOT_OURS.fullmatch(name):
        table.refuse(f"{name} may not be set by a profile; put XLA's flags in [[flag]] tables")
    item = table.items[name]
    if not isinstance(item, dict):
        table.refuse(f"{name} is {kind(item)}, expected {{ value = …, why = …, source = … }}")
    entry = Table(table.path, f"[env] {name}", item)
    entry.only("value", "why", "source")
    return EnvVar(name, _env_value(entry), entry.text("why"), _source(entry))


def _env_value(table: Table) -> str:
    value = table.items.get("value")
    if not isinstance(value, str):
        given = "missing" if value is None else kind(value)
        table.refuse(f"value is {given}, expected a string; write it in quotes")
    control = _CONTROL.search(value)
    if control:
        table.refuse(f"value has the control character {control[0]!r} in it; take it out")
    return value
