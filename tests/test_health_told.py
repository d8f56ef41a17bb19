"""A check told to programs: Nagios and Prometheus, also with hostile values in it."""

from __future__ import annotations

import json
import math
import re
import stat
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jaxpad import health
from jaxpad.cli import health as cli_health
from jaxpad.commands.machine import HealthOptions as Options
from jaxpad.core import bounds
from jaxpad.core.reading import Reading
from jaxpad.core.results import Verdict
from jaxpad.health import Health
from jaxpad.nvml import Process
from test_health import finding, shown, told
from test_health_machine import H100, SHOWN, eight, first, seen

NASTY = "\x1b]0;owned\x07GPU\u202e |\n\x00; drop \ud800" + "x" * 5000


@pytest.fixture
def h100(tmp_path: Path) -> dict[str, Any]:
    return eight(tmp_path)


def hostile() -> Health:
    snapshot = seen(H100)
    state = snapshot.gpus[0]
    process = Process(pid=2**63, used_bytes=Reading(2**200), name=Reading(NASTY))
    odd = first(
        snapshot,
        identity=replace(state.identity, name=Reading(NASTY), uuid=Reading(NASTY)),
        processes=replace(state.processes, compute=Reading((process,) * 50)),
        ecc=replace(state.ecc, uncorrected_volatile=Reading(2**63)),
        pcie=replace(state.pcie, replays=Reading(10**300)),
        mig=replace(state.mig, enabled=Reading(None, NASTY)),
    )
    facts = replace(SHOWN, asked_s=1e300)
    found = health.judge(odd, health.describe(odd), bounds.load(), facts)
    return told(*found, driver=NASTY)


def test_hostile_values_are_printed_safely() -> None:
    found = hostile()
    assert found.verdict is Verdict.FAIL
    line, _ = health.nagios(found)
    page = "\n".join(shown(found))
    for text in (line, *page.splitlines(), *health.prometheus(found).splitlines()):
        assert text.isprintable(), text
    assert line.count("|") == 1
    assert len(page) < 20_000
    json.loads(json.dumps(found.to_json()))
    assert parsed(health.prometheus(found))


PERFDATA = re.compile(r"[a-z0-9_]+=-?\d+(?:\.\d+)?s?(?:;;;0)?")


@pytest.mark.parametrize(
    ("verdict", "state", "code"),
    [
        (Verdict.PASS, "OK", 0),
        (Verdict.FAIL, "CRITICAL", 2),
        (Verdict.INCONCLUSIVE, "UNKNOWN", 3),
        (Verdict.NOT_APPLICABLE, "UNKNOWN", 3),
    ],
)
def test_nagios(verdict: Verdict, state: str, code: int) -> None:
    warm = finding(Verdict.PASS, "temperature", value=58.0)
    asked = [finding(verdict)] if verdict is Verdict.NOT_APPLICABLE else [finding(verdict), warm]
    line, given = health.nagios(told(*asked))
    assert given == code
    assert line.startswith(f"JAXPAD {state} - 8 GPU(s), driver 580.95.05")
    text, _, data = line.partition(" | ")
    assert "|" not in text
    assert all(PERFDATA.fullmatch(each) for each in data.split())
    assert ("GPU 0 ecc: 2 errors" in text) is (verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE))


def test_nagios_fits(h100: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """NRPE 2 sends 1,024 characters."""
    bad = [finding(Verdict.FAIL, gpu=gpu, seen="ä" * 900) for gpu in range(8)]
    warm = [finding(Verdict.PASS, "temperature", gpu, value=58.0) for gpu in range(8)]
    assert len(health.nagios(told(*bad, *warm))[0]) < 1000
    assert cli_health.health_command(Options(nagios=True), **h100) == 0
    assert capsys.readouterr().out.count("\n") == 1


_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(rf'({_NAME})="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


def parsed(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples by name; strict about what the text format asks for, and promtool's advice."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    head: list[str] = []
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# "):
            _, kind, name, rest = line.split(" ", 3)
            assert kind == ("TYPE" if head == [name] else "HELP")
            assert rest == "gauge" or kind == "HELP"
            head = [name] if kind == "HELP" else [name, "typed"]
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        assert sample[1] == head[0]
        assert head[1:] == ["typed"]
        labels = dict(_LABEL.findall(sample[2] or ""))
        assert _LABEL.sub("", sample[2] or "") == ""
        assert math.isfinite(float(sample[3]))
        rows = found.setdefault(sample[1], [])
        assert labels not in [before for before, _ in rows]
        rows.append((labels, float(sample[3])))
    return found


def test_prometheus(h100: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "gpus.prom"
    assert cli_health.health_command(Options(textfile=file, nagios=True), **h100) == 0
    metrics = parsed(file.read_text())
    assert metrics["jaxpad_health_gpus"] == [({}, 8.0)]
    assert metrics["jaxpad_health_exit_code"] == [({}, 0.0)]
    assert metrics["jaxpad_health_info"][0][0]["driver_version"] == "580.95.05"
    assert ({"gpu": "7"}, 58.0) in metrics["jaxpad_health_gpu_temperature_celsius"]
    assert ({"gpu": "7"}, 85520809984.0) in metrics["jaxpad_health_gpu_memory_bytes"]
    assert ({"question": "ecc", "gpu": "3"}, 0.0) in metrics["jaxpad_health_failed"]
    assert ({"question": "driver"}, 0.0) in metrics["jaxpad_health_inconclusive"]
    assert abs(metrics["jaxpad_health_timestamp_seconds"][0][1] - time.time()) < 60
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".tmp")] == []


def test_textfile_whole_or_not_at_all(tmp_path: Path, monkeypatch: Any) -> None:
    file = tmp_path / "gpus.prom"
    file.write_text("before\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    said = health.write(told(finding(Verdict.PASS)), file)
    assert said.endswith("gpus.prom cannot be written (No space left on device)\n")
    assert [each.name for each in tmp_path.iterdir()] == ["gpus.prom"]
    assert file.read_text() == "before\n"
