"""Take out of a report what its reader need not know: people, hardware identities, secrets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from jaxpad.core.results import (
    CheckResult,
    Device,
    Fact,
    Gpu,
    GpuFinding,
    Judgement,
    Platform,
    Rate,
    Report,
)
from jaxpad.nvml import Trace

# How credentials, GPU UUIDs and serial numbers look in text, and their removal.

HIDDEN = "<redacted>"

_NAMES = (
    r"pass(?:word|wd|phrase)|secret|token|credentials?|authorization|cookie|signature"
    r"|(?:api|access|secret|private|signing|account)[_-]?key(?:[_-]?id)?"
    r"|x-amz-(?:signature|credential|security-token)"
)
# `PWD` and `BYPASS` are everyday words, `MYSQL_PWD` and `DB_PASS` are not.
_AFTER_A_DASH = r"(?:pass|pwd|sig|sas|pat|webhook(?:_url)?)"
_WHOLE = r"[A-Z0-9]{1,30}(?:PASSWORD|PASSWD|TOKEN|SECRET|APIKEY)|SSHPASS"  # as in PGPASSWORD
_CAPITALS = r"PASSWORD|PASSWD|PASS|PWD|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|KEY"
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'"
# `KEY=` counts in capitals only: `key=jax.random.key(0)` is everyday JAX.
_NAME = (
    rf"(?<![\w-])-{{0,2}}(?:(?:[\w-]*[_-])?(?:(?i:{_NAMES})|KEY)"
    rf"|[\w-]*[_-](?i:{_AFTER_A_DASH})|{_WHOLE})"
)
# In a query of an address, or between semicolons: ?sig=, &token=, ;AccountKey=
_PARAMETER = r"sig|signature|sas|se|key|code|auth|pass(?:word)?|pwd|token|session(?:id)?"

_RULES = [
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # scheme://user:password@host, and scheme://token@host. Lengths are bounded, as
        # looking for the @ from each of a thousand starts would take minutes.
        (r"(?<=://)(?:[^\s/:@\"'<>]{1,99}:[^\s\"'<>]{1,999}|[^\s/?#\"'<>]{1,999})@", f"{HIDDEN}@"),
        (r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?\w+\s+)[^\s\"']+", rf"\1{HIDDEN}"),
        (r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}", rf"\1{HIDDEN}"),
        (r"(?i)\b((?:set-)?cookie[\"']?\s*[:=]\s*)[^\n\"']+", rf"\1{HIDDEN}"),
        (rf"(?i)([?&;](?:[\w-]{{1,40}}[_-])?(?:{_PARAMETER})=)[^&;\s\"'#]+", rf"\1{HIDDEN}"),
        (r"(?i)\b((?:account|shared-?access)(?:key|signature)=)[^;&\s\"']+", rf"\1{HIDDEN}"),
        (
            r"(?i)(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/)\S+",
            rf"\1{HIDDEN}",
        ),
        (r"(\s(?:-u|--user)[ =](?!\d+:\d+\b)[^\s:]{1,99}:)\S+", rf"\1{HIDDEN}"),  # curl, wget
        (r"(\bmysql\w{0,10}\b[^\n|;]{0,200}?\s-p)\S+", rf"\1{HIDDEN}"),
        (r"(\blogin\s+\S{1,99}\s+password\s+)\S+", rf"\1{HIDDEN}"),  # .netrc
        # TOKEN=abc, "password": "abc", password = 'abc', api_key: abc, --token abc
        (rf"({_NAME}[\"']?\s*[=:]\s*)(?:{_QUOTED})", rf"\1{HIDDEN}"),
        (rf"({_NAME}=)[^\s&]+", rf"\1{HIDDEN}"),
        (rf"({_NAME}[ \t]{{1,3}}=[ \t]{{1,3}})[^\s&=]\S*", rf"\1{HIDDEN}"),
        # HF_TOKEN: abc, X-Auth-Token: abc; but "the stray token: abc" is no secret
        (rf"((?<![\w-])(?:[A-Z0-9]+_)*(?:{_CAPITALS})\s*:\s*)[^\s\"']+", rf"\1{HIDDEN}"),
        (
            r"((?<![\w-])(?i:x-[\w-]{0,40}(?:token|key|secret|auth))\s*:\s*)[^\s\"']+",
            rf"\1{HIDDEN}",
        ),
        (r"((?i:pass(?:word|wd|phrase)|secret|api[_-]?key)\s*:\s*)[^\s\"']+", rf"\1{HIDDEN}"),
        (rf"((?<![\w-])--?(?:[\w-]*-)?(?i:{_NAMES})\s+)[^\s-]\S*", rf"\1{HIDDEN}"),
        # Keys that show by their own shape: AWS, GitHub, GitLab, Hugging Face, NVIDIA NGC,
        # OpenAI, Slack, Google, and JSON web tokens.
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", HIDDEN),
        (r"\b(?:gh[opsur]_|github_pat_|glpat-|hf_|nvapi-|sk-|xox[a-z]-|AIza)[\w-]{16,}", HIDDEN),
        (r"\beyJ[\w-]{8,999}\.[\w-]{2,9999}\.[\w-]+", HIDDEN),
        # CUDA_VISIBLE_DEVICES takes a UUID cut short, too.
        (r"\b(GPU|MIG)-([0-9a-fA-F]{4})[0-9a-fA-F][0-9a-fA-F-]{3,}", rf"\1-\2{HIDDEN}"),
        (
            r"(?i)(serial(?:[ _-]?(?:number|num|no\.?))?[\"']?[:=#\s]+[\"']?)(?=[\w-]*\d)[\w-]{5,}",
            rf"\1{HIDDEN}",
        ),
    )
]
_SECRET_NAME = re.compile(
    rf"(?i:(?:.*[._-])?(?:{_NAMES}|key|serial(?:[_-]?number)?)|.*[_-]{_AFTER_A_DASH})|{_WHOLE}",
    re.DOTALL,
)


@lru_cache(maxsize=1024)  # a run redacts its report anew after each file
def hide(text: str) -> str:
    """`text` with every secret in it replaced by `<redacted>`."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def names_secret(name: str) -> bool:
    """Whether a variable, option or field of this name holds a secret, or a serial number."""
    return _SECRET_NAME.fullmatch(name.lstrip("-")) is not None


