"""The `doctor` command: options in, a table or JSON out, and an exit code."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jaxpad.commands.machine import DoctorOptions
from jaxpad.core import host as machine
from jaxpad.core.results import STYLES, UsageError, Verdict, overall
from jaxpad.core.text import encodable, plain
from jaxpad.doctor import driver, engine as doctor_engine, model, toolkit
from jaxpad.doctor.engine import Engine, docker, elsewhere, engine
from jaxpad.doctor.model import (
    Answer,
    Finding,
    Host,
    failed,
    here,
    inconclusive,
    not_applicable,
    passed,
)
from jaxpad.report.redaction import rule

# Room: shared memory for processes that talk to each other, disk for images.

GIB = 1 << 30
GB = 1_000_000_000
SHM = 1 * GIB  # our own figure; NVIDIA's guide for NCCL in containers asks for 1g
# Our own figures: the image with CUDA wheels is 6 GB unpacked; a build holds layers twice.
PULL, BUILD = 8 * GB, 15 * GB
DEFAULT = "a container's own is docker's 64 MiB unless --shm-size is given, which launch does"
GROW = "sudo mount -o remount,size=8G /dev/shm, and in /etc/fstab to keep it"
FREE = "free space (docker system df shows what images take; podman system df), or move the storage"


def shared_memory(host: Host) -> Answer:
    """Pass: 1 GiB or more, or no second GPU to share with. Fail: less, with several GPUs.

    NCCL between processes of one node goes through it. The host's own counts for
    `--ipc=host`, Apptainer, Slurm and runs without a container.
    """
    try:
        size = host.space(host.root / "dev/shm").total
    except OSError as error:
        found = f"it cannot be looked at: {error.strerror}"
        return inconclusive(found, "mount -t tmpfs tmpfs /dev/shm") if host.count else _unused()
    shown = f"{size / GIB:.1f} GiB on the host; {DEFAULT}"
    if size >= SHM:
        return passed(shown)
    if host.count > 1:
        return failed(f"{shown}; {host.count} GPUs share it", GROW)
    return passed(f"{shown}; little, but one GPU shares with none") if host.count else _unused()


def _unused() -> Answer:
    return not_applicable("no GPU needs it here")


def disk(host: Host) -> Answer:
    """Pass: 15 GB free where the engine keeps images, enough to build; or 8, to pull.

    Fail: less than 8 GB. Both are our own figures.
    """
    found = [engine(host, name) for name in host.engines]
    answers = [_disk(host, one) for one in found if one.version]
    if not answers:
        return inconclusive("no engine can be asked where it keeps images", "fix the engine first")
    words = "; ".join(answer.found for answer in answers)
    remedy = "; ".join(answer.remedy for answer in answers if answer.remedy)
    return Answer(overall(answer.verdict for answer in answers), words, remedy)


def _disk(host: Host, found: Engine) -> Answer:
    folder = _storage(found)
    if folder is None:
        return inconclusive(f"{found.name} does not say where it keeps images", "run its info")
    if found.name == "docker" and elsewhere(host):
        return inconclusive("docker's images are on another machine", "run doctor there")
    try:
        free = host.space(folder).free
    except OSError as error:
        return inconclusive(f"{folder} of {found.name}: {error.strerror}", "run doctor as root")
    shown = f"{found.name}: {free / GB:.0f} GB free in {folder}"
    if free < PULL:
        return failed(f"{shown}, less than the {PULL / GB:.0f} GB an image needs", FREE)
    if free < BUILD:
        return passed(f"{shown}, enough to pull the image, not to build it ({BUILD / GB:.0f} GB)")
    return passed(f"{shown}, enough to build the image")


def _storage(found: Engine) -> Path | None:
    """Where images lie. Docker with containerd's image store keeps them in containerd's folder."""
    if found.name == "podman":
        folder = (found.info.get("store") or {}).get("graphRoot")
    elif "io.containerd.snapshotter" in str(found.info.get("DriverStatus")):
        folder = "/var/lib/containerd"
    else:
        folder = found.info.get("DockerRootDir")
    return Path(folder) if folder else None


# Proxies and certificate bundles: what a build or a pull behind a company's wall needs.

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
SETTINGS = (*PROXIES, "NO_PROXY")
BUNDLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)
DAEMON = (
    "if docker pull cannot connect, give the daemon its proxy: docs.docker.com/engine/daemon/proxy"
)
ONE = "set both spellings alike: some programs read the one, some the other"
MEND = "correct the variable, or unset it to use the system's certificates"


def proxies(host: Host) -> Answer:
    """Pass: none is set, or the shell and docker's daemon both have one.

    Fail: HTTP_PROXY and http_proxy disagree, or docker's config.json is not JSON.
    Inconclusive: the shell has a proxy and the daemon, which pulls for itself, shows none.
    """
    unlike = [name for name in SETTINGS if _disagree(host, name)]
    if unlike:
        pairs = ", ".join(f"{name} and {name.lower()}" for name in unlike)
        return failed(f"{pairs} are set to different values", ONE)
    try:
        client = _client(host)
    except ValueError as error:
        return failed(f"docker's config.json is not JSON: {error}", "fix or remove it")
    ours, daemon = _shell(host), _daemon(host)
    known = "cannot be asked" if daemon is None else _shown(daemon)
    words = f"shell: {_shown(ours)}; docker's daemon: {known}; its client: {client}"
    uses_docker = "docker" in host.engines and docker(host).installed
    return inconclusive(words, DAEMON) if ours and uses_docker and not daemon else passed(words)


def _value(host: Host, name: str) -> str | None:
    return host.environ.get(name) or host.environ.get(name.lower()) or None


def _disagree(host: Host, name: str) -> bool:
    upper, lower = host.environ.get(name), host.environ.get(name.lower())
    return upper is not None and lower is not None and upper != lower


def _shell(host: Host) -> list[str]:
    return [value for name in PROXIES if (value := _value(host, name))]


def _daemon(host: Host) -> list[str] | None:
    """The daemon's proxies; None if it cannot be asked."""
    said = docker(host).info
    return [said[name] for name in ("HttpProxy", "HttpsProxy") if said.get(name)] if said else None


