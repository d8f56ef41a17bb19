"""Render the shipped profiles into a folder that a POSIX shell reads: docker/with-profile."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from jaxpad.errors import UsageError
from jaxpad.profiles._entries import ARCHITECTURES
from jaxpad.profiles._load import load, names
from jaxpad.profiles._model import Profile
from jaxpad.profiles._render import environment, render

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


def _picks(found: list[Profile]) -> Iterable[str]:
    """For each architecture the profile meant for it and fewest others, whatever the workload."""
    general = [profile for profile in found if not profile.requires.workload]
    for architecture in ARCHITECTURES:
        fit = [p for p in general if architecture in p.requires.architecture]
        if fit:
            best = min(fit, key=lambda p: (len(p.requires.architecture), p.name))
            yield f"{architecture} {best.name}"
