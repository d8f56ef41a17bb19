"""`audit`: what is pinned, held against a service that speaks OSV's query API."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from helpers import HOME, environ
from jaxpad.core.results import UsageError
from tools import audit as tools_audit, licences
from tools.audit import Advisory, Allowed, Answer, Unaudited, _read, judge, lines, verdict
from tools.licences import Pin

HASH = f"--hash=sha256:{'0' * 64}"
PINS = {
    "cpu": ("jax==0.10.2 ; python_full_version < '3.12'", "jax==0.12 ; python_version >= '3.12'"),
    "dev": (
        *("jax==0.12 ; python_version >= '3.12'", "planted==1.5", "pywin32==9 ; os_name == 'nt'"),
        *("excused==2", "late==3"),
    ),
}


def planted(package: str = "planted", number: int = 1) -> dict[str, Any]:
    """An advisory as OSV gives it."""
    events = [{"introduced": "0"}, {"fixed": "1.6"}]
    return {
        "id": "GHSA-aaaa-bbbb-cccc",
        "aliases": [f"CVE-2026-{number}"],
        "summary": "planted",
        "affected": [
            {
                "package": {"name": package, "ecosystem": "PyPI"},
                "ranges": [{"type": "ECOSYSTEM", "events": events}],
            }
        ],
    }


TODAY = datetime.date(2026, 6, 1)


@dataclass
class Service:
    """Answers as OSV does, and keeps what it was asked."""

    url: str
    asked: list[tuple[str, str]] = field(default_factory=list)
    known: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    status: int = 200


@contextmanager
def serving() -> Iterator[Service]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = (query["package"]["name"], query["version"])
            found.asked.append(key)
            body = json.dumps({"vulns": [found.known[key]]} if key in found.known else {}).encode()
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Service(f"http://127.0.0.1:{server.server_port}/v1/query")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as found:
        yield found


def pinned(folder: Path) -> Path:
    for name, named in PINS.items():
        text = "".join(f"{line} \\\n    {HASH}\n" for line in named)
        (folder / f"{name}.txt").write_text(f"# made by a test\n{text}")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pinned(tmp_path)


def audit(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jaxpad", "audit", "--requirements", str(folder), *options]
    return subprocess.run(argv, env=environ(NO_PROXY="*"), capture_output=True, text=True, cwd=HOME)


def osv(folder: Path, service: Service, *options: str) -> subprocess.CompletedProcess[str]:
    return audit(folder, "--service", "osv", "--osv-url", service.url, *options)


def allow(folder: Path, name: str, until: datetime.date, package: str = "planted") -> None:
    words = f'id = "{name}"\npackage = "{package}"\nwhy = "not reached"\nuntil = {until}\n'
    with (folder / "audit.toml").open("a") as file:
        file.write(f"[[allow]]\n{words}")


def day(days: int) -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=days)


@dataclass(frozen=True)
class Told:
    """What one audit said: of every kind of pin and exception one."""

    code: int
    text: str
    data: dict[str, Any]

    def vulnerable(self) -> list[tuple[str, str]]:
        return [(one["package"], one["version"]) for one in self.data["vulnerable"]]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Asked twice, for people and for programs: each time pip-audit starts for every round."""
    folder = pinned(tmp_path_factory.mktemp("pins"))
    with serving() as service:
        service.known["jax", "0.12"] = planted("jax")
        service.known["planted", "1.5"] = planted()
        service.known["excused", "2"] = planted("excused", 2)
        service.known["late", "3"] = planted("late", 3)
        allow(folder, "CVE-2026-2", day(1), "excused")
        allow(folder, "CVE-2026-3", day(-1), "late")
        allow(folder, "CVE-2026-4", day(1))
        text, data = osv(folder, service), osv(folder, service, "--json")
    assert text.returncode == data.returncode, text.stderr
    return Told(text.returncode, text.stdout, json.loads(data.stdout))


def test_clean_asks_each_version_once(folder: Path, service: Service) -> None:
    done = osv(folder, service)
    assert done.returncode == 0, done.stderr
    every = [("excused", "2"), ("jax", "0.10.2"), ("jax", "0.12"), ("late", "3")]
    every += [("planted", "1.5"), ("pywin32", "9")]
    assert sorted(service.asked) == every  # also what another Python or platform installs
    assert done.stdout == "6 of 6 pins audited: nothing known stands against them\n"


def test_vulnerable(mixed: Told) -> None:
    assert mixed.code == 1
    words = "planted 1.5: CVE-2026-1 (GHSA-aaaa-bbbb-cccc), fixed in 1.6; pinned in dev"
    assert f"VULNERABLE  {words}" in mixed.text


def test_second_version_is_audited(mixed: Told) -> None:
    """For itself: what is known of it is not told of the first, and the other way below."""
    assert [version for name, version in mixed.vulnerable() if name == "jax"] == ["0.12"]


