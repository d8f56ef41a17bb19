"""Which profile is explained for which GPU and workload."""

from __future__ import annotations

from collections.abc import Iterable

from jaxpad import effects, flags, gpus, profiles, workloads

# One GPU for each class of architecture that XLA tells apart.
GPUS = ("v100-sxm-32", "t4", "a100-sxm-80", "l4", "h100-sxm", "b200", "rtx-5090")
# What a profile for every workload is compiled for: one without collectives, one with.
EVERY = ("dense", "fsdp")
PEERS = "peers"


def shipped() -> tuple[str, ...]:
    """The names of jaxpad's own profiles."""
    return profiles.names()


def peers() -> tuple[str, ...]:
    """The names of the flag sets that others publish: `peers/NAME`."""
    return tuple(f"{PEERS}/{name}" for name in profiles.names(profiles.FOLDER / PEERS))


def questions(names: Iterable[str]) -> list[effects.Question]:
    """Each profile for each GPU and workload that it requires, where it has any flag.

    A profile that requires no workload is for `EVERY`.

    Raises UsageError as `profiles.load` does.
    """
    version = flags.jaxlib_version()
    found = [profiles.load(name) for name in names]
    described = [gpus.load(name) for name in GPUS]
    return [
        effects.Question(profile, gpu, workload)
        for profile in found
        if profiles.select(profile, version)
        for workload in map(workloads.load, profile.requires.workload or EVERY)
        for gpu in described
        if profile.requires.hold(gpu.architecture, workload.name)
    ]
