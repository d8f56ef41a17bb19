"""Find profile files and read them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from jaxpad.core import paths
from jaxpad.core.results import UsageError
from jaxpad.core.text import did_you_mean, listed
from jaxpad.profiles.model import EnvVar, Flag, Profile, Requires, Table, kind, refusal

# Which jaxlib versions a flag's specifier means.

_DIGITS = 6  # more than any jaxlib release has, so that padding leaves room for "just above"


def matches(specifier: str, version: str) -> bool:
    """Whether a jaxlib version is meant by a specifier such as `>=0.4.38,<0.12`.

    A nightly or a release candidate counts as the release it leads to: by PEP 440's
    order 0.13.0.dev20261001 is in neither `<0.13` nor `>=0.13`, so a flag with one
    spelling for each would vanish.

    Raises UsageError for a version that PEP 440 cannot read.
    """
    from packaging.specifiers import SpecifierSet  # here: a GPU's description needs none
    from packaging.version import InvalidVersion, Version

    try:
        release = Version(version).base_version
    except InvalidVersion:
        raise UsageError(
            f"{version!r} is not a jaxlib version, expected one such as 0.12.0; "
            "take it from `python -m pip show jaxlib`"
        ) from None
    return SpecifierSet(specifier).contains(release, prereleases=True)


_RANGE = r"(?:[<>]=?|[=!]=) ?\d{1,4}(?:\.\d{1,4}){0,3}"
_RANGES = re.compile(rf"{_RANGE}(?:, ?{_RANGE})*")  # what nearly every profile has


def is_specifier(text: str) -> bool:
    """Whether text is a non-empty PEP 440 specifier of release numbers."""
    if _RANGES.fullmatch(text):
        return True  # a third of what `profile.list` takes is the import below
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

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
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    for specifier in SpecifierSet(specifiers.strip(",")):
        yield Version(specifier.version.removesuffix(".*")).release


def _candidates(specifiers: str) -> Iterator[str]:
    yield "0"
    for release in _releases(specifiers):
        padded = release + (0,) * (_DIGITS - len(release))
        for numbers in (release, (*padded, 1), (*release[:-1], release[-1] + 1)):
            yield ".".join(str(number) for number in numbers)


# The tables of a profile file, checked and turned into data.

ARCHITECTURES = ("volta", "turing", "ampere", "ada", "hopper", "blackwell")
WORKLOADS = tuple(paths.read_toml(paths.CONFIGS / "workloads.toml"))

# What profile.tune notes of the measurement that a profile comes from.
_MEASURED = (
    *("ratio", "low", "high", "workload", "workload_digest", "platform", "gpu", "device"),
    *("driver", "jaxlib", "date", "space", "space_digest", "baseline", "seed"),
)

_FLAG_NAME = re.compile(r"xla_[a-z0-9_]+")
_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
# What XLA splits at or unquotes, and what a shell or a Dockerfile's ENV would expand.
UNSAFE = re.compile(r"[^!-~]|[\"'\\$`]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_URL = re.compile(r"https?://[^\s/]+\.[^\s]+")


def requirements(table: Table) -> Requires:
    """The [requires] table. Raises UsageError for what it does not know."""
    table.only("architecture", "workload")
    return Requires(table.texts("architecture", ARCHITECTURES), table.texts("workload", WORKLOADS))


def flag_entries(tables: tuple[Table, ...]) -> tuple[Flag, ...]:
    """The [[flag]] tables. Raises UsageError for a bad entry or one that is there twice."""
    seen: list[Flag] = []
    for table in tables:
        flag = _flag(table)
        _once(table, flag, seen)
        seen.append(flag)
    return tuple(seen)


def env_entries(table: Table) -> tuple[EnvVar, ...]:
    """The [env] table. Raises UsageError for a bad entry or a name a profile may not set."""
    return tuple(_env_var(table, name) for name in table.items)


def measured_entries(table: Table) -> tuple[tuple[str, str], ...]:
    """The [measured] table. Raises UsageError for an unknown name or what is no text or number."""
    table.only(*_MEASURED)
    for name, value in table.items.items():
        if not isinstance(value, str | int | float) or isinstance(value, bool):
            table.refuse(f"{name} is {kind(value)}, expected a string or a number; fix it")
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
    _hold_length(table, str(value))
    unsafe = UNSAFE.search(str(value))
    if unsafe:
        table.refuse(
            f"value {value!r:.200} has {unsafe[0]!r} in it, expected printable ASCII with no "
            "space, quote, backslash, dollar or backtick; XLA or a shell would not read it whole"
        )
    return str(value)


LONGEST = 4096  # characters of one value


def _hold_length(table: Table, value: str) -> None:
    if len(value) > LONGEST:
        table.refuse(
            f"value has {len(value):,} characters, expected at most {LONGEST:,}; shorten it"
        )


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
    if why := refusal(name):
        table.refuse(f"{name} may not be set by a profile: {why}")
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
    _hold_length(table, value)
    control = _CONTROL.search(value)
    if control:
        table.refuse(f"value has the control character {control[0]!r} in it; take it out")
    return value


FOLDER = paths.CONFIGS / "profiles"  # the shipped ones


def names(folder: Path | None = None) -> tuple[str, ...]:
    """The names of the profiles, in alphabetical order: the project's and the shipped ones.

    With `folder`, those in there alone; so in `load` and `layers`.
    """
    return paths.stems(_folders(folder))


def load(name_or_path: str | Path, folder: Path | None = None) -> Profile:
    """Read one profile: a name (`base`, `peers/NAME`), or a .toml file's path.

    Of two of one name it is the project's. Reads only that file; `layers` reads what it
    extends.

    Raises UsageError, one sentence that names the file and the remedy, for a file that
    is not there, is no TOML, or does not keep to the format in docs/profiles.md.
    """
    folders = _folders(folder)
    return _loaded(_path(name_or_path, folders), folders)


def _loaded(path: Path, folders: tuple[Path, ...]) -> Profile:
    table = Table(path, "", paths.read_toml(path))
    table.only("description", "extends", "requires", "measured", "flag", "env")
    return Profile(
        name=_name(path, folders),
        path=path,
        description=table.text("description"),
        extends=table.texts("extends"),
        requires=requirements(table.table("requires")),
        flags=flag_entries(table.tables("flag")),
        env=env_entries(table.table("env")),
        measured=measured_entries(table.table("measured")),
    )


def layers(profile: Profile, folder: Path | None = None) -> tuple[Profile, ...]:
    """The profile and all it extends, lowest first, each once.

    A name in `extends` is a file beside the profile, else the project's, else a shipped one:
    so a project's `base` may extend the `base` that it hides.

    Raises UsageError for a name that is nowhere, for a circle, and for a file that
    `load` refuses.
    """
    found: dict[Path, Profile] = {}
    _visit(profile, _folders(folder), (), found)
    _hold_size(profile, found.values())
    return tuple(found.values())


# Linux takes 128 KiB for one variable (MAX_ARG_STRLEN, execve(2)); the caller's own come on top.
LARGEST = 1 << 16  # characters of all flags and variables of a profile and its layers
DEEPEST = 32  # layers above each other


def _hold_size(profile: Profile, found: Iterable[Profile]) -> None:
    words = (len(flag.word) + 1 for layer in found for flag in layer.flags)
    lines = (len(one.name) + len(one.value) + 2 for layer in found for one in layer.env)
    if (size := sum(words) + sum(lines)) > LARGEST:
        raise UsageError(
            f"{profile.path}: its flags and variables come to {size:,} characters, expected at "
            f"most {LARGEST:,}; take some out"
        )


def _folders(folder: Path | None) -> tuple[Path, ...]:
    return paths.folders("configs/profiles") if folder is None else (folder,)


def _visit(
    profile: Profile,
    folders: tuple[Path, ...],
    above: tuple[Profile, ...],
    found: dict[Path, Profile],
) -> None:
    path = profile.path.resolve()
    below = [layer.path.resolve() for layer in above]
    if path in below:
        circle = (*above[below.index(path) :], profile)
        steps = " -> ".join(layer.path.stem for layer in circle)
        raise UsageError(f"{above[-1].path}: extends goes in a circle ({steps}); cut it once")
    if path in found:
        return
    if len(above) > DEEPEST:
        raise UsageError(
            f"{above[0].path}: extends goes more than {DEEPEST} profiles deep; shorten the chain"
        )
    for name in profile.extends:
        _visit(_parent(profile, name, folders), folders, (*above, profile), found)
    found[path] = profile


def _parent(profile: Profile, name: str, folders: tuple[Path, ...]) -> Profile:
    places = (profile.path.parent, *folders)
    files = [place / f"{name}.toml" for place in places if name in names(place)]
    others = [file for file in files if file.resolve() != profile.path.resolve()]
    if files:
        return _loaded((others or files)[0], folders)
    known = {*paths.stems(places)} - {profile.path.stem}
    hint = did_you_mean(name, known) or f"; there are {listed(sorted(known))}"
    raise UsageError(f"{profile.path}: extends names {name!r}, and no profile is called so{hint}")


def _path(name_or_path: str | Path, folders: tuple[Path, ...]) -> Path:
    text = str(name_or_path)
    file = _first(text, folders)
    if file and (isinstance(name_or_path, str) or "/" in text):
        return file
    if isinstance(name_or_path, Path) or "/" in text or text.endswith(".toml"):
        return Path(name_or_path)
    known = paths.stems(folders)
    hint = did_you_mean(text, known) or f"; there are {listed(known)}"
    raise UsageError(f"no profile is called {text!r} (a file is named by its path){hint}")


def _first(name: str, folders: tuple[Path, ...]) -> Path | None:
    """The file of that name in the first folder that has one."""
    for place in folders:
        if name in paths.stems([place]) or ("/" in name and (place / f"{name}.toml").is_file()):
            return place / f"{name}.toml"
    return None


def _name(path: Path, folders: tuple[Path, ...]) -> str:
    """What `load` takes: the place in its folder without the ending, else the whole path.

    A shipped file that the project's of that name hides has its whole path for a name.
    """
    for folder in folders:
        if path.is_relative_to(folder) and ".." not in path.parts:
            name = path.relative_to(folder).with_suffix("").as_posix()
            return name if _first(name, folders) == path else str(path.resolve())
    return str(path.resolve())
