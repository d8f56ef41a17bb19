"""Room, clock, proxies and certificates."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jaxpad.doctor.model import Clock, Space, read_clock, space
from test_doctor_machine import GIB, Machine

MIB = 1 << 20
GB = 1_000_000_000
PROXY = "http://ann:hunter2@proxy.example:3128"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.docker()
    return machine


@pytest.mark.parametrize(
    ("size", "gpus", "verdict"),
    [
        (GIB, 8, "pass"),
        (64 * MIB, 8, "fail"),
        (64 * MIB, 1, "pass"),
        (64 * MIB, 0, "not applicable"),
    ],
)
def test_shared_memory(machine: Machine, size: int, gpus: int, verdict: str) -> None:
    machine.gpus(gpus)
    machine.options["space"] = lambda _: Space(size, size)
    assert machine.ask("shm").verdict == verdict


def test_shared_memory_absent(machine: Machine) -> None:
    machine.gpus()
    machine.options["space"] = space
    assert machine.ask("shm").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("free", "verdict", "words"),
    [
        (7 * GB, "fail", "less than the 8 GB"),
        (9 * GB, "pass", "not to build it"),
        (20 * GB, "pass", "enough to build"),
    ],
)
def test_disk(machine: Machine, free: int, verdict: str, words: str) -> None:
    machine.options["space"] = lambda _: Space(100 * GB, free)
    found = machine.ask("disk")
    assert (found.verdict, words in found.found) == (verdict, True), found


def test_disk_of_containerd(machine: Machine) -> None:
    machine.docker(DriverStatus=[["driver-type", "io.containerd.snapshotter.v1"]])
    assert "/var/lib/containerd" in machine.ask("disk").found


def test_disk_worst_counts(machine: Machine) -> None:
    """Docker's folder has room; podman's is on a disk that is gone."""
    machine.answers(
        "podman",
        {
            "version *": json.dumps({"Client": {"Version": "4.3.1"}}),
            "info *": json.dumps({"store": {"graphRoot": "/nonexistent"}}),
        },
    )
    machine.options["space"] = space
    found = machine.ask("disk")
    assert (found.verdict, "No such file" in found.found) == ("inconclusive", True)


def test_disk_elsewhere(machine: Machine) -> None:
    machine.environ["DOCKER_HOST"] = "ssh://build"
    assert machine.ask("disk").verdict == "inconclusive"


@pytest.mark.parametrize(
    ("clock", "verdict"),
    [
        (Clock(datetime(2027, 1, 1, tzinfo=UTC), True, 0.01), "pass"),
        (Clock(datetime(2027, 1, 1, tzinfo=UTC), False), "inconclusive"),
        (Clock(datetime(2027, 1, 1, tzinfo=UTC), None), "inconclusive"),
        (Clock(datetime(1970, 1, 1, tzinfo=UTC), True, 0.01), "fail"),
    ],
)
def test_clock(machine: Machine, clock: Clock, verdict: str) -> None:
    machine.options["ask_clock"] = lambda: clock
    assert machine.ask("clock").verdict == verdict


def test_clock_of_this_machine() -> None:
    """The kernel answers without rights, and what it says is sound."""
    found = read_clock()
    assert found.synchronised is not None
    assert 0 <= found.error < 1e6


def test_no_proxy(machine: Machine) -> None:
    found = machine.ask("proxy")
    assert (found.verdict, found.found) == (
        "pass",
        "shell: none; docker's daemon: none; its client: none",
    )


def test_proxies_disagree(machine: Machine) -> None:
    machine.environ |= {"HTTPS_PROXY": PROXY, "https_proxy": "http://other:8080"}
    found = machine.ask("proxy")
    assert (found.verdict, found.found.startswith("HTTPS_PROXY and https_proxy")) == ("fail", True)
    assert "hunter2" not in str(found)


def test_proxy_unknown_to_daemon(machine: Machine) -> None:
    machine.environ["https_proxy"] = PROXY
    found = machine.ask("proxy")
    assert (found.verdict, "shell: proxy.example:3128" in found.found) == ("inconclusive", True)
    machine.docker(HttpsProxy="http://xxxxx:xxxxx@proxy.example:3128")
    assert machine.ask("proxy").verdict == "pass"


def test_proxy_of_a_daemon_that_is_down(machine: Machine) -> None:
    machine.docker_down("Cannot connect to the Docker daemon")
    machine.environ["https_proxy"] = PROXY
    assert "docker's daemon: cannot be asked" in machine.ask("proxy").found


def test_proxy_of_the_client(machine: Machine) -> None:
    folder = machine.folder / ".docker"
    folder.mkdir()
    settings = {"httpProxy": PROXY, "noProxy": "localhost"}
    (folder / "config.json").write_text(json.dumps({"proxies": {"default": settings}}))
    assert machine.ask("proxy").found.endswith("its client: proxy.example:3128")
    (folder / "config.json").write_text("{")
    assert machine.ask("proxy").verdict == "fail"


@pytest.mark.parametrize(
    "address",
    [PROXY, "ann:hunter2@proxy.example:3128", "http://ann:hunt@er2/x@proxy.example:3128/"],
)
def test_proxy_shows_no_password(machine: Machine, address: str) -> None:
    machine.environ["HTTP_PROXY"] = address
    machine.docker(HttpProxy=address)
    found = str(machine.ask("proxy"))
    assert "proxy.example:3128" in found
    assert not [word for word in ("hunt", "er2", "ann") if word in found]


def test_no_bundle(machine: Machine) -> None:
    assert machine.ask("certificates").verdict == "pass"


def test_bundle_reminds_of_build(machine: Machine) -> None:
    bundle = machine.write("ca.crt", "-----BEGIN CERTIFICATE-----\n")
    machine.environ["SSL_CERT_FILE"] = str(bundle)
    found = machine.ask("certificates")
    assert (found.verdict, f"--ca-bundle {bundle}" in found.found) == ("pass", True)


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"])
def test_bundle_missing(machine: Machine, name: str) -> None:
    machine.environ[name] = "/nonexistent/ca.crt"
    found = machine.ask("certificates")
    assert (found.verdict, f"{name}=/nonexistent/ca.crt" in found.found) == ("fail", True)


def test_bundle_empty(machine: Machine) -> None:
    machine.environ["CURL_CA_BUNDLE"] = str(machine.write("ca.crt"))
    assert machine.ask("certificates").found.endswith("it is empty")


def test_folders_of_certificates(machine: Machine) -> None:
    machine.environ["SSL_CERT_DIR"] = f"{machine.folder}:/nonexistent"
    assert machine.ask("certificates").found.endswith("/nonexistent does not exist")