def hide_arguments(command: tuple[str, ...]) -> tuple[str, ...]:
    """A command line with the word after `--token` and its like replaced."""
    before = ("", *command)
    return tuple(
        HIDDEN if option.startswith("--") and names_secret(option) else word
        for option, word in zip(before, command, strict=False)
    )


USER = "<user>"
HOST = "<host>"

# Names that tell nobody who it was, and that stand for other things in a report:
# "root" is also a folder and a term of NCCL, "test" and "jax" are everywhere.
_EVERYDAY = """
admin app container cuda debian default dev docker ec2-user gpu guest home jax jovyan local
main mpi node nobody nvidia opc root runner slurm test ubuntu user users vscode work
"""
COMMON = frozenset(_EVERYDAY.split())

# Words of jaxpad's own that are not free text: a user called "gpu" must not change them.
CLOSED: dict[type, frozenset[str]] = {
    Report: frozenset({"jaxpad", "started"}),
    Platform: frozenset({"requested", "expected", "found"}),
    CheckResult: frozenset({"file", "name", "verdict"}),
    Device: frozenset({"platform"}),
    Rate: frozenset({"program", "variant", "platform", "unit"}),
    Judgement: frozenset({"verdict"}),
    Gpu: frozenset({"pci_bus_id", "peaks"}),
    GpuFinding: frozenset({"name", "verdict"}),
}

NOBODYS = ("", "/", "/tmp")  # noqa: S108 - homes of users that a container made up
_OTHER_HOME = re.compile(r"(?:(?<=/home/)|(?<=/Users/))(?!<)[^/\s:;,'\"()\[\]{}<>|&*?]+")

# How `jaxpad health` names who computes: "pid 4711 (/usr/bin/python3, 66.1 GB)". A name may
# hold a bracket of its own, so it ends where the sentence goes on, or at its end.
_PROCESS = re.compile(
    r"(?<=pid )(\d+ )\((?!<redacted>).*?(, [\d.]+ GB)?\)"
    r"(?=, pid \d| and \d+ more|, and \d| \(judged|$)",
    re.DOTALL,
)

_NAME_OF_PROCESS = re.compile(r"processes\.(?!.*(?:_bytes|pid)$).*", re.DOTALL)

Rule = Callable[[str], str]
T = TypeVar("T", Report, Trace)


