"""What changed from one compiled program to another, in words with numbers."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator, Mapping

from jaxpad.schedule.model import Collective, Memory, Program

# Whether two compiled programs are the same.


class Same(enum.StrEnum):
    """Whether two programs are the same; unknown where a part could not be read."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


def same(one: Program, other: Program) -> Same:
    """Hold two programs' digests to each other, part by part."""
    pairs = [
        (part.digest, other.digest.parts[name].digest) for name, part in one.digest.parts.items()
    ]
    if any(left and right and left != right for left, right in pairs):
        return Same.NO
    return Same.YES if all(left and right for left, right in pairs) else Same.UNKNOWN


_MIB = 1 << 20


def compare(before: Program, after: Program) -> tuple[str, ...]:
    """The changes: kernels, collectives, memory, thunks; empty where the programs are the same.

    Each names what there is now and what there was: `5 asynchronous all-gathers instead of
    2`. Where nothing that is counted differs, the parts of the digest that do are named, or
    those that could not be read.
    """
    if same(before, after) is Same.YES:
        return ()
    found = (
        *_kernels(before, after),
        *_collectives(before, after),
        *_memory(before.memory, after.memory),
        *_thunks(before, after),
    )
    return found + _digests(before, after, bool(found))


def _kernels(before: Program, after: Program) -> Iterator[str]:
    old = {one.kind: one.count for one in before.kernels}
    new = {one.kind: one.count for one in after.kernels}
    gone, come = sorted(old.keys() - new.keys()), sorted(new.keys() - old.keys())
    if len(gone) == len(come) == 1 and old[gone[0]] == new[come[0]]:
        yield f"{come[0]} instead of {gone[0]} ({new[come[0]]})"
        old.pop(gone[0])
        new.pop(come[0])
    yield from _counts(old, new)


def _collectives(before: Program, after: Program) -> Iterator[str]:
    yield from _counts(_named(before.collectives), _named(after.collectives))
    old, new = (_bytes(one.collectives) for one in (before, after))
    for kind in sorted(old.keys() & new.keys()):
        if old[kind] != new[kind]:
            yield _bytes_of(kind, old[kind], new[kind])
    for kind in sorted({*_outside(before), *_outside(after)}):
        if (now := _outside(after)[kind]) != (then := _outside(before)[kind]):
            yield f"{now} {_plural(kind, now)} outside loops instead of {then}"
    old_exposed, new_exposed = before.overlap.exposed, after.overlap.exposed
    if old_exposed is not None and new_exposed is not None:
        was, is_now = (f"{seconds * 1e6:.1f} us" for seconds in (old_exposed, new_exposed))
        if was != is_now:
            yield f"{is_now} of communication exposed instead of {was} (model)"


def _memory(old: Memory | None, new: Memory | None) -> Iterator[str]:
    if old is None or new is None:
        return
    names = {"arguments": "arguments", "outputs": "outputs", "temporaries": "temporaries"}
    for name, word in (names | {"aliased": "donated arguments"}).items():
        then, now = getattr(old, name), getattr(new, name)
        if then != now:
            yield _bytes_of(word, then, now)
    if old.fits != new.fits:
        yield f"{'fits' if new.fits else 'no longer fits'} the GPU's memory"


def _thunks(before: Program, after: Program) -> Iterator[str]:
    old, new = before.thunks, after.thunks
    if old.final is None or new.final is None:
        return
    if old.command_buffers != new.command_buffers or old.recorded != new.recorded:
        yield (
            f"{new.recorded} thunks in {new.command_buffers} command buffers instead of "
            f"{old.recorded} in {old.command_buffers}"
        )


def _digests(before: Program, after: Program, told: bool) -> tuple[str, ...]:
    """What only the digests show."""
    parts = before.digest.parts
    differ = [
        name
        for name, part in parts.items()
        if part.digest and (other := after.digest.parts[name].digest) and part.digest != other
    ]
    if not differ:
        unread = [name for name, part in parts.items() if not part.digest]
        unread += [name for name, part in after.digest.parts.items() if not part.digest]
        return (f"unknown: {' and '.join(dict.fromkeys(unread))} could not be read",)
    if "hlo" in differ and before.digest.unordered == after.digest.unordered:
        return ("order only",) if not told else ("another order of the same instructions",)
    return () if told else (f"other {' and '.join(differ)}",)


def _counts(old: Mapping[str, int], new: Mapping[str, int]) -> Iterator[str]:
    for kind in sorted({*old, *new}):
        then, now = old.get(kind, 0), new.get(kind, 0)
        if then != now:
            yield f"{now} {_plural(kind, now)} instead of {then}"


def _named(found: tuple[Collective, ...]) -> Counter[str]:
    return Counter(
        f"{'asynchronous' if one.asynchronous else 'synchronous'} {one.kind}" for one in found
    )


def _outside(program: Program) -> Counter[str]:
    return Counter(one.kind for one in program.collectives if not one.loops)


def _bytes(found: tuple[Collective, ...]) -> dict[str, int]:
    moved: dict[str, int] = {}
    for one in found:
        moved[one.kind] = moved.get(one.kind, 0) + one.bytes * (one.runs or 1)
    return moved


def _plural(kind: str, count: int) -> str:
    if count == 1 or kind.startswith("custom call"):
        return kind
    return f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"


def _bytes_of(what: str, then: int, now: int) -> str:
    """In MiB, or in bytes where that would not tell them apart."""
    whole = [f"{size / _MIB:.0f} MiB" for size in (then, now)]
    if min(then, now) < 10 * _MIB or whole[0] == whole[1]:
        whole = [f"{size:,} bytes" for size in (then, now)]
    return f"{whole[1]} of {what} instead of {whole[0]}"
