"""What one process says of itself: the content of rank-<i>.json.

Times are seconds since 1970 by the clock of the process's own node.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from jaxpad.verdict import Verdict, overall

SCHEMA_VERSION = 1
STAGES = ("start", "join", "devices", "compare", "clock", "correct", "speed", "pairs", "leave")
# Questions about all processes at once: a failure is not the fault of whoever reports it.
SHARED = (
    "processes",
    "devices",
    "device kind",
    "versions",
    "profile",
    "XLA flags",
    "clock",
    "start",
    "in step",
    "bandwidth",
    "pairs",
)
ENDS = ("finished", "raised", "died", "stopped", "cancelled")


@dataclass(frozen=True)
class Stage:
    """Where a process is. Steps are numbered alike on every process of a run."""

    name: str = "start"
    detail: str = ""
    step: int = 0
    since: float = 0.0
    together: bool = False  # it needs its peers: whoever waits here waits for them


@dataclass(frozen=True)
class Identity:
    """What has to be the same everywhere."""

    versions: dict[str, str] = field(default_factory=dict)  # by package
    profile: str | None = None
    xla_flags: str = ""


@dataclass(frozen=True)
class Check:
    """One question, as this process answers it.

    `odd` are the ranks that a failure is laid to; with `sure` False it is one of them.
    """

    name: str
    verdict: Verdict
    reason: str
    remedy: str = ""
    odd: tuple[int, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class Rate:
    """The bus bandwidth of one collective over all devices, by nccl-tests' formulas."""

    kind: str  # "all_reduce"
    bytes: int  # as nccl-tests count them
    gb_per_s: float  # median over batches of calls
    batches: int


@dataclass(frozen=True)
class Pair:
    """The bus bandwidth of an all_reduce over the devices of two nodes, by themselves."""

    nodes: tuple[str, ...]
    bytes: int
    gb_per_s: float


@dataclass(frozen=True)
class Clock:
    """How far this node's clock is ahead of rank 0's: surely between the two, in seconds."""

    least: float
    most: float


@dataclass(frozen=True)
class End:
    """How a process ended.

    finished: it came to its end; raised: a Python error; died: a signal, or an exit of
    JAX's own; stopped: past the time limit; cancelled: told to end from outside.
    """

    how: str
    why: str
    at: float
    for_a_peer: bool = False  # the words say that a peer had gone, so the fault is not here


@dataclass(frozen=True)
class Record:
    """All that one process says, so far."""

    rank: int
    processes: int
    node: str
    pid: int
    launcher: str  # "slurm", "kubernetes", ...
    began: float
    run: str = ""  # tells this run from another in the same folder
    arrived: float | None = None  # when it was ready to meet the others
    nodes: tuple[str, ...] = ()  # of the job, as the scheduler lists them; from one rank of a node
    identity: Identity = field(default_factory=Identity)
    platform: str | None = None  # where JAX computes; None: not known yet
    kind: str | None = None  # "NVIDIA H100 80GB HBM3"
    local_devices: int | None = None
    devices: int | None = None  # of all processes
    stage: Stage = field(default_factory=Stage)
    checks: tuple[Check, ...] = ()
    rates: tuple[Rate, ...] = ()
    pairs: tuple[Pair, ...] = ()  # that this node is in
    transport: tuple[str, ...] = ()  # "NET/IB", "P2P/CUMEM", ...
    clock: Clock | None = None
    end: End | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst answer; peers that keep it from its end leave it inconclusive."""
        return overall((self._ending, *(check.verdict for check in self.checks)))

    @property
    def own_verdict(self) -> Verdict:
        """The same without the questions about all processes at once."""
        own = (check.verdict for check in self.checks if check.name not in SHARED)
        return overall((self._ending, *own))

    @property
    def _ending(self) -> Verdict:
        if self.end is None or self.end.how in ("stopped", "cancelled") or self.end.for_a_peer:
            return Verdict.INCONCLUSIVE
        return Verdict.PASS if self.end.how == "finished" else Verdict.FAIL
