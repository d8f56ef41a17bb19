"""Gates: are the GPUs as fast as their model should be, and if not, why?

test_throughput.py measures and the runner's sampler watches; this judges the rates by both,
and by configs/throughput.toml (docs/gates.md). A shortfall is explained before it is blamed:
a power cap, a slice, a clock that was set, heat, a narrow link.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jaxpad import checks, gates
from jaxpad.core.bounds import Bounds
from jaxpad.core.results import Judgement, Rate
from jaxpad.machine import facts as node
from jaxpad.machine.facts import Facts, Survey
from jaxpad.smoke import runner

WARM_S = 1.0  # a GPU raises its clocks in less
SIDE = 4096
COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "permute")
BETWEEN = ("device_to_device", *COLLECTIVES)  # they take two devices
NO_RATES = "run jaxpad smoke -k throughput: these are judged in the run that measures them"


@pytest.fixture(scope="module")
def loaded(facts: Facts) -> Survey:
    """What the driver says while every GPU is at work."""
    if facts.expected.platform != "gpu":
        checks.not_applicable(f"no GPU is expected: {facts.expected.why}")
    if not facts.gpu:
        raise checks.Inconclusive("JAX is not on the GPU: see test_platform_expected")
    with at_work():
        time.sleep(WARM_S)
        return node.look(os.environ)


@contextlib.contextmanager
def at_work() -> Iterator[None]:
    """Every device of JAX multiplies, from a thread, until the block ends."""
    stop = threading.Event()
    worker = threading.Thread(target=multiply, args=(stop,))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()


def multiply(stop: threading.Event) -> None:
    """Products of one normally distributed matrix with its own, scaled so as to stay small."""
    import jax
    import jax.numpy as jnp

    scaled = jax.random.normal(jax.random.key(0), (SIDE, SIDE), jnp.float16) / SIDE**0.5
    step = jax.jit(jnp.matmul)
    factors = [jax.device_put(scaled, device) for device in jax.local_devices()]
    products = factors
    while not stop.is_set():
        products = [step(one, factor) for one, factor in zip(products, factors, strict=True)]
        jax.block_until_ready(products)


@pytest.fixture(scope="module")
def evidence(facts: Facts, survey: Survey, bounds: Bounds) -> gates.Evidence:
    """All there is to judge by; without a GPU it says of each rate that it is a CPU's."""
    seen = runner.trace(Path(facts.folder)) if facts.folder else None
    return gates.Evidence(survey, seen, bounds, strict=facts.strict)


@pytest.fixture(scope="module")
def judgements(
    request: pytest.FixtureRequest, facts: Facts, evidence: gates.Evidence
) -> tuple[Judgement, ...]:
    """Every rate of this run, judged."""
    rates = runner.rates(Path(facts.folder)) if facts.folder else ()
    return gates.judge(rates, with_load(request, facts, evidence))


def with_load(
    request: pytest.FixtureRequest, facts: Facts, evidence: gates.Evidence
) -> gates.Evidence:
    """The evidence with each GPU's state under load, where JAX computes on GPUs."""
    if not facts.gpu:
        return evidence
    seen: Survey = request.getfixturevalue("loaded")
    return evidence.under(seen.snapshot)


Hold = Callable[..., None]


@pytest.fixture
def hold(
    facts: Facts,
    judgements: tuple[Judgement, ...],
    measure: Callable[..., None],
    judgement: Callable[[Judgement], None],
) -> Hold:
    """`hold("gemm")` answers for every rate of those programs, and files what each is held to."""

    def answer(*programs: str) -> None:
        found = [one for one in judgements if one.rate.program in programs]
        if not found and facts.expected.platform != "gpu":
            checks.not_applicable(f"no GPU is expected: {facts.expected.why}")
        if not found and len(facts.started.devices) < 2 and set(programs) <= set(BETWEEN):
            checks.not_applicable("there is one device: it has no other to reach")
        if not found:
            raise checks.Inconclusive(f"no rate of {', '.join(programs)} was measured", NO_RATES)
        for one in found:
            judgement(one)
            report(one.rate, one)
        gates.of_judgements(found).give()

    def report(rate: Rate, one: Judgement) -> None:
        gate = f"at least {one.gate:.4g}" if one.gate else None
        name = f"{rate.name} of {gates.where(rate, one.gpu)}"
        way = ", all at once" if rate.together and rate.device is not None else ""
        source = one.source or None
        measure(name + way, rate.median, rate.unit, spread=rate.spread, gate=gate, source=source)

    return answer


def test_health_under_load(loaded: Survey, bounds: Bounds) -> None:
    """The GPUs are healthy at work, when links are awake and the chips are warm."""
    gates.of_findings(loaded.findings(bounds)).give()


def test_clocks_under_load(loaded: Survey, evidence: gates.Evidence) -> None:
    """At work the clocks are as high as they go, but for the GPU's own power limit."""
    gates.clocked(evidence.under(loaded.snapshot)).give()


def test_gemm_gate(hold: Hold) -> None:
    """Every GPU multiplies matrices as fast as its model should, and as its peers do."""
    hold("gemm")


def test_memory_gate(hold: Hold) -> None:
    """Every GPU's memory is as fast as its model should be, and as its peers are."""
    hold("copy", "triad")


def test_transfer_gate(hold: Hold) -> None:
    """Data moves between host and GPU as fast as the PCIe link should carry it."""
    hold("host_to_device", "device_to_host")


def test_peer_copy_gate(hold: Hold) -> None:
    """Data moves between GPUs alike, whichever they are."""
    hold("device_to_device")


def test_attention_gate(hold: Hold) -> None:
    """Attention runs alike on all GPUs."""
    hold("attention")


def test_train_gate(hold: Hold) -> None:
    """A training step runs alike on all GPUs; its rate over the peak is the MFU."""
    hold("train")


def test_collective_gate(hold: Hold) -> None:
    """Large collectives are as fast as NVLink should carry them."""
    hold(*COLLECTIVES)
