"""Whether the flags in XLA_FLAGS are those a program is really compiled with."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from jaxpad.core import child
from jaxpad.core.files import Folder
from jaxpad.flags.parser import complaint, last_line, read
from jaxpad.flags.schema import agrees, debug_options, decode, lists, present, values
from jaxpad.profiles import ParsedFlag, parse

# The options that XLA compiles with, from its own dump in a child that compiles.

_CHILD = Path(__file__).with_name("compile_child.py")
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
    done = child.run(argv, environ=child.importable(environ), limit_s=timeout)
    if done.late:
        raise LateError(f"the compile did not end within {timeout:g} s{done.note}")
    if done.code != 0:
        refused = "parse_flags_from_env" in done.err
        said = complaint(done.err) if refused else last_line(done.err)
        raise NoProofError(f"the compile failed (exit {done.code}): {said}")
    return done.out.splitlines()[-1]  # before it, whatever the site's own start-up prints


# What each flag asks of XLA's options, read by XLA itself, one flag at a time.


@dataclass(frozen=True)
class Expected:
    """Option values: with no flag, with all, with each flag alone, and with all but it."""

    default: dict[str, str]
    whole: dict[str, str]
    alone: tuple[dict[str, str], ...]
    without: tuple[dict[str, str], ...]

    def touched(self, place: int, name: str) -> frozenset[str]:
        """The options that the flag at a place sets: its own, or the one it stands for."""
        changed = {o for o, value in self.alone[place].items() if value != self.default[o]}
        return frozenset(changed | ({name} & self.default.keys()))


def expect(flags: Sequence[ParsedFlag], timeout: float) -> Expected:
    """Ask XLA, in one child, what these flags mean. Each is quoted, so that none is cut.

    Raises NoProofError where XLA refuses them, LateError where it does not answer in
    `timeout` seconds.
    """
    words = [flag.quoted for flag in flags]
    without = [" ".join(words[:place] + words[place + 1 :]) for place in range(len(words))]
    readings = read(["", " ".join(words), *words, *without], timeout)
    refused = next((reading for reading in readings if not reading.ok), None)
    if refused:
        error = LateError if refused.late else NoProofError
        raise error(complaint(refused.message))
    default, whole, *rest = (values(decode(reading.options)) for reading in readings)
    return Expected(default, whole, tuple(rest[: len(words)]), tuple(rest[len(words) :]))


# Hold what a program was compiled with to what its flags ask for.


class Status(enum.StrEnum):
    """What became of one flag."""

    IN_EFFECT = "in effect"
    NOT_IN_EFFECT = "not in effect"
    OUTWEIGHED = "outweighed"  # by a later flag for the same option
    NOT_VISIBLE = "not visible"  # accepted, but no option shows it


@dataclass(frozen=True)
class FlagInEffect:
    """One flag of XLA_FLAGS: the option's value it asks for, and the one compiled with."""

    name: str
    value: str
    status: Status
    expected: str = ""
    found: str = ""


def in_force(dump: Dump, expected: Expected) -> dict[str, str]:
    """Every option's value in a compile: the dump's, or the default where it is left out."""
    held, dumped, as_read = present(dump.dumped), values(dump.dumped), values(dump.read)
    emptied = {name for name in lists(dump.dumped) - held if not as_read[name]}
    return {
        name: dumped[name] if name in held else "" if name in emptied else default
        for name, default in expected.default.items()
    }


def judge(
    flags: Sequence[ParsedFlag], expected: Expected, found: Mapping[str, str]
) -> tuple[FlagInEffect, ...]:
    """What became of each flag, in their order."""
    touched = [expected.touched(place, flag.name) for place, flag in enumerate(flags)]
    return tuple(
        FlagInEffect(
            flag.name,
            flag.value if flag.value is not None else "true",  # only a bool may go without
            *_status(place, flag, touched, expected, found),
        )
        for place, flag in enumerate(flags)
    )


def _status(
    place: int,
    flag: ParsedFlag,
    touched: Sequence[frozenset[str]],
    expected: Expected,
    found: Mapping[str, str],
) -> tuple[Status, str, str]:
    """A flag's status, and the value it asks for and the one found of the option that decides."""
    options = touched[place]
    if not options or flag.name in DUMP_FLAGS:  # the check itself sets the latter
        return Status.NOT_VISIBLE, "", ""
    if expected.alone[place] == expected.default and not agrees(
        flag.value, flag.name, expected.default[flag.name]
    ):  # it asks for a change and XLA makes none, as with xla_cpu_enable_fast_min_max=true
        return Status.NOT_IN_EFFECT, flag.value or "true", found[flag.name]
    wrong = {name for name in options if found[name] != expected.whole[name]}
    changed = {o for o in options if expected.alone[place][o] != expected.default[o]}
    shown = min(wrong or ({flag.name} & changed) or changed or options)
    status = Status.OUTWEIGHED if _is_outweighed(place, touched, expected) else Status.IN_EFFECT
    return Status.NOT_IN_EFFECT if wrong else status, expected.whole[shown], found[shown]


