"""A fleet for Prometheus, by way of node_exporter's textfile collector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from jaxpad.fleet._model import Fleet
from jaxpad.textfile import Metric, text
from jaxpad.verdict import Verdict

WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)


def prometheus(found: Fleet, unix_s: float) -> str:
    """All metrics as text. Only nodes that are no pass have one of their own."""
    return text("jaxpad_fleet", _metrics(found, unix_s))


def _metrics(found: Fleet, unix_s: float) -> Iterator[Metric]:
    states = Counter(node.state for node in found.nodes)
    slow = {each.node for each in found.outliers if each.slow}
    code = float(found.verdict.exit_code)
    yield "exit_code", "0 pass or not applicable, 1 fail, 3 inconclusive", [({}, code)]
    yield "timestamp_seconds", "When the reports were merged, Unix time", [({}, round(unix_s, 3))]
    verdicts = [({"verdict": name}, float(count)) for name, count in found.counts.items()]
    yield "nodes", "Nodes by verdict", verdicts
    kinds = ("tested", "missing", "not tested", "set aside")
    yield "states", "Nodes by what came of them", [({"state": k}, float(states[k])) for k in kinds]
    yield "drain_nodes", "Nodes to drain", [({}, float(len(found.to_drain)))]
    yield "shared_failures", "Failures most nodes share", [({}, float(len(found.shared)))]
    yield "set_aside", "Folders nothing was taken from", [({}, float(len(found.set_aside)))]
    yield "slow_nodes", "Nodes with a GPU slower than its peers", [({}, float(len(slow)))]
    yield "drift", "Settings that differ between nodes", [({}, float(len(found.drift)))]
    for verdict in WRONG:
        names = [node.name for node in found.nodes if node.verdict is verdict]
        words = f"Nodes that are {verdict}" if verdict is not Verdict.FAIL else "Nodes that fail"
        named = [({"node": name}, 1.0) for name in names]
        yield f"node_{'failed' if verdict is Verdict.FAIL else verdict}", words, named
    yield "node_to_drain", "Nodes to drain", [({"node": n.name}, 1.0) for n in found.to_drain]
