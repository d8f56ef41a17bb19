"""What a command runs under: a profile, the user's own flags, and where each came from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jaxpad.errors import UsageError
from jaxpad.profiles._load import load
from jaxpad.profiles._model import Profile
from jaxpad.profiles._parse import SPACE, parse
from jaxpad.profiles._render import environment, select

BAKED = "JAXPAD_BAKED_XLA_FLAGS"  # what the image's ENV put in XLA_FLAGS
_RECORD = "JAXPAD_COMPOSED"  # what an earlier composition did, so that the next can undo it

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

    XLA_FLAGS becomes the profile's flags, the user's XLA_FLAGS where they are not the
    image's own, then XLA_FLAGS_APPEND; the profile's variables are set unless the user set
    them; JAXPAD_PROFILE names the profile. What an earlier composition did is undone first,
    so that the innermost `with-profile` is the one in force. With no profile the
    environment stays as it is and only the origins are told.

    Raises UsageError for flags of the user's that XLA would drop or take for a file, and as
    `render` does.
    """
    if profile is None:
        return Composed(dict(environ), _told(environ, jaxlib_version))
    user = _undo(environ)
    own = user.get("XLA_FLAGS", "").strip(SPACE)
    parts = [
        (f"profile {layer.name}", flag.word) for layer, flag in select(profile, jaxlib_version)
    ]
    parts += _users("XLA_FLAGS", "" if own == user.get(BAKED, "").strip(SPACE) else own)
    parts += _users("XLA_FLAGS_APPEND", user.get("XLA_FLAGS_APPEND", "").strip(SPACE))
    variables = {k: v for k, v in environment(profile).items() if k not in user}
    text = " ".join(part for _, part in parts)
    record = {"XLA_FLAGS": text, "user": user.get("XLA_FLAGS"), "set": variables}
    ours = {"XLA_FLAGS": text, "JAXPAD_PROFILE": profile.name, _RECORD: json.dumps(record)}
    return Composed(user | variables | ours, _origins(parts))


def _users(name: str, text: str) -> list[tuple[str, str]]:
    """The user's part, unless XLA would not read it to its end."""
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
    return [(name, text)] if text else []


def _undo(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before an earlier composition, the user's later changes kept."""
    before = dict(environ)
    try:
        record = json.loads(before.pop(_RECORD, "{}"))
        ours = {"XLA_FLAGS": record["XLA_FLAGS"], **record["set"]}
    except (ValueError, KeyError, TypeError):
        return before
    for name in [name for name, value in ours.items() if before.get(name) == value]:
        del before[name]
    if "XLA_FLAGS" not in before and record.get("user") is not None:
        before["XLA_FLAGS"] = record["user"]
    return before


def _told(environ: Mapping[str, str], jaxlib_version: str) -> tuple[Origin, ...]:
    text = environ.get("XLA_FLAGS", "")
    name = environ.get("JAXPAD_PROFILE")
    if name and _RECORD in environ:
        try:
            composed = compose(load(name), environ, jaxlib_version)
        except UsageError:
            pass  # the file is gone or changed: tell less
        else:
            if composed.xla_flags == text:
                return composed.origins
    baked = text and text.strip(SPACE) == environ.get(BAKED, "").strip(SPACE)
    return _origins([("the image", text) if baked else ("XLA_FLAGS", text)])


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
