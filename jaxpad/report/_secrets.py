"""How credentials, GPU UUIDs and serial numbers look in text, and their removal."""

from __future__ import annotations

import re
from functools import lru_cache

HIDDEN = "<redacted>"

_NAMES = (
    r"pass(?:word|wd|phrase)|secret|token|credentials?|authorization"
    r"|(?:api|access|secret|private|signing)[_-]?key(?:[_-]?id)?"
    r"|x-amz-(?:signature|credential|security-token)"
)
_QUOTED = r"\"[^\"\n]*\"|'[^'\n]*'"
# `KEY=` counts in capitals only: `key=jax.random.key(0)` is everyday JAX.
_NAME = rf"(?<![\w-])-{{0,2}}(?:[\w-]*[_-])?(?:(?i:{_NAMES})|KEY)"

_RULES = [
    (re.compile(pattern, re.DOTALL), replacement)
    for pattern, replacement in (
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", HIDDEN),
        # scheme://user:password@host, and scheme://token@host. Lengths are bounded, as
        # looking for the @ from each of a thousand starts would take minutes.
        (r"(?<=://)(?:[^\s/:@\"'<>]{1,99}:[^\s\"'<>]{1,999}|[^\s/?#\"'<>]{1,999})@", f"{HIDDEN}@"),
        (r"(?i)\b(authorization[\"']?\s*[:=]\s*[\"']?\w+\s+)[^\s\"']+", rf"\1{HIDDEN}"),
        (r"(?i)\b(bearer\s+)[\w.~+/=-]{8,}", rf"\1{HIDDEN}"),
        # TOKEN=abc, "password": "abc", password = 'abc', api_key: abc, --token abc
        (rf"({_NAME}[\"']?\s*[=:]\s*)(?:{_QUOTED})", rf"\1{HIDDEN}"),
        (rf"({_NAME}=)[^\s&]+", rf"\1{HIDDEN}"),
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
_SECRET_NAME = re.compile(rf"(?i)(?:.*[._-])?(?:{_NAMES}|key|serial(?:[_-]?number)?)", re.DOTALL)


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
