"""A report in words: the sentences that the terminal and the HTML page share."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from jaxpad.core.results import COUNT, CheckResult, Report, Verdict, overall
from jaxpad.core.text import one_line, plural

SMOKE = ("jaxpad", "smoke")


@dataclass(frozen=True)
class Step:
    """Something to do next, and the command for it if there is one."""

    text: str
    command: str = ""


def headline(report: Report) -> str:
    """The verdict in words, one sentence without its full stop."""
    stopped = f", stopped by {report.interrupted}" if report.interrupted else ""
    return _HEADLINES[report.verdict](report) + stopped


def _passed(report: Report) -> str:
    if report.platform.found is None:
        return "Pass, though JAX was not started: only checks without JAX were asked for"
    if report.platform.found == report.platform.expected == "cpu":
        return "Pass, on the CPU only: JAX works here, no GPU was tested"
    if report.platform.found != report.platform.expected:
        return f"Pass for the checks asked for, but {computes_on(report)}"
    return f"Pass: every check holds, on {_the(report.platform.found)}"


def _failed(report: Report) -> str:
    return f"Fail: {_share(report, Verdict.FAIL)} failed"


def _inconclusive(report: Report) -> str:
    if not report.checks:
        return "Inconclusive: no check was run"
    return f"Inconclusive: {_share(report, Verdict.INCONCLUSIVE)} could not be answered"


def _not_applicable(_report: Report) -> str:
    return "Not applicable: none of the checks asked for applies here"


_HEADLINES: dict[Verdict, Callable[[Report], str]] = {
    Verdict.PASS: _passed,
    Verdict.FAIL: _failed,
    Verdict.INCONCLUSIVE: _inconclusive,
    Verdict.NOT_APPLICABLE: _not_applicable,
}


def _share(report: Report, verdict: Verdict) -> str:
    return f"{report.count(verdict)} of {plural(len(report.checks), 'check')}"


def computes_on(report: Report) -> str:
    """Where JAX computed: `JAX computes on the GPU, 8 x NVIDIA H100 80GB HBM3`."""
    platform = report.platform
    if platform.found is None:
        return f"JAX did not start (expected: {_the(platform.expected)})"
    kinds = Counter(device.kind for device in platform.devices)
    devices = "".join(f", {count} x {kind}" for kind, count in kinds.items())
    # A CPU's kind is "cpu": nothing a reader does not know already.
    where = _the(platform.found) + ("" if platform.found == "cpu" else devices)
    wanted = "" if platform.found == platform.expected else f", not {_the(platform.expected)}"
    return f"JAX computes on {where}{wanted}"


def _the(platform: str) -> str:
    return {"gpu": "the GPU", "cpu": "the CPU", "unknown": "not known"}.get(
        platform, f"platform {platform}"
    )


def next_steps(report: Report) -> tuple[Step, ...]:
    """What a reader should do now; never empty."""
    if steps := _steps_to_fix(report):
        return steps
    if report.interrupted:
        return (Step("The run was ended early; run it again", shell(_command(report))),)
    if report.verdict is not Verdict.PASS:
        return (Step("Nothing was shown; run the whole suite", shell(_smoke(report))),)
    if "-k" in report.command:
        return (Step("Only what -k names was run; run the whole suite", shell(_smoke(report))),)
    if report.platform.found != report.platform.expected:
        return (Step("The whole suite says why", shell(_smoke(report))),)
    if report.platform.found != "gpu":
        on_gpu = shell((*_elsewhere(report), "--platform", "gpu"))
        return (Step("No GPU was tested: run this on the machine you will train on", on_gpu),)
    kept = "Start training here. Keep smoke.json to compare with after the next change of driver"
    return (Step(f"{kept}, JAX or profile; then run it again", shell(_command(report))),)


def _steps_to_fix(report: Report) -> tuple[Step, ...]:
    """Steps from the first failed check, or else from the first that could not be answered.

    A lack of GPUs comes before all else: the other checks judge those that are there.
    """
    failed = [check for check in report.checks if check.verdict is Verdict.FAIL]
    failed.sort(key=lambda check: check.id != COUNT)
    # A run that was ended early leaves checks unanswered: nothing there to fix.
    open_ = [
        c for c in report.checks if c.verdict is Verdict.INCONCLUSIVE and not report.interrupted
    ]
    first, *others = [*(failed or open_), None]
    if first is None:
        return ()
    advice = one_line(first.remedy or first.reason or "read its output in the report")
    rest = f" ({plural(len(others) - 1, 'other')} may have the same cause)" if others[1:] else ""
    begin = Step(f"Begin with {first.id}{rest}: {advice}")
    last = Step("Then run everything again", shell(_command(report)))
    return begin, *_alone(report, first), last


def _alone(report: Report, check: CheckResult) -> tuple[Step, ...]:
    if "-k" in report.command:
        return ()
    command = (*_command(report), "-k", check.name.partition("[")[0])
    return (Step("See whether that fixed it", shell(command)),)


def _command(report: Report) -> tuple[str, ...]:
    return report.command or SMOKE


def _smoke(report: Report) -> tuple[str, ...]:
    """How this user calls the suite: `invoke smoke`, a path to jaxpad, or plain `jaxpad`."""
    command = report.command
    return command[: command.index("smoke") + 1] if "smoke" in command else SMOKE


def _elsewhere(report: Report) -> tuple[str, ...]:
    """How to call the suite on another machine, where a path of this one may not be."""
    command = _smoke(report)
    return SMOKE if "/" in command[0] else command


def shell(command: tuple[str, ...]) -> str:
    """One line to paste; a `~/` that stands for the home folder is left outside the quotes."""
    return " ".join(
        f"~/{shlex.quote(word[2:])}" if word.startswith("~/") else shlex.quote(word)
        for word in command
    )


# A report's checks gathered for reading: by topic, and by what is wrong.

ORDER = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE)


@dataclass(frozen=True)
class Topic:
    """The checks of one file."""

    file: str
    checks: tuple[CheckResult, ...]

    @property
    def name(self) -> str:
        """`jit` for test_jit.py."""
        return self.file.removeprefix("test_").removesuffix(".py")

    @property
    def seconds(self) -> float:
        return sum(check.seconds for check in self.checks)

    @property
    def verdict(self) -> Verdict:
        return overall(check.verdict for check in self.checks)

    def count(self, verdict: Verdict) -> int:
        return sum(check.verdict is verdict for check in self.checks)


def topics(report: Report) -> tuple[Topic, ...]:
    """One topic for each file, in the order the files first appear."""
    files = dict.fromkeys(check.file for check in report.checks)
    by_file = {file: [c for c in report.checks if c.file == file] for file in files}
    return tuple(Topic(file, tuple(checks)) for file, checks in by_file.items())


@dataclass(frozen=True)
class Group:
    """Neighbouring checks with the same thing wrong, told once."""

    checks: tuple[CheckResult, ...]

    @property
    def first(self) -> CheckResult:
        return self.checks[0]


def groups(report: Report, verdict: Verdict) -> tuple[Group, ...]:
    """The checks of one verdict; a run of the same reason, remedy and output is one group.

    An interrupted run leaves dozens of checks unanswered for one reason.
    """
    checks = [check for check in report.checks if check.verdict is verdict]
    runs = groupby(checks, key=lambda c: (c.reason, c.remedy, c.output, c.measurements))
    return tuple(Group(tuple(run)) for _, run in runs)
