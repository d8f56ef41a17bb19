"""An option of a command, declared once.

A command's options are a dataclass whose fields are made by `option`: its type, default,
choices, range and help. The `jaxpad` command, the invoke task, help, docs and completion are
made from that, and `read` turns the typed words into the dataclass, with one wording of a
refusal. Light: `jaxpad --help` and `invoke --list` import nothing else.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from jaxpad.core.results import UsageError
from jaxpad.core.text import unknown

T = TypeVar("T")
MOST = 1 << 63  # of any number that is typed

# What several commands say alike.
JSON = "print JSON on stdout"
DRY_RUN = "print the commands, run nothing"
PROFILE = "an XLA profile: a name in configs/profiles, or a .toml file"
THRESHOLDS = "a TOML file that changes bounds, one `name = number` a line"
PLATFORM = "where JAX must compute"
PLATFORMS = ("auto", "gpu", "cpu")
ENGINES = ("docker", "podman")


@dataclass(frozen=True)
class Option:
    """What is told of an option.

    `least` and `most` bound a number, `noun` says what is counted ("a whole number of GPUs");
    `value` is the placeholder in the help, `group` the heading that it stands under there.
    """

    name: str
    kind: str  # str, bool, int, float, Path, words, rest
    help: str
    choices: tuple[str, ...] = ()
    least: float = -math.inf
    most: float = MOST
    noun: str = ""
    value: str = ""
    group: str = "options"
    default: str = ""  # as told: empty where the help says it

    @property
    def flag(self) -> str:
        """As it is typed: `--gpus-per-node`, `-k`."""
        dashes = "-" if len(self.name) == 1 else "--"
        return dashes + self.name.replace("_", "-")

    @property
    def usage(self) -> str:
        """With its value: `--engine {docker,podman}`, `--out FOLDER`; a switch as it is."""
        if self.kind == "bool":
            return self.flag
        return f"{self.flag} {self.placeholder}"

    @property
    def placeholder(self) -> str:
        """What stands for the value: its choices, its own word, or what kind it is of."""
        if self.choices:
            return f"{{{','.join(self.choices)}}}"
        return self.value or {"int": "N", "float": "N"}.get(self.kind, self.name.upper())

    @property
    def told(self) -> str:
        """The help, with the default where there is one that the help does not say."""
        said = not self.default or "default" in self.help
        return self.help if said else f"{self.help}; default: {self.default}"


def option(
    help_: str,
    default: Any = "",
    *,
    factory: Callable[[], Any] | None = None,
    choices: tuple[str, ...] = (),
    least: float = -math.inf,
    most: float = MOST,
    noun: str = "",
    value: str = "",
    group: str = "options",
) -> Any:
    """A field of a command's options. `factory` makes a default that is the project's."""
    told = {
        "help": help_,
        "choices": choices,
        "least": least,
        "most": most,
        "noun": noun,
        "value": value,
        "group": group,
    }
    if factory:
        return field(default_factory=factory, metadata=told)
    return field(default=default, metadata=told)


def setting(name: str) -> str:
    """What the project chose in configs/project.toml, the first of a list; a default."""
    from jaxpad.core.paths import settings  # here: `--help` reads no project

    value = getattr(settings(), name)
    return value if isinstance(value, str) else next(iter(value), "")


def settings(name: str) -> tuple[str, ...]:
    """All of such a list."""
    from jaxpad.core.paths import settings as chosen

    return tuple(getattr(chosen(), name))


def rest() -> Any:
    """The field that takes the words behind `--`."""
    return field(default=(), metadata={"rest": True})


def declared(options: type) -> tuple[Option, ...]:
    """What is declared in a dataclass, in its order; without the words behind `--`."""
    return tuple(
        Option(one.name, _kind(str(one.type)), default=_default(one.default), **one.metadata)
        for one in fields(options)
        if "help" in one.metadata
    )


def takes_words(options: type) -> bool:
    """Whether words may follow behind `--`."""
    return any("rest" in one.metadata for one in fields(options))


def read(options: type[T], words: Mapping[str, Any], behind: tuple[str, ...] = ()) -> T:
    """The options as typed: text for a value, a bool for a switch, "" for what was not given.

    Raises UsageError, one sentence, for a value that is not of the option's type, choices or range.
    """
    given: dict[str, Any] = {
        one.name: _value(one, words[one.name])
        for one in declared(options)
        if words.get(one.name, "") != ""
    }
    if takes_words(options):
        name = next(one.name for one in fields(options) if "rest" in one.metadata)  # type: ignore[arg-type]
        given[name] = behind
    return options(**given)


def _kind(annotation: str) -> str:
    return {"tuple[str, ...]": "words"}.get(annotation, annotation.removesuffix(" | None"))


def _default(value: Any) -> str:
    if value is MISSING or value is None or isinstance(value, bool | tuple) or value == "":
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(one: Option, word: Any) -> Any:
    if one.kind == "bool":
        return bool(word)
    text = str(word)
    if one.choices and text not in one.choices:
        raise UsageError(unknown(one.noun or one.name.replace("_", " "), text, one.choices))
    return {"int": _whole, "float": _number, "words": _words, "Path": _path}.get(one.kind, _text)(
        one, text
    )


def _text(_one: Option, text: str) -> str:
    return text


def _path(_one: Option, text: str) -> Path:
    return Path(text)


def _whole(one: Option, text: str) -> int:
    digits = text.removeprefix("-")
    number = int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else None
    if number is None or not one.least <= number <= one.most:
        raise UsageError(f"{one.flag} must be {_wanted(one)}, got {text!r}")
    return number


def _number(one: Option, text: str) -> float:
    try:
        number = float(text) if text.isascii() else math.nan
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and one.least <= number <= one.most):
        raise UsageError(f"{one.flag} must be {_wanted(one)}, got {text!r}")
    return number


def _wanted(one: Option) -> str:
    noun = one.noun or ("a whole number" if one.kind == "int" else "a number")
    if math.isfinite(one.least) and one.most < MOST:
        return f"{noun} from {_plain(one.least)} to {_plain(one.most)}"
    return f"{noun} from {_plain(one.least)} on" if math.isfinite(one.least) else noun


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:g}"


def _words(one: Option, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"{one.flag} {text!r} cannot be split into words: {error}") from None