def _client(host: Host) -> str:
    """What docker's client gives to containers and builds. Raises ValueError for bad JSON."""
    folder = host.environ.get("DOCKER_CONFIG") or f"{host.environ.get('HOME', '')}/.docker"
    try:
        config: Any = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    except OSError:
        return "none"
    settings = (config.get("proxies") or {}).get("default") or {}
    return _shown([settings[name] for name in ("httpProxy", "httpsProxy") if settings.get(name)])


def _shown(addresses: list[str]) -> str:
    """The hosts alone: what stands before an @ is a user and a password."""
    hosts = (address.rsplit("@", 1)[-1].split("://")[-1] for address in addresses)
    return ", ".join(dict.fromkeys(re.split("[/?#]", host)[0] for host in hosts)) or "none"


def certificates(host: Host) -> Answer:
    """Pass: no bundle is set, or each can be read. Fail: one is missing, unreadable or empty."""
    named = {name: path for name in BUNDLES if (path := host.environ.get(name))}
    wrong = [f"{name}={path}: {why}" for name, path in named.items() if (why := _problem(path))]
    if wrong:
        return failed("; ".join(wrong), MEND)
    if not named:
        return passed("no bundle is set: the system's own certificates are used")
    first = next(iter(named.values()))
    return passed(
        f"{', '.join(named)} can be read; an image's build does not see them: "
        f"invoke build --ca-bundle {first} passes one on"
    )


def _problem(path: str) -> str | None:
    """Why no certificates come from there; SSL_CERT_DIR may list several folders."""
    places = [Path(part) for part in path.split(os.pathsep)]
    absent = [place for place in places if not place.exists()]
    if absent:
        return f"{absent[0]} does not exist"
    closed = [place for place in places if not os.access(place, os.R_OK)]
    if closed:
        return "it cannot be read"
    empty = [place for place in places if place.is_file() and not place.stat().st_size]
    return "it is empty" if empty else None


# All questions, in the order in which one fixes a host.

NO_GPU = "this machine shows no NVIDIA GPU"


@dataclass(frozen=True)
class Question:
    """Something to ask of a host; `gpu`: it only makes sense where there is one."""

    name: str
    words: str
    ask: Callable[[Host], Answer]
    gpu: bool = False
    engine: str | None = None  # asked only if this engine is asked about


