"""The project's tasks: `invoke --list`. `jaxpad NAME` is the same set, from any folder.

What each takes and does is declared in jaxpad.commands; nothing heavy is imported until a task
runs. A task of your own goes below, as invoke has it.
"""

from __future__ import annotations

import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent
if (HOME / "jaxpad").is_dir():  # a checkout that is not installed
    sys.path.insert(0, str(HOME))

from jaxpad.commands import COMMANDS  # noqa: E402
from jaxpad.commands.tasks import collection  # noqa: E402

commands = list(COMMANDS)
if (HOME / "tools" / "commands.py").is_file():  # a checkout: its pins, style, tests and docs
    from tools.commands import COMMANDS as CHECKOUTS_OWN

    commands += CHECKOUTS_OWN

namespace = collection(commands)
