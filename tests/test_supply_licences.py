"""docs/licences.md: every pin, with the licence that its metadata states."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from helpers import HOME
from jaxpad.core.results import UsageError
from tools import licences
from tools.docs import renewed

PAGE = HOME / "docs/licences.md"
KNOWN = licences.read(HOME / licences.RECORD)


def test_page_has_not_drifted() -> None:
    fresh = renewed(PAGE.read_text(), {"licences": lambda: licences.table(HOME)})
    assert fresh == PAGE.read_text(), "renew it with invoke docs"


def test_record_is_of_the_pins() -> None:
    found = {f"{pin.name}=={pin.version}" for pin in licences.read_pins(HOME / "requirements")}
    assert found == KNOWN.keys(), "renew it with python -m docs.licences"
    assert (HOME / licences.RECORD).read_text() == licences.text(KNOWN)


def test_record_is_what_is_installed_states() -> None:
    """Whichever Python runs this has its own versions; each is held to its own line."""
    seen = 0
    for one in importlib.metadata.distributions():
        fields: dict[str, Any] = one.metadata.json
        name = f"{canonicalize_name(fields['name'])}=={one.version}"
        if name in KNOWN:
            seen += 1
            words = licences.stated(
                fields.get("license_expression"),
                fields.get("classifier", ()),
                fields.get("license"),
            )
            assert KNOWN[name] == words, name
    assert seen > 50


def test_gpl_is_for_developers_alone() -> None:
    """What the page says."""
    gpl = [
        p
        for p in licences.read_pins(HOME / "requirements")
        if "GPL" in KNOWN[f"{p.name}=={p.version}"]
    ]
    assert {one for pin in gpl for one in pin.sets} == {"dev"}


def test_nvidia_is_named() -> None:
    assert "NVIDIA" in KNOWN[next(name for name in KNOWN if name.startswith("nvidia-cudnn-cu12"))]


@pytest.mark.parametrize(
    ("expression", "classifiers", "free", "words"),
    [
        ("MIT", ["License :: OSI Approved :: BSD License"], "x", "MIT"),
        (None, ["License :: OSI Approved :: BSD License", "Topic :: X"], "x", "BSD License"),
        (None, ["License :: OSI Approved"], "BSD-3-Clause", "BSD-3-Clause"),
        (None, ["License :: Other/Proprietary License"], "Own", "Own"),
        (None, ["License :: Other/Proprietary License"], None, "Other/Proprietary License"),
        (None, [], "MIT\nCopyright", "MIT"),
        (None, [], "A" * 61, "not stated"),
        (None, [], "UNKNOWN", "not stated"),
        (None, [], None, "not stated"),
    ],
)
def test_stated(
    expression: str | None, classifiers: list[str], free: str | None, words: str
) -> None:
    assert licences.stated(expression, classifiers, free) == words


def test_unrecorded_pin_is_named(tmp_path: Path) -> None:
    (tmp_path / "requirements").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "requirements/cpu.txt").write_text("planted==1 --hash=sha256:0\n")
    (tmp_path / licences.RECORD).write_text(licences.text({"other==1": 'a "b" \\'}))
    with pytest.raises(UsageError, match=r"planted==1 is not recorded"):
        licences.table(tmp_path)
    (tmp_path / licences.RECORD).write_text(licences.text({"planted==1": "A | B"}))
    assert "| planted | 1 | A \\| B | cpu |" in licences.table(tmp_path)
