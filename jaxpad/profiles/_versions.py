"""Which jaxlib versions a flag's specifier means."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from jaxpad.errors import UsageError

_DIGITS = 6  # more than any jaxlib release has, so that padding leaves room for "just above"


def matches(specifier: str, version: str) -> bool:
    """Whether a jaxlib version is meant by a specifier such as `>=0.4.38,<0.12`.

    A nightly or a release candidate counts as the release it leads to: by PEP 440's
    order 0.13.0.dev20261001 is in neither `<0.13` nor `>=0.13`, so a flag with one
    spelling for each would vanish.

    Raises UsageError for a version that PEP 440 cannot read.
    """
    try:
        release = Version(version).base_version
    except InvalidVersion:
        raise UsageError(
            f"{version!r} is not a jaxlib version, expected one such as 0.12.0; "
            "take it from `python -m pip show jaxlib`"
        ) from None
    return SpecifierSet(specifier).contains(release, prereleases=True)


def is_specifier(text: str) -> bool:
    """Whether text is a non-empty PEP 440 specifier of release numbers."""
    try:
        return bool(SpecifierSet(text)) and all(_releases(text))
    except (InvalidSpecifier, InvalidVersion):
        return False


def overlap(one: str, other: str) -> str | None:
    """A version that both specifiers match, None where there is none.

    Exact: a specifier is a union of intervals, and where two such unions meet they meet
    at the lower end of an interval. Those are zero, each version V that is named, just
    above V (`>V`, `!=V`) and the first version past the prefix V (`!=V.*`).
    """
    for version in _candidates(f"{one},{other}"):
        if all(matches(specifier, version) for specifier in (one, other)):
            return version
    return None


def _releases(specifiers: str) -> Iterator[tuple[int, ...]]:
    for specifier in SpecifierSet(specifiers.strip(",")):
        yield Version(specifier.version.removesuffix(".*")).release


def _candidates(specifiers: str) -> Iterator[str]:
    yield "0"
    for release in _releases(specifiers):
        padded = release + (0,) * (_DIGITS - len(release))
        for numbers in (release, (*padded, 1), (*release[:-1], release[-1] + 1)):
            yield ".".join(str(number) for number in numbers)
