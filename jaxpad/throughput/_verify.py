"""Whether the numbers are right, on every device."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jaxpad import checks
from jaxpad.throughput._disturb import Disturbance
from jaxpad.throughput._program import Answer, Program, alone, as_one, differs

REMEDY = (
    "take the device out of service: run `jaxpad health` for its ECC errors and throttling, then "
    "DCGM's `dcgmi diag -r 3`; if all devices are named, suspect the XLA flags or the driver first"
)


def verify(program: Program, devices: Sequence[Any], *, disturb: Disturbance | None = None) -> None:
    """Holds each device's result to a reference, and the devices' results to each other.

    The reference is computed by numpy in float64 (of a large result, some rows); the rest is
    held to what most devices found. `disturb` is for tests. Raises checks.Failed, which
    names each device that is wrong and how.
    """
    meshes = [as_one(devices)] if program.spans else [alone(device) for device in devices]
    wrong, digests = [], []
    kept: dict[bytes, Answer] = {}
    for mesh in meshes:  # one answer at a time: eight GPUs' operands are many GB
        answer = _answer(program, mesh, disturb)
        digests.append(hashlib.sha256(answer.result.tobytes()).digest())
        wrong.append(_wrong(program, answer))
        if not wrong[-1]:
            kept.setdefault(digests[-1], answer)
    usual = Counter(one for one in digests if one in kept).most_common(1)
    found = []
    for mesh, said, digest in zip(meshes, wrong, digests, strict=True):
        if usual and not said:
            said = _unlike(program, kept[digest], kept[usual[0][0]])
            said += "; of two, either may be at fault" if said and len(devices) == 2 else ""
        if said:
            found.append(f"{_names(mesh.devices.flat)}: {said}")
    if found:
        name = f"{program.name} {program.variant}".rstrip()
        raise checks.Failed(f"{name} gave wrong numbers on {'; on '.join(found)}", REMEDY)


def _answer(program: Program, mesh: Any, disturb: Disturbance | None) -> Answer:
    answer = program.answer(mesh)
    if disturb is None:
        return answer
    device = None if program.spans else int(mesh.devices.flat[0].id)
    return Answer(answer.operands, disturb.spoil(device, answer.result))


def _wrong(program: Program, answer: Answer) -> str:
    bad = int(np.count_nonzero(~np.isfinite(answer.result.astype(np.float32))))
    if bad:
        return f"{bad} of {answer.result.size} entries are not finite (NaN or infinite)"
    return program.wrong(answer)


def _unlike(program: Program, answer: Answer, usual: Answer) -> str:
    """How an answer differs from the commonest one, beyond what rounding may do."""
    if usual is answer:
        return ""
    mine, theirs = (one.result.astype(np.float32) for one in (answer, usual))
    said = differs(mine, theirs, 2 * program.bound(usual))
    return said and f"unlike other devices, {said}"


def _names(found: Iterable[Any]) -> str:
    devices = list(found)
    listed = ", ".join(str(device.id) for device in devices)
    return f"device {listed} ({devices[0].device_kind})"
