"""What the last words of a process mean: its own fault, or a peer's."""

from __future__ import annotations

import re
import signal

from jaxpad.multi._wire import clean

MOST = 300  # characters kept of a message
# JAX, Gloo, NCCL and gRPC where a peer is not there (any more).
_PEER = re.compile(
    r"DEADLINE_EXCEEDED|UNAVAILABLE|Connection (?:reset|closed|refused)|[Hh]eartbeat|Broken pipe"
    r"|another task died|Barrier (?:timed out|failed)|Socket closed|ncclRemoteError"
    r"|NCCL.*remote process|[Tt]imed out|[Tt]imeout",
)
# https://github.com/openxla/xla/blob/main/xla/pjrt/distributed/client.h: the process is
# aborted, no exception is raised.
_FATAL = "Terminating process because the JAX distributed service detected fatal errors"
_STOP = ("RPC:", "===", "***", "    @")


def of_a_peer(words: str) -> bool:
    """Whether a message says that a peer had gone."""
    return bool(_PEER.search(words))


def short(words: str) -> str:
    """A message on one line, not too long."""
    return clean(" ".join(words.split()))[:MOST]


def of_error(error: BaseException) -> str:
    """An exception in one line."""
    return short(f"{type(error).__name__}: {error}")


def fatal(log: str) -> str:
    """What JAX's runtime said when it ended the process; empty: it did not."""
    lines = log.splitlines()
    at = next((at for at, line in enumerate(lines) if _FATAL in line), None)
    if at is None:
        return ""
    found = [lines[at].partition("absl::Status: ")[2] or _FATAL]
    for line in lines[at + 1 : at + 6]:
        if line.startswith(_STOP):
            break
        found.append(line)
    return short(f"JAX ended it: {' '.join(found)}")


def of_code(code: int) -> str:
    """How a process ended by its exit code, negative for a signal."""
    if code >= 0:
        return f"ended with exit code {code} and without a word"
    try:
        return f"was ended by {signal.Signals(-code).name} ({signal.strsignal(-code)})"
    except ValueError:
        return f"was ended by signal {-code}"
