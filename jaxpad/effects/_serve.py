"""The loop of a worker: a line of JSON in, a line of JSON out."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

_GRACE = 10  # seconds that a parent has to end this process itself


def serve(pipe: int, answer: Callable[[dict[str, Any]], Any]) -> None:
    """Answer each request on standard input through the pipe, until there are no more.

    A request's `limit` is in seconds; standard output is the program's own.
    """
    with os.fdopen(pipe, "w", encoding="utf-8") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            signal.alarm(int(request["limit"]) + _GRACE)  # ends a hang that nobody waits for
            answers.write(f"{json.dumps(answer(request))}\n")
            answers.flush()
            signal.alarm(0)
