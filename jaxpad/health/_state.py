"""Whether a GPU answers with sense, and is set up to run something."""

from __future__ import annotations

from jaxpad.health._finding import Answer, absent, failed, inconclusive, not_applicable, passed
from jaxpad.health._subject import Gpu, printable, readings, short

LOST = frozenset({"NVMLError_GpuIsLost", "NVMLError_GpuNotFound", "NVMLError_ResetRequired"})
EXCLUSIVE = "one process at a time: a second JAX process on this GPU does not start"
_NAMED = 3


def answers(gpu: Gpu) -> Answer:
    """Fail: NVML says of a reading that the GPU is lost or needs a reset."""
    every = list(readings(gpu.state))
    lost = next((found for _, found in every if found.error in LOST), None)
    if lost is not None:
        remedy = (
            "drain the node and reset the GPU (nvidia-smi -r) or reboot; if it is lost again, "
            "reseat it and have it replaced"
        )
        return failed(f"{lost.error}", remedy, why="nothing can run on it")
    if not any(found.known for _, found in every):
        return inconclusive(f"no answer: {every[0][1].reason}", "run nvidia-smi -q as root")
    known = "" if gpu.model else ", which configs/gpus does not describe"
    return passed(f"{short(gpu.name) or 'a GPU without a name'}{known}")


def sense(gpu: Gpu) -> Answer:
    """Inconclusive: a reading that cannot be, such as 65535 °C or memory of 0 bytes."""
    wrong = [
        f"{path} {(found.reason or '').partition(': ')[2]}"
        for path, found in readings(gpu.state)
        if found.error == "garbage"
    ]
    if not wrong:
        return passed("every reading can be", value=0.0, unit="readings")
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    seen = printable("; ".join(wrong[:_NAMED])) + more
    remedy = "compare with nvidia-smi -q; if it says the same, reset the GPU or update the driver"
    why = "a sick GPU or driver often shows first in numbers that cannot be"
    return inconclusive(seen, remedy, value=float(len(wrong)), unit="readings", why=why)


def compute_mode(gpu: Gpu) -> Answer:
    """Fail: prohibited, or exclusive and held while nobody should be at work.

    Exclusive alone passes, and says what it means.
    """
    found = gpu.state.modes.compute_mode
    if found.value is None:
        return absent(found, "compute mode", expected=False)
    if found.value == "prohibited":
        remedy = f"nvidia-smi -i {gpu.state.index} -c DEFAULT"
        return failed("prohibited", remedy, why="CUDA runs nothing on this GPU")
    if found.value.startswith("exclusive"):
        holders = gpu.state.processes.compute.value
        if gpu.node.idle and holders:
            remedy = f"end what holds it, or nvidia-smi -i {gpu.state.index} -c DEFAULT"
            why = "CUDA gives this GPU to nobody else"
            return failed(f"{found.value}, and held: {_who(gpu)}", remedy, why=why)
        return passed(f"{found.value}: {EXCLUSIVE}")
    return passed(found.value)


def mig(gpu: Gpu) -> Answer:
    """Inconclusive: MIG mode without slices, where nothing runs, or a change not yet in force."""
    now, pending = gpu.state.mig.enabled, gpu.state.mig.pending
    if now.value is None:
        return absent(now, "MIG mode", expected=False)
    if pending.value is not None and pending.value != now.value:
        words = f"{'on' if now.value else 'off'}, and the other after the next reset"
        return inconclusive(words, f"reset the GPU: nvidia-smi -i {gpu.state.index} -r")
    if not now.value:
        return passed("off")
    slices = gpu.state.mig.devices
    if slices.value is None:
        return absent(slices, "MIG devices", expected=True)
    if not slices.value:
        remedy = "make slices (nvidia-smi mig -cgi … -C), or turn MIG off"
        return inconclusive("on, with no slice", remedy, why="nothing runs until there is one")
    return passed(f"on, {len(slices.value)} slice(s)", why="row remapping is not told of a parent")


def persistence(gpu: Gpu) -> Answer:
    """A note: passes either way."""
    found = gpu.state.modes.persistence
    if found.value is None:
        return absent(found, "persistence mode", expected=False)
    if found.value:
        return passed("on")
    why = "the driver lets go of a GPU that nobody uses: the next start takes longer"
    return passed(
        "off: systemctl enable --now nvidia-persistenced keeps the driver loaded", why=why
    )


def busy(gpu: Gpu) -> Answer:
    """With `--idle`: inconclusive where a process computes, or memory is taken.

    Without, not applicable: a node at work has both. A display server counts in neither.
    """
    running, memory = gpu.state.processes.compute, gpu.state.memory
    seen = _who(gpu)
    if not gpu.node.idle:
        return not_applicable(f"{seen} (judged with --idle)")
    if running.value is None:
        return absent(running, "processes", expected=True)
    if running.value:
        remedy = "end them if they are left over: fuser -v /dev/nvidia*"
        return inconclusive(seen, remedy, value=float(len(running.value)), unit="processes")
    return (
        _held(gpu, seen)
        if memory.used_bytes.known
        else absent(memory.used_bytes, "memory in use", expected=True)
    )


def _held(gpu: Gpu, seen: str) -> Answer:
    memory, bound = gpu.state.memory, gpu.bound("idle_memory_most")
    screens = sum(each.used_bytes.value or 0 for each in gpu.state.processes.graphics.value or ())
    reserved = memory.reserved_bytes.known
    taken = max(0, (memory.used_bytes.value or 0) - screens) / (memory.total_bytes.value or 1)
    more = {
        "value": round(100 * taken, 2),
        "unit": "%",
        "bound": f"at most {100 * bound.value:g} %",
        "source": bound.origin,
    }
    if taken <= bound.value or not reserved:
        return passed(seen, **more)
    words = f"{seen}, and {100 * taken:.0f} % of the memory taken"
    remedy = "find who holds it (fuser -v /dev/nvidia*), also in containers; else reset the GPU"
    return inconclusive(words, remedy, why="a job that starts now does not get it", **more)


def _who(gpu: Gpu) -> str:
    """The compute processes in words."""
    found = gpu.state.processes.compute
    if found.value is None:
        return f"compute processes not told ({found.error})"
    if not found.value:
        return "no compute process"
    shown = [
        f"pid {each.pid} ({short(each.name.value or 'no name', 40)}"
        + (f", {each.used_bytes.value / 1e9:.1f} GB)" if each.used_bytes.value else ")")
        for each in found.value[:_NAMED]
    ]
    more = f" and {len(found.value) - _NAMED} more" if len(found.value) > _NAMED else ""
    return f"{', '.join(shown)}{more}"
