"""How long `.ci/run` takes, lane by lane, in a fresh clone of what is committed here.

The number to look at is the sum: at most 35 minutes on two cores. The first run on a machine
installs Debian's packages and makes the base images, so it takes longer than the next.

    python -m benchmarks.ci_time             # run it
    python -m benchmarks.ci_time FILE        # read the output of a run that was kept
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import results

HOME = Path(__file__).resolve().parent.parent
LANE = re.compile(r"^(?P<name>\w[\w. ]*?) +(?P<seconds>\d+) s(?:  (?P<ended>.+))?$", re.MULTILINE)
HEADING = "=== lanes\n"


def lanes(log: str) -> dict[str, int]:
    """Seconds by lane from the end of a run's output, `all` last.

    Raises ValueError where the run did not come to its end, or a lane failed.
    """
    found = list(LANE.finditer(log.rpartition(HEADING)[2])) if HEADING in log else []
    failed = [one["name"] for one in found if one["ended"] not in (None, "passed")]
    if not found or failed:
        raise ValueError(f"no whole run: {', '.join(failed) or 'it says nothing of its lanes'}")
    return {one["name"]: int(one["seconds"]) for one in found}


def run() -> str:
    """The output of `.ci/run` in a clone of its own, shown on stderr as it comes."""
    said = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(HOME), folder], check=True)
        argv = ["bash", ".ci/run"]
        with subprocess.Popen(argv, cwd=folder, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout
            for line in running.stdout:
                sys.stderr.write(line)
                said.append(line)
    return "".join(said)


def main() -> None:
    """Note the whole and each lane."""
    log = Path(sys.argv[1]).read_text() if sys.argv[1:] else run()
    found = lanes(log)
    each = ", ".join(f"{name} {seconds} s" for name, seconds in found.items() if name != "all")
    results.note(
        "ci_time",
        what="`.ci/run` in a fresh clone (goal: at most 35 min; 4,848 s before tests ran in lanes)",
        value=f"{found['all']} s ({each})",
        command="python -m benchmarks.ci_time",
    )


if __name__ == "__main__":
    main()
