"""Whether the flags in XLA_FLAGS are those a program is really compiled with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from jaxpad.flags._dump import LateError, NoProofError, dump
from jaxpad.flags._expect import expect
from jaxpad.flags._judge import FlagInEffect, Status, extra, in_force, judge
from jaxpad.profiles import parse


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
    return f" (the program was compiled with {flag.found!r})" if flag.expected else ""
