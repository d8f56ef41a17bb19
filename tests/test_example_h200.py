"""The kept run on a real GPU: it opens, says what docs/h200.md says, and names nobody."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from helpers import HOME
from jaxpad import report

FOLDER = HOME / "docs/examples/smoke-h200"
PAGE = (HOME / "docs/h200.md").read_text()
TOLD: dict[str, Any] = json.loads((FOLDER / "smoke.json").read_text())
TRACED: dict[str, Any] = json.loads((FOLDER / "traces.json").read_text())


def test_is_of_the_schema() -> None:
    schema = json.loads((HOME / "jaxpad/report/smoke.schema.json").read_text())
    jsonschema.validate(TOLD, schema)
    read = report.from_json(TOLD)
    page = report.to_html(read, report.traces_from_json(TRACED), pictures=False)
    assert "Pass: every check holds, on the GPU" in page


def test_page_says_what_it_holds() -> None:
    counts = TOLD["counts"]
    assert (counts["fail"], counts["inconclusive"]) == (0, 0)
    assert f"{counts['pass']} checks pass, {counts['not applicable']} are not applicable" in PAGE
    assert TOLD["platform"]["devices"] == [{"id": 0, "platform": "gpu", "kind": "NVIDIA H200"}]
    assert f"driver {TOLD['versions']['driver']['value']}" in PAGE
    assert f"jax {TOLD['versions']['jax']['value']}" in PAGE
    most = max(filter(None, TRACED["gpus"][0]["columns"]["power_watts"]))
    assert f"{most:.0f} W" in PAGE
    assert TRACED["gaps"] == []


@pytest.mark.parametrize(
    ("program", "row"),
    [
        ("triad", "triad of 512 MiB"),
        ("host_to_device", "host to device, pinned"),
        ("device_to_host", "device to host, pinned"),
    ],
)
def test_rows_of_the_table(program: str, row: str) -> None:
    """jaxpad's number, how far from PyTorch's, and the share of the peak that its gate took."""
    (median,) = [rate["median"] for rate in TOLD["rates"] if rate["program"] == program]
    (peak,) = [j["peak"] for j in TOLD["judgements"] if j["rate"]["program"] == program]
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {row} |")]
    ours, theirs = (float(one.replace(",", "")) for one in re.findall(r"\| ([\d,.]+)", line)[:2])
    apart, share = re.findall(r"(-?[\d.]+) %", line)
    assert ours == pytest.approx(median, rel=1e-3)
    assert float(apart) == pytest.approx(100 * (ours / theirs - 1), abs=0.06)
    assert float(share) == pytest.approx(100 * median / peak, abs=0.5)


def test_names_nobody() -> None:
    text = json.dumps([TOLD, TRACED])
    assert not re.findall(r'"/(?:home|root|tmp|work|opt)/[^"]*', text)
    assert set(re.findall(r"GPU-[0-9a-f]{4}[^\"]*", text)) == {"GPU-f998<redacted>"}
