"""What the installed XLA's parser makes of each flag alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from jaxpad import flags
from jaxpad.effects import _cache
from jaxpad.effects._judge import REFUSED, Effect, Verdict
from jaxpad.effects._model import Words

_DEFAULT = "default"


@dataclass(frozen=True)
class Accepted:
    """By name: the flags that XLA does not know or whose value it refuses, with what it says.

    `defaults` are those that set an option to what it is anyway.
    """

    refused: dict[str, Effect]
    defaults: frozenset[str]


def accepted(words: Words) -> Accepted:
    """Ask for each alone, since XLA stops at the first fault. The answer is kept."""
    key = _cache.acceptance(words)
    kept = _cache.get(key)
    if not isinstance(kept, list):
        kept = [list(row) for row in _ask(words)]
        _cache.put(key, kept)
    no = {n: Effect(Verdict(said), reason=why) for n, said, why in kept if said in REFUSED}
    other = {name for name, said, _ in kept if said != _DEFAULT}
    return Accepted(no, frozenset(name for name, _, _ in kept) - other)


def _ask(words: Words) -> Iterator[tuple[str, str, str]]:
    """Rows of name, verdict and reason; an empty verdict for a flag that sets something."""
    if not words:
        return
    clean, *readings = flags.read(["", *words])
    for word, reading in zip(words, readings, strict=True):
        name = word.removeprefix("--").partition("=")[0]
        if reading.ok and reading.options == clean.options and name in flags.catalogue():
            yield name, _DEFAULT, ""
        elif not reading.ok and flags.accept(word).unknown:
            yield name, Verdict.FATAL, flags.unknown(name)
        elif not reading.ok:
            yield name, Verdict.REJECTED, flags.complaint(reading.message)
        else:
            yield name, "", ""
