"""The flag sets that others publish: whole, sourced, and dead where they say so."""

from __future__ import annotations

import re

import pytest

from jaxpad import flags, profiles

PEERS = profiles.FOLDER / "peers"
NAMES = profiles.names(PEERS)
FILE_AT_COMMIT = re.compile(r"https://github\.com/[\w-]+/[\w-]+/blob/[0-9a-f]{40}/[\w./-]+\w")

# What no jaxlib from 0.10.2 on knows, and each peer that still publishes it.
DEAD = {
    "nvidia-gpu-performance": {
        "xla_gpu_lhs_enable_gpu_async_tracker",
        "xla_gpu_enable_custom_fusions",
        "xla_gpu_enable_address_computation_fusion",
        "xla_gpu_enable_nccl_per_stream_comms",
        "xla_gpu_cudnn_gemm_fusion",
    },
    "axlearn-a3-high": {"xla_gpu_all_reduce_contiguous"},
    "axlearn-a3-ultra": {"xla_gpu_graph_level"},
    "easydel": {"xla_gpu_enable_shared_constants"},
}
# Known from jaxlib 0.12 on.
YOUNG = {f"xla_gpu_pipeline_{kind}" for kind in ("all_gather", "reduce_scatter", "all_reduce")}
PUBLISH_YOUNG = {"maxtext-a3-1vm", "maxtext-a3-16vm", "maxtext-tp"}


def load(name: str) -> profiles.Profile:
    return profiles.load(PEERS / f"{name}.toml")


def text(peer: profiles.Profile) -> str:
    return " ".join(flag.word for flag in peer.flags)


def test_peers_apart() -> None:
    """There are some, and none is offered as one of our own profiles."""
    assert NAMES
    assert not {*NAMES} & {*profiles.names()}
    assert {*DEAD, *PUBLISH_YOUNG} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_peer_sourced(name: str) -> None:
    peer = load(name)
    assert peer.flags
    assert peer.extends == ()
    published = [flag.name for flag in peer.flags]
    assert len(published) == len({*published})
    for source in [flag.source for flag in peer.flags] + [var.source for var in peer.env]:
        assert FILE_AT_COMMIT.fullmatch(source)


@pytest.mark.parametrize("name", NAMES)
def test_peer_narrow(name: str) -> None:
    """Each is compiled once for every architecture and workload that it names.

    But the two flags of JAX's own page, which docs/two-flags.md has for all.
    """
    requires = load(name).requires
    if name != "jax-docs-tips":
        assert 1 <= len(requires.architecture) * len(requires.workload) <= 4


@pytest.mark.parametrize("name", NAMES)
def test_peer_whole(name: str) -> None:
    """XLA reads the string to its end: nothing in it cuts it short."""
    peer = load(name)
    parsed = profiles.parse(text(peer))
    assert [flag.name for flag in parsed.flags] == [flag.name for flag in peer.flags]


@pytest.mark.parametrize("name", NAMES)
def test_peer_unknown(name: str) -> None:
    expected = {*DEAD.get(name, ())}
    if name in PUBLISH_YOUNG and profiles.matches("<0.12", flags.jaxlib_version()):
        expected |= YOUNG
    accepted = flags.accept(text(load(name)))
    assert {*accepted.unknown} == expected
    assert accepted.bad_value is None
    assert accepted.ok == (not expected)


def test_dead_published() -> None:
    """What is said to be dead is there, as the publisher has it."""
    for name, dead in (*DEAD.items(), *((name, YOUNG) for name in PUBLISH_YOUNG)):
        assert dead <= {flag.name for flag in load(name).flags}