def place(host: Host) -> Answer:
    """Inconclusive inside a container: drivers and engines are the host's, out of sight."""
    inside = machine.container(host.root)
    if inside:
        return inconclusive(f"this is a {inside} container", "run doctor on the host itself")
    return passed("this is no container")


QUESTIONS = (
    Question("place", "Is this the host, not a container?", place),
    Question("driver", "Is the NVIDIA driver loaded, and does it answer?", driver.driver, True),
    Question("cuda", "Is the driver new enough for the CUDA of the image?", driver.cuda, True),
    Question(
        "docker", "Does docker run, and may I use it?", doctor_engine.docker_engine, engine="docker"
    ),
    Question("podman", "Does podman work?", doctor_engine.podman_engine, engine="podman"),
    Question(
        "group", "Am I in the docker group, if it matters?", doctor_engine.group, engine="docker"
    ),
    Question("builder", "Can docker build the image?", doctor_engine.builder, engine="docker"),
    Question("toolkit", "Is the NVIDIA Container Toolkit installed?", toolkit.toolkit, True),
    Question("cdi", "Do the CDI specifications fit this machine?", toolkit.cdi, True),
    Question("gpu access", "How does a container get the GPUs?", toolkit.ways, True),
    Question("reload", "Do containers keep GPUs on a daemon reload?", toolkit.daemon_reload, True),
    Question("shm", "Is /dev/shm large enough?", shared_memory),
    Question("disk", "Is there room for the image?", disk),
    Question("clock", "Is the clock right?", model.clock),
    Question("proxy", "Do shell and docker agree on proxies?", proxies),
    Question("certificates", "Can the certificate bundles be read?", certificates),
)


def examine(host: Host) -> tuple[Finding, ...]:
    """Ask the host every question that concerns the engines it was given."""
    asked = (one for one in QUESTIONS if one.engine is None or one.engine in host.engines)
    return tuple(_answer(one, host) for one in asked)


def _answer(question: Question, host: Host) -> Finding:
    answer = not_applicable(NO_GPU) if question.gpu and not host.count else _ask(question, host)
    return Finding(question.name, question.words, answer.verdict, answer.found, answer.remedy)


def _ask(question: Question, host: Host) -> Answer:
    """A question that trips over something odd here must not silence the others."""
    try:
        return question.ask(host)
    except Exception as error:
        words = f"internal error while checking: {type(error).__name__}: {error}"
        return inconclusive(words, "please report it, with what is odd about this machine")


SUMMARY = {
    Verdict.PASS: "This host has what GPU containers need.",
    Verdict.FAIL: "This host lacks something: fix what failed, first things first.",
    Verdict.INCONCLUSIVE: "Nothing failed, but not all could be found out.",
    Verdict.NOT_APPLICABLE: "Nothing here applies to this host.",
}


def doctor(options: DoctorOptions) -> int:
    """Examine this host, print the findings, and return the exit code.

    Raises UsageError for an image that looks like an option.
    """
    if options.image.startswith("-"):
        raise UsageError(
            f"--image {options.image!r} is no image: give a name such as jaxpad:cuda12"
        )
    found = hidden(examine(here(options.engine or None, options.image or None)))
    if options.json:
        json.dump(to_json(found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        show(found, Console())
    return verdict(found).exit_code


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The worst of them."""
    return overall(finding.verdict for finding in findings)


def hidden(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings without credentials, serial numbers and home folders."""
    hide = rule(None, os.environ.get("HOME"))
    return tuple(
        dataclasses.replace(one, found=hide(one.found), remedy=hide(one.remedy)) for one in findings
    )


def to_json(findings: Sequence[Finding]) -> dict[str, object]:
    """`{"verdict": …, "findings": [{"name", "question", "verdict", "found", "remedy"}]}`."""
    return {
        "verdict": verdict(findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def show(findings: Sequence[Finding], console: Console) -> None:
    """A table as wide as the console, and what it comes to."""

    def words(text: str, style: str = "") -> Text:
        return Text(encodable(plain(text), console.encoding), style)

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in findings:
        style = STYLES[one.verdict]
        table.add_row(words(one.verdict, style), words(one.name), words(one.found))
        if one.remedy:
            table.add_row("", "", words(f"remedy: {one.remedy}", "cyan"))
    console.print(table)
    console.print()
    console.print(words(SUMMARY[verdict(findings)], f"bold {STYLES[verdict(findings)]}"))
