"""The options that XLA compiles with, from its own dump in a child that compiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from jaxpad import paths
from jaxpad.core import child
from jaxpad.core.temporary import Folder
from jaxpad.flags._ask import complaint, last_line
from jaxpad.flags._schema import debug_options, decode
from jaxpad.profiles import ParsedFlag, parse

_CHILD = Path(__file__).with_name("_compile_child.py")
_NAMED = "*jaxpad_probe*.debug_options"
# Two children may share a GPU for a moment, and a hit in the cache would dump nothing.
_FOR_THE_PROBE = {
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
DUMP_FLAGS = ("xla_dump_to", "xla_dump_hlo_module_re")


class NoProofError(Exception):
    """No program could be compiled, or XLA wrote no dump: the reason."""


class LateError(NoProofError):
    """A child did not end in time: it hangs, or the machine is busy."""


@dataclass(frozen=True)
class Dump:
    """What one compile used (`dumped` holds only what is not the default) and what was read."""

    dumped: Any
    read: Any


def dump(environ: Mapping[str, str], timeout: float) -> Dump:
    """Compile in a child under this environment; the dump goes to a folder of its own.

    Raises NoProofError where JAX does not start, XLA refuses the flags or nothing is dumped,
    LateError where `timeout` (seconds) runs out.
    """
    with Folder("dump") as folder:
        text = with_dump(environ.get("XLA_FLAGS", ""), str(folder))
        sent = _compile({**environ, **_FOR_THE_PROBE, "XLA_FLAGS": text}, timeout)
        return Dump(_dumped(folder), decode(bytes.fromhex(sent)))


def with_dump(text: str, folder: str) -> str:
    """A flag string that dumps to a folder, whatever the given one holds.

    In front, where no stray token can cut it off; behind as well if the given string
    dumps on its own account, since the last one wins.
    """
    ours = f"{ParsedFlag(f'--xla_dump_to={folder}').quoted} --xla_dump_hlo_module_re=.*"
    dumps = any(flag.name in DUMP_FLAGS for flag in parse(text).flags)
    return f"{ours} {text} {ours}" if dumps else f"{ours} {text}"


def _dumped(folder: Path) -> Any:
    found = sorted(folder.glob(_NAMED))
    if not found:
        raise NoProofError("XLA wrote no dump of its options")
    text, empty = found[0].read_text(encoding="utf-8"), debug_options()()
    try:
        return text_format.Parse(text, empty, allow_unknown_field=True)
    except text_format.ParseError as error:
        raise NoProofError(f"XLA's dump of its options is not readable: {error}") from None


def _compile(environ: dict[str, str], timeout: float) -> str:
    argv = child.python("-W", "ignore", str(_CHILD))
    done = child.run(argv, environ=paths.importable(environ), limit_s=timeout)
    if done.late:
        raise LateError(f"the compile did not end within {timeout:g} s{done.note}")
    if done.code != 0:
        refused = "parse_flags_from_env" in done.err
        said = complaint(done.err) if refused else last_line(done.err)
        raise NoProofError(f"the compile failed (exit {done.code}): {said}")
    return done.out.splitlines()[-1]  # before it, whatever the site's own start-up prints
