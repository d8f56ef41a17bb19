"""A kubectl without a cluster, which a test puts on PATH; it plays what a scenario says.

$FAKE_KUBECTL is a folder: `scenario.json`, `logs/STAGE-INDEX.log`, and what it writes there
itself: `calls` (its argv, a line each) and `created-N.yaml`. A scenario has for each stage a
list of pods, and for each pod a list of states, one for each time it is asked for; the last
one stays. Python's standard library only, since every call starts it anew.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ.get("FAKE_KUBECTL", "."))


def main() -> int:
    words = _parser().parse_args()
    with (FOLDER / "calls").open("a") as calls:
        calls.write(json.dumps(sys.argv[1:]) + "\n")
    scenario = json.loads((FOLDER / "scenario.json").read_text())
    refused = scenario.get("refuse", {}).get(words.verb)
    if refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    output = {"create": create, "get": get, "logs": logs, "delete": delete}[words.verb]
    return output(words, scenario)


def _parser() -> argparse.ArgumentParser:
    """Only the options that jaxpad gives: any other is an error, as with kubectl."""
    parser = argparse.ArgumentParser(prog="kubectl", allow_abbrev=False)
    for option in ("--namespace", "--request-timeout", "--context"):
        parser.add_argument(option)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("create").add_argument("--filename", required=True, choices=["-"])
    asked = verbs.add_parser("get")
    asked.add_argument("what", choices=["pods", "events"])
    asked.add_argument("--selector")
    asked.add_argument("--field-selector")
    asked.add_argument("--output", required=True, choices=["json"])
    log = verbs.add_parser("logs")
    log.add_argument("pod")
    log.add_argument("--container", required=True)
    log.add_argument("--limit-bytes", type=int)
    deleted = verbs.add_parser("delete")
    deleted.add_argument("kinds")
    deleted.add_argument("--selector", required=True)
    deleted.add_argument("--wait", choices=["false"])
    deleted.add_argument("--ignore-not-found", action="store_true")
    return parser


def create(_words: argparse.Namespace, scenario: dict[str, Any]) -> int:
    number = _count("creates")
    (FOLDER / f"created-{number}.yaml").write_text(sys.stdin.read())
    if number == scenario.get("refuse_create_at"):
        sys.stderr.write(f"{scenario['because']}\n")
        return 1
    return 0


def get(words: argparse.Namespace, scenario: dict[str, Any]) -> int:
    if words.what == "events":
        return _print({"items": scenario.get("events", [])})
    stage = dict(pair.split("=") for pair in words.selector.split(","))["jaxpad.io/stage"]
    number = _count(f"asked-{stage}")
    if number == scenario.get(f"signal_at_{stage}"):
        os.kill(os.getppid(), signal.SIGINT)
    if number in scenario.get("silent_at", []):
        sys.stderr.write("Unable to connect to the server: dial tcp 10.0.0.1:6443: i/o timeout\n")
        return 1
    pods = enumerate(scenario["stages"][stage])
    now = ((index, states[min(number, len(states) - 1)]) for index, states in pods)
    return _print({"kind": "List", "items": [_pod(stage, i, state) for i, state in now if state]})


def _pod(stage: str, index: int, state: dict[str, Any]) -> dict[str, Any]:
    """A pod as the API gives it, as far as jaxpad reads it, and a little more."""
    container = {key: state[key] for key in ("waiting", "running", "terminated") if key in state}
    status = {
        key: state[key] for key in ("phase", "reason", "message", "conditions") if key in state
    }
    name = f"{stage}-{index}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": state.get("name", name),
            "creationTimestamp": f"2026-01-01T00:00:{index:02}Z",
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
        },
        "spec": {"nodeName": state["node"]} if "node" in state else {},
        "status": status | {"containerStatuses": [{"name": "jaxpad", "state": container}]},
    }


def logs(words: argparse.Namespace, _scenario: dict[str, Any]) -> int:
    log = FOLDER / "logs" / f"{words.pod}.log"
    if not log.exists():
        sys.stderr.write(f'Error from server (NotFound): pods "{words.pod}" not found\n')
        return 1
    sys.stdout.write(log.read_text())
    return 0


def delete(_words: argparse.Namespace, _scenario: dict[str, Any]) -> int:
    return 0


def _count(name: str) -> int:
    """How often this was called before."""
    file = FOLDER / name
    number = int(file.read_text()) if file.exists() else 0
    file.write_text(str(number + 1))
    return number


def _print(data: dict[str, Any]) -> int:
    json.dump(data, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
