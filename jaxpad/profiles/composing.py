"""What a command runs under: a profile, the user's own flags, and where each came from.

`docker/with-profile` does the same to an environment with no Python at hand; the two are
held to each other, and undo each other's compositions, by tests/test_with_profile.py.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jaxpad.core.results import UsageError
from jaxpad.core.text import listed
from jaxpad.profiles.loading import ARCHITECTURES, layers, load, matches, names
from jaxpad.profiles.model import Flag, Profile
from jaxpad.profiles.xla_flags import SPACE, parse

# Turn a profile into what a process is given: XLA_FLAGS and environment variables.


def select(profile: Profile, jaxlib_version: str) -> tuple[tuple[Profile, Flag], ...]:
    """Each flag meant for a jaxlib version, with the layer it is from, lowest layer first.

    Raises UsageError as `layers` does, and for a version that is none.
    """
    return tuple(
        (layer, flag)
        for layer in layers(profile)
        for flag in layer.flags
        if matches(flag.jaxlib, jaxlib_version)
    )


def render(profile: Profile, jaxlib_version: str) -> str:
    """The profile's XLA_FLAGS, its layers appended in order; empty where it has no flags.

    Later words outweigh earlier ones: XLA takes the last occurrence of a flag, and
    applies list values that open with + or - one after the other.

    Raises UsageError as `select` does.
    """
    return " ".join(flag.word for _, flag in select(profile, jaxlib_version))


def environment(profile: Profile) -> dict[str, str]:
    """The profile's environment variables; a higher layer outweighs a lower one.

    Raises UsageError as `layers` does.
    """
    return {variable.name: variable.value for layer in layers(profile) for variable in layer.env}


BAKED = "JAXPAD_BAKED_XLA_FLAGS"  # what the image's ENV put in XLA_FLAGS
BAKED_PROFILE = "JAXPAD_BAKED_PROFILE"  # the profile whose flags those are
BASE = "JAXPAD_BASE_XLA_FLAGS"  # the part of them that the base image brought

# What an earlier composition did, so that the next can undo it: in a form that a POSIX shell
# reads and writes without starting a process.
_TEXT = "JAXPAD_COMPOSED"  # the XLA_FLAGS it made
_OVER = "JAXPAD_COMPOSED_OVER"  # the XLA_FLAGS it found; absent where there were none
_SET = "JAXPAD_COMPOSED_SET"  # the variables it set beside XLA_FLAGS, each a line NAME=value
_BLANK = " \t\n"
_LINE = re.compile(r"([A-Z_][A-Z0-9_]*)=(.*)", re.DOTALL)

# Flags whose occurrences add up: string lists and maps. Lists of enumerators are replaced,
# unless the value opens with + or -. Measured on jaxlib 0.10.2 and 0.12.0.1.
_ADDS_UP = frozenset(
    {
        "xla_backend_extra_options",
        "xla_disable_hlo_passes",
        "xla_enable_hlo_passes_only",
        "xla_gpu_analytical_latency_estimator_options",
        "xla_gpu_experimental_cost_model_gemm_tiling_options",
        "xla_gpu_experimental_thunk_buffer_debug_filter_by_profile_annotation_re",
        "xla_gpu_experimental_thunk_buffer_debug_filter_by_thunk_id_ranges",
        "xla_gpu_hlo_custom_call_allowlist",
        "xla_gpu_llvm_ir_file",
        "xla_gpu_ptx_compiler_extra_flags",
        "xla_gpu_ptx_file",
    }
)
_STEP = re.compile(r"[+-][A-Za-z]")  # -CUBLAS, but not -1


@dataclass(frozen=True)
class Origin:
    """One flag in XLA_FLAGS that has a say, and who put it there."""

    name: str
    value: str | None
    origin: str


@dataclass(frozen=True)
class Composed:
    """The environment to run a command in, and the origin of each flag in it."""

    environ: dict[str, str]
    origins: tuple[Origin, ...]

    @property
    def xla_flags(self) -> str:
        """XLA_FLAGS as the command will see it."""
        return self.environ.get("XLA_FLAGS", "")


def compose(profile: Profile | None, environ: Mapping[str, str], jaxlib_version: str) -> Composed:
    """What `with-profile` does to an environment.

    XLA_FLAGS becomes the base image's own flags, the profile's, the user's XLA_FLAGS where
    they are not what the image has, then XLA_FLAGS_APPEND; the profile's variables are set
    unless the user set them; JAXPAD_PROFILE names the profile. What an earlier composition
    did is undone first, so that the innermost `with-profile` is the one in force. With no
    profile the environment stays as it is and only the origins are told.

    Raises UsageError for flags of the user's that XLA would drop or take for a file, and as
    `render` does.
    """
    if profile is None:
        return Composed(dict(environ), _told(environ, jaxlib_version))
    user = _undo(environ)
    parts = _parts(profile, user, jaxlib_version)
    text = " ".join(part for _, part in parts)
    ours = {"JAXPAD_PROFILE": profile.name}
    ours |= {name: value for name, value in environment(profile).items() if name not in user}
    record = {_TEXT: text, _SET: "\n".join(f"{name}={value}" for name, value in ours.items())}
    if "XLA_FLAGS" in user:
        record[_OVER] = user["XLA_FLAGS"]
    return Composed(user | ours | record | {"XLA_FLAGS": text}, _origins(parts))


def in_force(environ: Mapping[str, str]) -> str | None:
    """The profile that an environment claims: JAXPAD_PROFILE, else the image's own.

    The image's own is claimed while XLA_FLAGS begin with what the image put there.
    """
    baked = environ.get(BAKED_PROFILE) if _added(environ) is not None else None
    return environ.get("JAXPAD_PROFILE") or baked or None


def _parts(profile: Profile, user: Mapping[str, str], jaxlib_version: str) -> list[tuple[str, str]]:
    """What XLA_FLAGS is put together from, lowest first: the origin and text of each part."""
    chosen = select(profile, jaxlib_version)
    return [
        *_whole(BASE, user, origin="base image"),
        *((f"profile {layer.name}", flag.word) for layer, flag in chosen),
        *_whole("XLA_FLAGS", {"XLA_FLAGS": _users(user)}),
        *_whole("XLA_FLAGS_APPEND", user),
    ]


def _users(environ: Mapping[str, str]) -> str:
    """The user's own part of XLA_FLAGS: what the image put in front is not theirs."""
    added = _added(environ)
    return environ.get("XLA_FLAGS", "") if added is None else added


