"""Ask Slurm which nodes to test."""

from __future__ import annotations

import re

from jaxpad.cluster import Cluster
from jaxpad.engines import _slurm as words
from jaxpad.errors import UsageError
from jaxpad.slurm._call import Refused, ask
from jaxpad.slurm._nodes import Choice, choose, parse

_NODES = re.compile(r"(?:^|\s)Nodes=(\S+)")


def survey(wanted: Cluster) -> Choice:
    """The nodes that were asked for. Raises UsageError where Slurm knows no such thing."""
    try:
        within = _within(wanted)
        without = _expanded(wanted.exclude)
        # A list that was named is not held to the default partition: sbatch will say.
        listed = ask(words.sinfo_argv(wanted.partition, ",".join(within)))
    except Refused as error:
        raise UsageError(f"Slurm does not say which nodes there are: {error}") from error
    nodes = parse(listed, wanted.partition or wanted.nodelist or wanted.reservation)
    return choose(nodes, wanted, within, without)


def _within(wanted: Cluster) -> tuple[str, ...]:
    """The nodes named by list, by reservation, or by both."""
    named = _expanded(wanted.nodelist)
    if not wanted.reservation:
        return named
    found = _NODES.search(ask(words.reservation_argv(wanted.reservation)))
    held = _expanded(found[1] if found and found[1] != "(null)" else "")
    outside = [name for name in named if name not in held]
    if outside or not held:
        what = outside[0] if outside else "node"
        raise UsageError(f"the reservation {wanted.reservation} has no {what}")
    return named or held


def _expanded(nodelist: str) -> tuple[str, ...]:
    """The names in a list such as `n[0-3],n7`, each once."""
    if not nodelist:
        return ()
    return tuple(dict.fromkeys(ask(words.hostnames_argv(nodelist)).split()))
