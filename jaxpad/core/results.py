"""What a smoke run found, as plain data: the content of smoke.json.

`report/smoke.schema.json` is the same thing for readers of the JSON; a test holds the
two together.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

# Errors that are the caller's to fix.


class UsageError(Exception):
    """Bad input: one sentence that names what was given, what was expected and the remedy.

    The command line prints the sentence, no traceback, and exits 2.
    """


# The four answers a check can give, and what they mean to a shell.

USAGE_ERROR = 2


class Verdict(enum.StrEnum):
    """The answer to one check. Inconclusive is never pass; fail outranks it."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """0 pass or not applicable, 1 fail, 3 inconclusive (2 is kept for usage errors)."""
        return {Verdict.FAIL: 1, Verdict.INCONCLUSIVE: 3}.get(self, 0)


# How a verdict looks on a terminal, in rich's words.
STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.NOT_APPLICABLE: "dim",
}


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict for many: the worst of them.

    Fail outranks inconclusive, which outranks pass, which outranks not applicable.
    No verdict at all is inconclusive: nothing was shown.
    """
    found = set(verdicts)
    order = (Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.NOT_APPLICABLE)
    return next((verdict for verdict in order if verdict in found), Verdict.INCONCLUSIVE)


def lack(what: str, seen: Collection[object], wanted: int = 1) -> str:
    """Why a collection is no evidence: less in it than `wanted`; empty where it is enough.

    Every judge of a collection asks this before it passes: of nothing, all is well.
    """
    if len(seen) >= wanted:
        return ""
    return f"only {len(seen)} of {wanted}: {what}" if seen else f"no {what} was seen"


SCHEMA_VERSION = 2
# Whether all GPUs are there: told first where it fails, as much else may follow from it.
COUNT = "test_health.py::test_count"


@dataclass(frozen=True)
class Fact:
    """Something read from the machine: its value, or the reason there is none."""

    value: str | None
    reason: str | None = None


@dataclass(frozen=True)
class Measurement:
    """A number a check measured, with the bound it is held to, if any."""

    name: str
    value: float | str
    unit: str = ""
    spread: float | None = None  # interquartile range, in the same unit
    gate: str | None = None  # the bound, in words: "at least 120"
    source: str | None = None  # where the bound comes from


@dataclass(frozen=True)
class CheckResult:
    """One question and its answer."""

    file: str  # "test_jit.py"
    name: str  # "test_new_shape_recompiles"
    question: str  # first line of the check's docstring
    verdict: Verdict
    reason: str = ""  # why it is not a pass: one or a few lines
    remedy: str = ""  # what to do about it
    seconds: float = 0.0
    measurements: tuple[Measurement, ...] = ()
    output: str = ""  # traceback and captured output, last lines
    began: float | None = None  # seconds after the run's start; None: it did not begin

    @property
    def id(self) -> str:
        return f"{self.file}::{self.name}"


@dataclass(frozen=True)
class Rate:
    """How fast one program ran on one device, or on all of them as one.

    Times are seconds of the monotonic clock, which all processes of a machine share.
    """

    program: str  # "gemm", "copy", "all_reduce"
    variant: str  # what tells two of a program apart: "bf16", "64 MiB"
    device: int | None  # JAX's id; None: all devices did it as one
    platform: str  # "gpu" or "cpu"
    together: bool  # the other devices ran the same at that time
    median: float  # over batches of calls
    spread: float  # interquartile range, in the same unit
    unit: str  # "TFLOP/s" or "GB/s"
    batches: int
    start_s: float
    stop_s: float
    ordinal: int | None = None  # the device as CUDA counts: JAX's local_hardware_id
    intensity: float | None = None  # FLOP for a byte of memory traffic, for the roofline

    @property
    def name(self) -> str:
        return f"{self.program} {self.variant}".rstrip()


@dataclass(frozen=True)
class Judgement:
    """A rate, what it is held to, and what came of it."""

    rate: Rate
    gpu: int | None  # NVML's index of the GPU; None: all, or no GPU
    verdict: Verdict
    peak: float | None = None  # in the rate's unit; of the slice, where the GPU is cut
    gate: float | None = None  # the least that passes
    source: str = ""  # of peak and gate
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class GpuFinding:
    """One question of `jaxpad health` about one GPU, and the answer."""

    name: str
    verdict: Verdict
    seen: str
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Gpu:
    """One GPU as NVML knows it, before the checks began."""

    index: int
    name: str
    description: str | None  # its name in configs/gpus; None: not described
    uuid: str | None
    pci_bus_id: str | None
    devices: tuple[int, ...]  # JAX's ids of the devices it is
    peaks: dict[str, float] = field(default_factory=dict)  # TFLOP/s by dtype; "memory" in GB/s
    readings: dict[str, Fact] = field(default_factory=dict)  # by path: "power.draw_watts"
    findings: tuple[GpuFinding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return overall(finding.verdict for finding in self.findings)


@dataclass(frozen=True)
class Device:
    """One device as JAX names it."""

    id: int
    platform: str
    kind: str


@dataclass(frozen=True)
class Platform:
    """Where JAX was to compute, where it did, and why."""

    requested: str  # auto, gpu, cpu
    expected: str  # gpu or cpu
    found: str | None  # None: JAX did not start
    why: str
    evidence: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True)
class EffectiveFlag:
    """One flag as XLA will read it, and which layer it came from."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class XlaFlags:
    """The whole XLA_FLAGS string, what it parses to, and what XLA would drop."""

    text: str
    flags: tuple[EffectiveFlag, ...] = ()
    dropped: str = ""


@dataclass(frozen=True)
class Report:
    """A whole smoke run."""

    jaxpad: str  # version of jaxpad
    started: str  # ISO 8601, UTC
    seconds: float
    command: tuple[str, ...]
    profile: str | None
    node: str
    platform: Platform
    xla_flags: XlaFlags
    versions: dict[str, Fact] = field(default_factory=dict)
    host: dict[str, Fact] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)  # XLA_*, JAX_*, NCCL_*, CUDA_*
    checks: tuple[CheckResult, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    rates: tuple[Rate, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    overrides: tuple[str, ...] = ()  # each bound that is not as shipped, in words
    interrupted: str | None = None  # the signal that ended the run early

    @property
    def verdict(self) -> Verdict:
        return overall(check.verdict for check in self.checks)

    def count(self, verdict: Verdict) -> int:
        return sum(check.verdict is verdict for check in self.checks)