def test_accepted_by_alias(folder: Path, service: Service) -> None:
    """Where nothing else stands against the pins it is a pass, an exception too many or not."""
    service.known["planted", "1.5"] = planted()
    service.known["jax", "0.10.2"] = planted("jax", 2)
    allow(folder, "CVE-2026-1", day(1))
    allow(folder, "CVE-2026-2", day(1), "jax")
    allow(folder, "CVE-2026-9", day(1), "jax")
    done = osv(folder, service, "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["verdict"], told["vulnerable"]) == (0, "pass", [])
    assert {one["exception"]["why"] for one in told["accepted"]} == {"not reached"}
    found = [(one["advisory"]["package"], one["advisory"]["version"]) for one in told["accepted"]]
    assert sorted(found) == [("jax", "0.10.2"), ("planted", "1.5")]
    assert [one["id"] for one in told["unmatched"]] == ["CVE-2026-9"]


def test_accepted_beside_others(mixed: Told) -> None:
    assert "excused" not in dict(mixed.vulnerable())
    assert [one["advisory"]["package"] for one in mixed.data["accepted"]] == ["excused"]


def test_expired(mixed: Told) -> None:
    assert mixed.code == 1
    assert "VULNERABLE  late 3" in mixed.text
    assert f"the exception CVE-2026-3 ended on {day(-1)}: not reached" in mixed.text


def test_unmatched_is_named(mixed: Told) -> None:
    assert "planted: no pin has CVE-2026-4 any more: remove the exception" in mixed.text


def test_unreachable(folder: Path, service: Service) -> None:
    service.url = "http://127.0.0.1:9/v1/query"  # nobody listens on the discard port
    allow(folder, "CVE-2026-1", day(1))
    done = osv(folder, service)
    assert done.returncode == 3
    assert "NOT AUDITED excused 2, jax 0.10.2, late 3 and 3 more: " in done.stdout
    assert "0 of 6 pins audited: not all could be audited, which is no pass" in done.stdout
    assert "no match" not in done.stdout  # nobody knows


def test_service_refuses(folder: Path, service: Service) -> None:
    service.status = 503
    assert osv(folder, service).returncode == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--service", "nvd"), "unknown service 'nvd': expected pypi or osv"),
        (("--osv-url", "http://x"), "goes with --service osv"),
        (("--service", "osv", "--osv-url", "x"), "is no address"),
    ],
)
def test_refused(folder: Path, options: tuple[str, ...], words: str) -> None:
    done = audit(folder, *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_no_pins(tmp_path: Path) -> None:
    done = audit(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no pins in {tmp_path}" in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "[[allow]",
        "[[allow]]\nid = 'x'\n",
        "[[deny]]\n",
        "allow = 3\n",
        "allow = [1]\n",
        "[[allow]]\nid='x'\npackage='y'\nwhy=' '\nuntil=2026-01-01\n",
        "[[allow]]\nid='x'\npackage='y'\nwhy='z'\nuntil='soon'\n",
        "[[allow]]\nid='x'\npackage='y'\nwhy='z'\nuntil=2026-01-01T00:00:00\n",
    ],
)
def test_bad_exceptions(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.toml").write_text(text)
    with pytest.raises(UsageError, match=r"audit\.toml"):
        tools_audit.read_exceptions(tmp_path / "audit.toml")


def test_own_exceptions_are_readable() -> None:
    assert all(one.why for one in tools_audit.read_exceptions(HOME / "requirements/audit.toml"))


def test_last_day_counts() -> None:
    found = Answer((Advisory("planted", "1.5", "GHSA-1", (), (), ("dev",)),))
    allowed = [Allowed("GHSA-1", "planted", "why", TODAY)]
    assert verdict(judge(1, found, allowed, TODAY)) == "pass"
    assert verdict(judge(1, found, allowed, TODAY + datetime.timedelta(days=1))) == "fail"


def test_exception_is_for_its_package_alone() -> None:
    found = Answer((Advisory("other", "1.5", "GHSA-1", (), (), ("dev",)),))
    judged = judge(1, found, [Allowed("GHSA-1", "planted", "why", TODAY)], TODAY)
    assert (verdict(judged), len(judged.unmatched)) == ("fail", 1)


def test_unknown_to_the_service() -> None:
    """As pip-audit tells a package that the index does not know; one line for all of them."""
    found = (Pin("a", "1", ("cpu",), ()), Pin("b", "2", ("cpu",), ()), Pin("c", "3", ("cpu",), ()))
    told = {
        pin.name: {"name": pin.name, "skip_reason": f"not found: {pin.name} ({pin.version})"}
        for pin in found[:2]
    }
    answer = _read(found, told)  # of c it says nothing at all
    judged = judge(3, answer, [], TODAY)
    assert verdict(judged) == "inconclusive"
    first, second, _ = lines(judged)
    assert first == "NOT AUDITED a 1, b 2: not found"
    assert second == "NOT AUDITED c 3: pip-audit left it out"


def test_vulnerable_outranks_unaudited() -> None:
    found = Advisory("planted", "1.5", "GHSA-1", (), (), ("dev",))
    answer = Answer((found,), (Unaudited("jax", "0.12", "away"),))
    assert verdict(judge(2, answer, [], TODAY)) == "fail"


def test_pins_without_hashes_or_versions(tmp_path: Path) -> None:
    (tmp_path / "cpu.txt").write_text("jax>=0.10\n")
    with pytest.raises(UsageError, match="expected name==version with hashes"):
        licences.read_pins(tmp_path)


def test_every_pin_is_in_a_round() -> None:
    found = licences.read_pins(HOME / "requirements")
    groups = licences.rounds(found)
    assert sorted(pin.name for group in groups for pin in group) == [pin.name for pin in found]
    assert all(len({pin.name for pin in group}) == len(group) for group in groups)
    assert len(groups) > 1  # jax is there for two Pythons
