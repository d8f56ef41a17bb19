"""How the tests are run: which share a worker, in what order, and which a lane leaves out.

Tests that wait (containers, clusters, browsers, servers) run beside tests that compute, in as many
processes as `-n` says (pytest-xdist). A file stays together, and so do files that share one thing
of the machine. What takes longest begins first, by the seconds of tests/durations.json, which
`pytest --record-durations` renews.
"""

from __future__ import annotations

import json
import resource
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
DURATIONS = HERE / "durations.json"
LEAST_S = 0.5  # a test that takes less is not written down
COMPUTED = "computed_s"  # the name under which a worker sends a test's CPU time
QUICK_S = 1.0  # a test that takes longer is not quick
DAEMON = "the docker daemon"
# What there is one of on a machine: files that use it run one after the other.
SHARED = {
    "image/*": DAEMON,
    "test_slurm_*": "a Slurm",
    # These time turns, and each pins its processes to a core.
    **dict.fromkeys(
        ("test_tune_planted.py", "test_tune_bench.py", "test_tune_real.py"), "the cores"
    ),
}
# What no JAX changes is tested on one Python: images, clusters, the driver's double, reports and
# pages in a browser, what a host lacks, copies of the template, GitHub's files, pins, how the
# tuner measures. The README's first command runs the whole suite on each Python.
_ONCE = """
    image/* test_slurm_* test_kubernetes* test_fleet_* test_report_* test_site_* test_smoke.py
    test_smoke_faults.py test_smoke_nvml.py test_doctor* test_health* test_nvml*
    test_entrypoint.py test_with_profile.py test_launch.py test_engines.py test_fallback.py
    test_template_* test_hub_* test_supply_* test_kernel.py test_design.py test_troubleshooting.py
    test_tune_planted.py test_tune_simulated.py test_tune_real.py test_tune_report.py
    test_tune_search.py test_tune_stats.py test_tune_gpu.py test_tune_bench.py test_tune_space.py
    test_tune_command.py
    test_layers.py test_requirements.py test_build.py test_bootstrap.py test_extend.py
    test_install.py test_container_files.py test_peers.py test_hostlist.py test_multi_*
    test_two_roots.py test_gates* test_teaches.py test_runner.py test_stages.py test_shares.py
    test_properties.py test_lanes.py test_repeat_smoke.py test_ci_time.py
    test_signals.py test_streams.py test_hostile_files.py test_fuzz.py
    test_jupyter.py test_current_folder.py
"""
ONCE = tuple(_ONCE.split())


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lanes")
    group.addoption("--quick", action="store_true", help="leave out what takes over a second")
    group.addoption("--jax-only", action="store_true", help="only what another JAX can change")
    group.addoption(
        "--record-durations", action="store_true", help="renew tests/durations.json by this run"
    )


def pytest_configure(config: pytest.Config) -> None:
    left_out = any(map(config.getoption, ("quick", "jax_only", "keyword")))
    if config.getoption("record_durations") and left_out:
        raise pytest.UsageError(
            "--record-durations needs whole files: leave out what selects tests"
        )
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Told(config), "lanes")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the lane leaves out, and begin with the group that takes longest."""
    seconds = durations()
    dropped = set(_dropped(config, items, seconds))
    if dropped:
        config.hook.pytest_deselected(items=[item for item in items if item in dropped])
    kept = [item for item in items if item not in dropped]
    long: defaultdict[str, float] = defaultdict(float)
    for item in kept:
        long[group(item.nodeid)] += seconds.get(item.nodeid, 0.0)
    items[:] = sorted(kept, key=lambda item: -long[group(item.nodeid)])


def durations() -> dict[str, float]:
    """Seconds by test, of those that take over LEAST_S."""
    found: dict[str, float] = json.loads(DURATIONS.read_text())
    return found


def group(nodeid: str) -> str:
    """What a test shares a worker with: its file, or all that use one thing of the machine."""
    name = _file(nodeid)
    return next((thing for pattern, thing in SHARED.items() if fnmatch(name, pattern)), name)


def _file(nodeid: str) -> str:
    """The file of a test, below tests/."""
    return nodeid.partition("::")[0].removeprefix("tests/")


def _dropped(
    config: pytest.Config, items: Sequence[pytest.Item], seconds: Mapping[str, float]
) -> Iterator[pytest.Item]:
    if config.getoption("jax_only"):
        yield from (one for one in items if any(fnmatch(_file(one.nodeid), p) for p in ONCE))
    if config.getoption("quick"):
        slow = [one for one in items if seconds.get(one.nodeid, 0.0) > QUICK_S]
        made = {name for one in slow for name in _made_once(one)}
        for one in items:
            image = group(one.nodeid) == DAEMON  # its tests ask for what they share by name
            if image or one in slow or not made.isdisjoint(_made_once(one)):
                yield one


def _made_once(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """What several tests of a file share: what one of them waits for, the next would instead."""
    made: Mapping[str, Any] = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
    for name, found in made.items():
        if found[-1].scope in ("module", "session") and found[-1].baseid:
            yield found[-1].baseid, name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what a test computed, in this process and in those that it waited for."""
    setattr(item, "_computed_before", _computed())  # noqa: B010
    return (yield)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    before: float = getattr(item, "_computed_before", 0.0)
    item.user_properties.append((COMPUTED, round(_computed() - before, 3)))


def _computed() -> float:
    of = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in of)


class _Told:
    """Gathers every test's seconds, and says at the end where the time went."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.computed = 0.0

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """One worker a group; `--dist loadgroup` of pytest-xdist 3.8 does nothing on pytest 9.2."""
        from xdist.scheduler import LoadScopeScheduling

        scheduler = LoadScopeScheduling(config, log)
        scheduler._split_scope = group
        return scheduler

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.when == "teardown":
            told = (value for name, value in report.user_properties if name == COMPUTED)
            self.computed += sum(value for value in told if isinstance(value, float))

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        total = sum(self.seconds.values())
        terminalreporter.section("where the time went")
        share = max(0.0, 1 - self.computed / total) if total else 0.0
        terminalreporter.write_line(
            f"{total:.0f} s of tests, {share:.0%} of it waiting (no CPU time of the test's own or "
            "of its children)"
        )
        for name, seconds in sorted(self._files().items(), key=lambda one: -one[1])[:12]:
            terminalreporter.write_line(f"{seconds:7.1f} s  {name}")
        if self.config.getoption("quick"):
            terminalreporter.write_line(self._left_out())
        if self.config.getoption("record_durations"):
            self._record()

    def _files(self) -> dict[str, float]:
        files: defaultdict[str, float] = defaultdict(float)
        for nodeid, seconds in self.seconds.items():
            files[_file(nodeid)] += seconds
        return files

    def _left_out(self) -> str:
        slow = sorted({_file(nodeid) for nodeid, s in durations().items() if s > QUICK_S})
        return (
            f"--quick left out the tests that take over {QUICK_S:g} s, in {len(slow)} files: "
            "containers, Slurm, browsers, the GPU compiler, whole smoke runs. "
            "Run the rest before you send a change: jaxpad test"
        )

    def _record(self) -> None:
        """Renew the files of this run; what it did not run of them is no more."""
        ran = self._files()
        known = {name: value for name, value in durations().items() if _file(name) not in ran}
        known |= {name: round(value, 1) for name, value in self.seconds.items()}
        kept = {name: value for name, value in sorted(known.items()) if value >= LEAST_S}
        DURATIONS.write_text(json.dumps(kept, indent=0) + "\n")
        sys.stderr.write(f"wrote {DURATIONS.name}: {len(kept)} tests\n")