def _is_outweighed(place: int, touched: Sequence[frozenset[str]], expected: Expected) -> bool:
    """Whether a later flag sets the same option so that this one has no say."""
    later = frozenset[str]().union(*touched[place + 1 :])
    return bool(touched[place] & later) and expected.without[place] == expected.whole


def extra(expected: Expected, found: Mapping[str, str], usual: Mapping[str, str]) -> dict[str, str]:
    """Options that differ from what the flags ask for, and from what JAX sets anyway."""
    touched = {o for o, value in expected.whole.items() if value != expected.default[o]}
    return {
        name: value
        for name, value in found.items()
        if name not in touched | set(DUMP_FLAGS)
        and value not in (expected.whole[name], usual[name])
    }


@dataclass(frozen=True)
class Effective:
    """The proof for a whole XLA_FLAGS.

    `extra` holds options that no flag explains, `stray` the token at which XLA stopped
    reading, `error` why nothing could be compiled; then there are no flags. `late`: it is
    that a child did not end in time.
    """

    flags: tuple[FlagInEffect, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    stray: str | None = None
    error: str = ""
    late: bool = False

    @property
    def ok(self) -> bool:
        """Whether every flag is in effect, as far as it can be seen, and nothing else is."""
        return not self.message

    @property
    def message(self) -> str:
        """What is wrong, in one sentence; empty where nothing is."""
        if self.error:
            return self.error
        lost = [flag for flag in self.flags if flag.status is Status.NOT_IN_EFFECT]
        parts = [f"XLA stops reading XLA_FLAGS at {self.stray!r}"] if self.stray else []
        parts += [f"{flag.name}={flag.value} is not in effect{_shown(flag)}" for flag in lost]
        parts += [
            f"{name} is {value}, which no flag asks for" for name, value in self.extra.items()
        ]
        return "; ".join(parts)


def effective(environ: Mapping[str, str], timeout: float = 120) -> Effective:
    """Compile a tiny program under an environment and hold XLA's dump to XLA_FLAGS.

    The flags are split by `jaxpad.profiles.parse`, each is read alone by XLA, and what it
    asks for is looked up in the `*.debug_options` that XLA dumps when it compiles the whole.
    The dump leaves defaults out, and cannot show a list that was emptied: for those the
    compiling process's own reading counts. What JAX sets itself is learnt from a second
    compile with no flags.

    Takes two starts of JAX, about 3 s; `timeout` in seconds is for all. They run one after
    the other unless on CPU: a GPU in exclusive mode lets one process in. The platform is
    what JAX_PLATFORMS in the environment says. Never raises for what XLA or JAX does.
    """
    parsed = parse(environ.get("XLA_FLAGS", ""))
    if parsed.file is not None:
        return Effective(error=f"XLA_FLAGS is {parsed.file!r}, which XLA takes for a file's path")
    until = time.monotonic() + timeout

    def left() -> float:
        return max(0.01, until - time.monotonic())

    workers = 3 if environ.get("JAX_PLATFORMS") == "cpu" else 1
    with ThreadPoolExecutor(workers) as pool:
        compiled = pool.submit(lambda: dump(environ, left()))
        plain = pool.submit(lambda: dump({**environ, "XLA_FLAGS": ""}, left()))
        asked = pool.submit(lambda: expect(parsed.flags, left()))
        try:
            found, usual, expected = compiled.result(), plain.result(), asked.result()
        except NoProofError as error:
            pool.shutdown(wait=False, cancel_futures=True)
            return Effective(
                stray=parsed.stray, error=str(error), late=isinstance(error, LateError)
            )
    compiled_with, usually = in_force(found, expected), in_force(usual, expected)
    lost = tuple(FlagInEffect(f.name, f.value or "", Status.NOT_IN_EFFECT) for f in parsed.lost)
    return Effective(
        flags=judge(parsed.flags, expected, compiled_with) + lost,
        extra=extra(expected, compiled_with, usually),
        stray=parsed.stray,
    )


def _shown(flag: FlagInEffect) -> str:
    found = f"the program was compiled with {flag.found!r}"
    if flag.name == "xla_gpu_cuda_data_dir":  # jax/_src/compiler.py
        found += (
            ": JAX itself puts the path of NVIDIA's packages, or CUDA_ROOT, over it; drop the "
            "flag, or set CUDA_ROOT"
        )
    return f" ({found})" if flag.expected else ""