def redact(
    report: T, *, user: str | None, home: str | Path | None, host_names: Iterable[str] = ()
) -> T:
    """The report, or trace, without user names, home folders, UUIDs, serials and credentials.

    `user` and `home` are the caller's own, where known. Other people's are taken from
    paths under /home and /Users. Host names stay unless given, since a fleet report
    needs them. Redacting twice changes nothing more.

    - home folder: `~`; user name, as a whole word: `<user>`. A common name such as `root`
      goes only where it stands for a user: `root@`, `user=root`, `/home/root`.
    - GPU-1a2b3c4d-… and MIG-…: `GPU-1a2b<redacted>`. Four digits tell the GPUs of a node
      apart, and say nothing to whoever does not have the whole.
    - serial numbers, credentials and the names of processes on a GPU: `<redacted>`.
    """
    return _walk(report, rule(user, home, host_names))  # type: ignore[no-any-return]


def rule(user: str | None, home: str | Path | None, host_names: Iterable[str] = ()) -> Rule:
    """What `redact` does to one text."""
    steps: list[Rule] = [hide, _homes(home), _user(user), *map(_host, host_names)]

    def apply(text: str) -> str:
        for step in steps:
            text = step(text)
        return text

    return apply


def _walk(value: Any, change: Rule) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple):
        # A trace has columns of a hundred thousand numbers: nothing to read there.
        numbers = bool(value) and isinstance(value[-1], int | float)
        return value if numbers else tuple(_walk(entry, change) for entry in value)
    if isinstance(value, dict):
        return {name: _entry(name, entry, change) for name, entry in value.items()}
    if not dataclasses.is_dataclass(value):
        return value
    closed = CLOSED.get(type(value), frozenset())
    names = {field.name for field in dataclasses.fields(value)} - closed
    changed = {name: _walk(getattr(value, name), change) for name in names}
    if isinstance(value, Report):
        changed["command"] = hide_arguments(changed["command"])
    if isinstance(value, GpuFinding):
        changed["seen"] = _PROCESS.sub(rf"\1({HIDDEN}\2)", changed["seen"])
    return dataclasses.replace(value, **changed)  # type: ignore[type-var]


def _entry(name: str, value: Any, change: Rule) -> Any:
    """A named value: the name alone may say that it is a secret."""
    if not (names_secret(name) or _NAME_OF_PROCESS.fullmatch(name)):
        return _walk(value, change)
    if isinstance(value, Fact):  # why there is no value is no secret
        value = dataclasses.replace(value, reason=change(value.reason) if value.reason else None)
        return dataclasses.replace(value, value=HIDDEN if value.value else value.value)
    return _walk(value, lambda text: HIDDEN if text else text)


def _homes(home: str | Path | None) -> Rule:
    folder = str(home or "").rstrip("/")
    others = _replacing(_OTHER_HOME, USER)
    if folder in NOBODYS:
        return others
    # Not inside a longer path (/mnt/home/ann) or a longer name (/home/anna).
    own = re.compile(rf"(?<![\w.]){re.escape(folder)}(?![\w-]|\.\w)")
    return lambda text: others(own.sub("~", text))


def _user(user: str | None) -> Rule:
    """A name that could be another word goes only where it stands for a user."""
    if not user:
        return str
    name = re.escape(user)
    if user.lower() in COMMON:
        return _replacing(re.compile("|".join(_as_user(name))), USER)
    if len(user) < 3:
        return _replacing(re.compile("|".join([*_as_user(name), rf"(?<=/){name}(?![\w.-])"])), USER)
    return _replacing(re.compile(rf"(?<![\w<]){name}(?![\w>])"), USER)


def _as_user(name: str) -> list[str]:
    """root@host, user=root, USER: root, uid=0(root)."""
    labels = (f"(?i:(?<={label}))" for label in ("user=", "user: ", "username=", "logname="))
    return [rf"(?<![\w<.-]){name}(?=@)", rf"(?<=\d\(){name}(?=\))"] + [
        rf"{label}{name}(?![\w-])" for label in labels
    ]


def _host(name: str) -> Rule:
    return _replacing(re.compile(rf"(?<![\w<-]){re.escape(name)}(?![\w>-])"), HOST) if name else str


def _replacing(pattern: re.Pattern[str], word: str) -> Rule:
    return lambda text: pattern.sub(word, text)
