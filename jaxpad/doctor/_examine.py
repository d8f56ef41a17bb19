"""All questions, in the order in which one mends a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxpad import host as machine
from jaxpad.doctor import (
    _clock,
    _driver,
    _engine,
    _network,
    _reload,
    _space,
    _toolkit,
)
from jaxpad.doctor._finding import Answer, Finding, inconclusive, not_applicable, passed
from jaxpad.doctor._host import Host

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
    Question("driver", "Is the NVIDIA driver loaded, and does it answer?", _driver.driver, True),
    Question("cuda", "Is the driver new enough for the CUDA of the image?", _driver.cuda, True),
    Question(
        "docker", "Does docker run, and may I use it?", _engine.docker_engine, engine="docker"
    ),
    Question("podman", "Does podman work?", _engine.podman_engine, engine="podman"),
    Question("group", "Am I in the docker group, if it matters?", _engine.group, engine="docker"),
    Question("builder", "Can docker build the image?", _engine.builder, engine="docker"),
    Question("toolkit", "Is the NVIDIA Container Toolkit installed?", _toolkit.toolkit, True),
    Question("cdi", "Do the CDI specifications fit this machine?", _toolkit.cdi, True),
    Question("gpu access", "How does a container get the GPUs?", _toolkit.ways, True),
    Question("reload", "Do containers keep GPUs on a daemon reload?", _reload.daemon_reload, True),
    Question("shm", "Is /dev/shm large enough?", _space.shared_memory),
    Question("disk", "Is there room for the image?", _space.disk),
    Question("clock", "Is the clock right?", _clock.clock),
    Question("proxy", "Do shell and docker agree on proxies?", _network.proxies),
    Question("certificates", "Can the certificate bundles be read?", _network.certificates),
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
        words = f"this could not be found out: {type(error).__name__}: {error}"
        return inconclusive(words, "please report it, with what is odd about this machine")
