"""Records the licence of every pin in docs/licences.toml: `python -m docs.licences`.

pip is asked for each distribution's metadata alone, for both Pythons, Linux and Windows; the
wheels themselves, 5 GB of them NVIDIA's, are not fetched.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tools import licences
from tools.licences import Pin
from tools.upkeep import checkout

HOME = Path(__file__).resolve().parent.parent
PYTHONS = ("3.12", "3.11")
# Windows too: two pins are for it alone. macOS gets what Linux and Windows get.
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64", "win_amd64")


def main() -> int:
    """Ask until every pin has told its licence; write nothing, and return 1, if one does not."""
    found: dict[str, str] = {}
    wanted = licences.read_pins(checkout(HOME) / "requirements")
    for python in PYTHONS:
        for group in licences.rounds(pin for pin in wanted if _name(pin) not in found):
            found |= ask(group, python)
    missing = [_name(pin) for pin in wanted if _name(pin) not in found]
    if missing:
        sys.stderr.write(f"no metadata of {', '.join(missing)}: nothing written\n")
        return 1
    (HOME / licences.RECORD).write_text(licences.text(found))
    return 0


def ask(group: Sequence[Pin], python: str) -> dict[str, str]:
    """Licence by `name==version`; nothing where pip cannot find one of them for this Python."""
    with tempfile.TemporaryDirectory() as folder:
        names, report = Path(folder) / "names.txt", Path(folder) / "report.json"
        # Without hashes: pip would fetch whole wheels to check them. Nothing is installed.
        names.write_text("".join(f"{_name(pin)}\n" for pin in group))
        done = subprocess.run(argv(names, report, python), check=False)
        told = json.loads(report.read_text())["install"] if done.returncode == 0 else []
    return dict(_stated(one["metadata"]) for one in told)


def argv(names: Path, report: Path, python: str) -> list[str]:
    """pip, looking only."""
    look = ["--dry-run", "--no-deps", "--ignore-installed", "--quiet", "--report", str(report)]
    where = ["--target", str(names.parent / "unused"), "--only-binary", ":all:"]
    platforms = [word for one in PLATFORMS for word in ("--platform", one)]
    target = [*where, "--python-version", python, *platforms]
    return [sys.executable, "-m", "pip", "install", *look, *target, "-r", str(names)]


def _stated(told: dict[str, Any]) -> tuple[str, str]:
    words = licences.stated(
        told.get("license_expression"), told.get("classifier", ()), told.get("license")
    )
    return f"{canonicalize_name(told['name'])}=={told['version']}", words


def _name(pin: Pin) -> str:
    return f"{pin.name}=={pin.version}"


if __name__ == "__main__":
    raise SystemExit(main())