def _whole(name: str, environ: Mapping[str, str], origin: str = "") -> list[tuple[str, str]]:
    """The flags in a variable, unless XLA would not read them to their end."""
    text = environ.get(name, "").strip(SPACE)
    parsed = parse(text)
    if parsed.file is not None:
        raise UsageError(
            f"{name} is {text!r}, which XLA would open as a file since it does not begin with "
            "'--'; put the flags themselves in the variable"
        )
    if parsed.unclosed:
        raise UsageError(
            f"{name} ends inside the quoted value of {parsed.flags[-1].name}, so that what is "
            "appended would become part of it; close the quote"
        )
    if parsed.stray is not None:
        raise UsageError(
            f"{name} has the stray token {parsed.stray!r}, at which XLA stops reading and drops "
            "the rest without a word; take it out, or quote it as part of a value"
        )
    return [(origin or name, text)] if text else []


def _undo(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before an earlier composition, the user's later changes kept."""
    before = {k: v for k, v in environ.items() if k not in (_TEXT, _OVER, _SET)}
    if _TEXT not in environ:
        return before
    for line in environ.get(_SET, "").split("\n"):
        ours = _LINE.fullmatch(line)
        if ours and before.get(ours[1]) == ours[2]:
            del before[ours[1]]
    added = _behind(before.get("XLA_FLAGS"), environ[_TEXT])
    if added is not None:
        del before["XLA_FLAGS"]
        if _OVER in environ or added:
            before["XLA_FLAGS"] = " ".join(filter(None, [environ.get(_OVER), added]))
    return before


def _added(environ: Mapping[str, str]) -> str | None:
    """What XLA_FLAGS have behind what the image put there; None where they replace it."""
    baked = environ.get(BAKED, "").strip(SPACE)
    return _behind(environ.get("XLA_FLAGS", "").strip(SPACE), baked)


def _behind(text: str | None, front: str) -> str | None:
    """What was added to `front`, as XLA_FLAGS="$XLA_FLAGS --more" does; None if it is gone."""
    if text == front:
        return ""
    if text is None or not front or not text.startswith(front) or text[len(front)] not in _BLANK:
        return None
    return text[len(front) :].strip(SPACE)


def _told(environ: Mapping[str, str], jaxlib_version: str) -> tuple[Origin, ...]:
    """Where the flags in an environment are from, as far as it tells."""
    text = environ.get("XLA_FLAGS", "")
    try:
        parts = _remembered(environ, jaxlib_version)
    except UsageError:
        parts = []  # a profile's file is gone or changed: tell less
    if parse(" ".join(part for _, part in parts)) == parse(text):
        return _origins(parts)
    return _origins([("the image" if _added(environ) == "" else "XLA_FLAGS", text)])


def _remembered(environ: Mapping[str, str], jaxlib_version: str) -> list[tuple[str, str]]:
    """The parts XLA_FLAGS should have by what the image and earlier compositions noted."""
    name, user = environ.get("JAXPAD_PROFILE"), _undo(environ)
    if _TEXT in environ and name:
        return _parts(load(name), user, jaxlib_version)
    if _TEXT in environ:  # with-profile --append: no profile, the user's flags joined
        return [*_whole("XLA_FLAGS", user), *_whole("XLA_FLAGS_APPEND", user)]
    added = _added(environ)
    if added is not None and environ.get(BAKED_PROFILE):
        image = {BASE: environ.get(BASE, ""), "XLA_FLAGS": added}
        return _parts(load(environ[BAKED_PROFILE]), image, jaxlib_version)
    return []


def _origins(parts: list[tuple[str, str]]) -> tuple[Origin, ...]:
    """The flags that have a say: the last of each name, and those it adds to."""
    kept: list[Origin] = []
    settled: set[str] = set()
    words = [(origin, flag) for origin, text in parts for flag in parse(text).flags]
    for origin, flag in reversed(words):
        if flag.name in settled:
            continue
        kept.append(Origin(flag.name, flag.value, origin))
        if flag.name not in _ADDS_UP and not _STEP.match(flag.value or ""):
            settled.add(flag.name)
    return tuple(reversed(kept))


# Render the shipped profiles into a folder that a POSIX shell reads: docker/with-profile.

_AUTO = "auto"  # `with-profile auto` picks by the GPU, so no profile may be called so
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OURS = re.compile(r"names|auto|.+\.(flags|env)")


def write(folder: Path, jaxlib_version: str, source: Path | None = None) -> None:
    """Render every profile, or those in `source`, into `folder`, in place of what was there.

    `names` holds their names, one a line; NAME.flags the line for XLA_FLAGS; NAME.env a line
    VARIABLE=value for each variable; `auto` a line ARCHITECTURE NAME for each architecture
    that `with-profile auto` knows a profile for. The folder is whole or not there.

    Raises UsageError for a name or a value that a line cannot hold, for a folder that holds
    something else, and as `load` and `render` do.
    """
    texts = _texts([load(name, source) for name in names(source)], jaxlib_version)
    _require_ours(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as work:
        fresh = Path(work) / "fresh"
        _fill(fresh, texts)
        if folder.exists():
            folder.rename(Path(work) / "old")
        fresh.rename(folder)


def _fill(folder: Path, texts: dict[str, str]) -> None:
    """Readable by any uid, whatever the umask: a container's user is not its builder."""
    folder.mkdir()
    folder.chmod(0o755)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o644)


def _require_ours(folder: Path) -> None:
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    other = next((name for name in entries if not _OURS.fullmatch(name)), None)
    if other is not None:
        raise UsageError(
            f"{folder} holds {other!r}, which is no rendered profile, and would be replaced; "
            "give a folder of its own"
        )


def _texts(found: list[Profile], jaxlib_version: str) -> dict[str, str]:
    """Every file's name and text."""
    texts = {"names": _lines(map(_name, found)), _AUTO: _lines(_picks(found))}
    for profile in found:
        texts[f"{profile.name}.flags"] = _lines([render(profile, jaxlib_version)])
        texts[f"{profile.name}.env"] = _lines(_settings(profile))
    return texts


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _name(profile: Profile) -> str:
    if profile.name == _AUTO or not _NAME.fullmatch(profile.name):
        raise UsageError(
            f"{profile.path}: {profile.name!r} cannot be the name of a shipped profile, expected "
            f"letters, digits, '.', '_' and '-', and not {_AUTO!r}; rename the file"
        )
    return profile.name


def _settings(profile: Profile) -> Iterable[str]:
    for name, value in environment(profile).items():
        if "\n" in value:
            raise UsageError(
                f"{profile.path}: [env] {name} has a newline in its value, expected one line; "
                "take it out"
            )
        yield f"{name}={value}"


def better_for(profile: Profile, architecture: str) -> str:
    """A sentence where the profile is not for a GPU's architecture, with the one that is.

    Its own [requires] says what it is for; a workload there is what it was tried on, and no bar.
    """
    if _is_for(profile, architecture):
        return ""
    others = (load(name) for name in names())
    fit = [
        one.name
        for one in others
        if architecture in one.requires.architecture
        and set(one.requires.workload) & set(profile.requires.workload)
    ]
    said = f"profile {profile.name} is for {listed(profile.requires.architecture)}"
    other = f"take {fit[0]}" if fit else "no profile here is for that and the same programs"
    return f"{said}, not for {architecture}: {other}"


def _is_for(profile: Profile, architecture: str) -> bool:
    return architecture in (profile.requires.architecture or (architecture,))


def _picks(found: list[Profile]) -> Iterable[str]:
    """For each architecture the profile meant for it and fewest others, whatever the workload."""
    general = [profile for profile in found if not profile.requires.workload]
    for architecture in ARCHITECTURES:
        fit = [p for p in general if architecture in p.requires.architecture]
        if fit:
            best = min(fit, key=lambda p: (len(p.requires.architecture), p.name))
            yield f"{architecture} {best.name}"
