"""The flags that the installed XLA does not take."""

from __future__ import annotations

from collections.abc import Iterator

from jaxpad import flags
from jaxpad.effects import _cache
from jaxpad.effects._judge import Effect, Verdict
from jaxpad.effects._model import Words


def refused(words: Words) -> dict[str, Effect]:
    """By name, those that XLA does not know or whose value it refuses, with what it says.

    Each is asked for alone, since XLA stops at the first fault. The answer is kept.
    """
    key = _cache.acceptance(words)
    kept = _cache.get(key)
    if not isinstance(kept, dict):
        kept = {name: [verdict, reason] for name, verdict, reason in _ask(words)}
        _cache.put(key, kept)
    return {name: Effect(Verdict(verdict), reason=said) for name, (verdict, said) in kept.items()}


def _ask(words: Words) -> Iterator[tuple[str, str, str]]:
    for word, reading in zip(words, flags.read(words) if words else (), strict=True):
        if reading.ok:
            continue
        name = word.removeprefix("--").partition("=")[0]
        if flags.accept(word).unknown:
            yield name, Verdict.FATAL, flags.unknown(name)
        else:
            yield name, Verdict.REJECTED, flags.complaint(reading.message)
