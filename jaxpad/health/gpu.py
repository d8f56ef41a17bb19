"""Whether a GPU answers with sense, its memory is sound, and programs may compute on it."""

from __future__ import annotations

from jaxpad.health.model import (
    MODERN,
    TIMES,
    Answer,
    Gpu,
    absent,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
    printable,
    readings,
    short,
)

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
    every = list(readings(gpu.state))
    if not any(found.known for _, found in every):
        return not_applicable("no reading was told")
    wrong = [
        f"{path} {(found.reason or '').partition(': ')[2]}"
        for path, found in every
        if found.error == "garbage" and not gpu.without(path, found)
    ]
    if not wrong:
        return passed("every reading can be", value=0.0, unit="readings")
    more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
    seen = printable("; ".join(wrong[:_NAMED])) + more
    remedy = "compare with nvidia-smi -q; if it says the same, reset the GPU or update the driver"
    why = "a sick GPU or driver often shows first in numbers that cannot be"
    return inconclusive(seen, remedy, value=float(len(wrong)), unit="readings", why=why)


_IMEX = 5  # nvml.h, NVML_GPU_RECOVERY_ACTION_RECOVER_IMEX_DOMAIN
_RESET_NOW = "drain the GPU and reset it (nvidia-smi -i {} -r)"
_REBOOT_NOW = "drain the node and reboot it"
_RECOVERY = {  # nvml.h, nvmlDeviceGpuRecoveryAction_t
    1: ("reset the GPU", _RESET_NOW),
    2: ("reboot the node", _REBOOT_NOW),
    3: ("drain its peers", "drain the GPU and every job that is linked to it, then ask again"),
    4: ("drain and reset", _RESET_NOW),
    6: ("reset its bus", "drain the node and reset the GPU's PCIe bus, or reboot"),
    7: ("reboot the system", _REBOOT_NOW),
}


def recovery(gpu: Gpu) -> Answer:
    """Fail: the driver asks for a reset, a reboot or a drain, also by a number yet unknown.

    An action for the IMEX domain is no fault of the GPU. Older drivers do not tell.
    """
    found = gpu.state.modes.recovery_action
    if found.value is None:
        # An older driver does not know the field; WSL answers no field of such a board.
        untold = gpu.consumer or found.error == "NVMLError_InvalidArgument"
        what = "recovery action"
        return not_applicable(f"no {what} told") if untold else absent(found, what, expected=False)
    if found.value in (0, _IMEX):
        return passed("recover the IMEX domain" if found.value else "none")
    unknown = (f"action {found.value}", "drain the GPU and see nvidia-smi -q, GPU Recovery Action")
    words, remedy = _RECOVERY.get(found.value, unknown)
    why = "the driver says what this GPU needs before it can be used"
    return failed(words, remedy.format(gpu.state.index), why=why)


def inforom(gpu: Gpu) -> Answer:
    """Inconclusive: the board's own record does not match its checksums."""
    found = gpu.state.modes.inforom_valid
    if found.value is None:
        return absent(found, "InfoROM", expected=False)
    if found.value:
        return passed("valid")
    remedy = "reset the GPU; if it stays corrupted, have the board serviced or replaced"
    why = "serial number, settings and error counters of the board cannot be relied on"
    return inconclusive("corrupted", remedy, why=why)


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
    if gpu.kept_from(running):
        return not_applicable("of a GPU cut into slices the host alone is told the processes")
    if running.value is None:
        return absent(running, "processes", expected=not gpu.integrated)
    if running.value:
        remedy = "end them if they are left over: fuser -v /dev/nvidia*"
        return inconclusive(seen, remedy, value=float(len(running.value)), unit="processes")
    if memory.used_bytes.known:
        return _held(gpu, seen)
    if gpu.integrated:
        return passed(f"{seen}; the memory is the system's")
    return absent(memory.used_bytes, "memory in use", expected=gpu.described)


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


# Whether its memory is sound and all there.

RESET = "drain the GPU and reset it (nvidia-smi -i {} -r) or reboot"
REPLACE = "drain the node, run NVIDIA's field diagnostic, and have the GPU replaced"
SOON = "run NVIDIA's field diagnostic when the node is next free, and ask again after some load"
RMA = "https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/"


def ecc(gpu: Gpu) -> Answer:
    """Fail: more uncorrected errors since the driver was loaded than the bound.

    Fail, too: NVIDIA's threshold of errors outside DRAM is exceeded, for which it replaces
    boards. Not applicable on boards whose error correction is optional and off.
    """
    state, bound = gpu.state.ecc, gpu.bound("ecc_uncorrected_most")
    if gpu.consumer and not state.enabled.value:
        return not_applicable("error correction is off or not there, as on most such boards")
    if state.enabled.value is None:
        return absent(state.enabled, "error correction", expected=gpu.described)
    if not state.enabled.value:
        remedy = f"nvidia-smi -i {gpu.state.index} -e 1, then reset the GPU"
        return inconclusive("off: errors would not be seen", remedy)
    errors = state.uncorrected_volatile
    if errors.value is None:
        return absent(errors, "uncorrected errors", expected=True)
    shown = held(errors.value, "errors", f"at most {bound.value:g}", bound)
    seen = f"{errors.value} uncorrected errors since the driver was loaded"
    if state.sram_exceeded.value:
        words = f"{seen}; SRAM threshold exceeded"
        return failed(words, REPLACE, why="NVIDIA's policy replaces the board", source=RMA)
    if errors.value > bound.value:
        return failed(seen, RESET.format(gpu.state.index), why="data was lost", **shown)
    return _outside_dram(gpu, seen, shown)


def _outside_dram(gpu: Gpu, seen: str, shown: dict[str, object]) -> Answer:
    """Inconclusive: many errors of the board's life, and the driver does not tell the threshold.

    The driver tells it to root alone. Then only the errors are counted for which no row was
    replaced: those were not in DRAM.
    """
    state, bound = gpu.state.ecc, gpu.bound("sram_uncorrected_most")
    count = state.sram_uncorrected.value
    if count is None:
        count = _unexplained(gpu)
    if not count:
        return passed(seen, **shown)
    words = f"{seen}; {count} outside DRAM in the board's life"
    if state.sram_exceeded.known or count <= bound.value:
        return passed(words, **shown)
    remedy = (
        "as root see SRAM Threshold Exceeded in nvidia-smi -q -d ECC: with Yes have it replaced"
    )
    why = "the driver does not tell whether NVIDIA's threshold is exceeded"
    more = held(count, "errors", f"at most {bound.value:g}", bound)
    return inconclusive(words, remedy, why=why, **more)


def _unexplained(gpu: Gpu) -> int:
    errors, rows = gpu.state.ecc.uncorrected_aggregate, gpu.state.remapped_rows.uncorrectable
    return max(0, (errors.value or 0) - rows.value) if rows.value is not None else 0


def rows(gpu: Gpu) -> Answer:
    """Fail: a row or repair that waits for a reset, one for which no spare was left, or too many.

    Inconclusive: a bank without a spare, or many more rows than on the peers.
    """
    state = gpu.state.remapped_rows
    told = state.failed.value is not None and state.pending.value is not None
    if not told and (gpu.architecture not in MODERN or gpu.consumer):
        return not_applicable("only data-center GPUs since Ampere replace rows")
    if not told and gpu.sliced:
        return not_applicable("not told of a GPU that is cut into slices")
    if not told:
        return absent(state.failed, "row remapping", expected=gpu.described)
    total = (state.correctable.value or 0) + (state.uncorrectable.value or 0)
    seen, more = f"{total} rows replaced", {"value": float(total), "unit": "rows"}
    if state.failed.value:
        return failed(f"{seen}, and one could not be", REPLACE, why="no spare is left", **more)
    if state.pending.value or state.repair_pending.value:
        why = "the bad part is in use until the reset"
        words = "one waits" if state.pending.value else "a repair waits"
        return failed(f"{seen}, {words}", RESET.format(gpu.state.index), why=why, **more)
    return _many_rows(gpu, total, seen)


def _many_rows(gpu: Gpu, total: int, seen: str) -> Answer:
    state, most = gpu.state.remapped_rows, gpu.bound("remapped_rows_most")
    broken = state.uncorrectable.value or 0
    if broken > most.value:
        shown = held(broken, "rows", f"at most {most.value:g}", most)
        why = "NVIDIA's policy for replacing boards"
        return failed(f"{broken} rows replaced for uncorrected errors", REPLACE, why=why, **shown)
    more = {"value": float(total), "unit": "rows"}
    if state.banks_without_spare.value:
        words = f"{seen}, and {state.banks_without_spare.value} bank(s) have no spare left"
        return inconclusive(words, SOON, why="their next bad row cannot be replaced", **more)
    usual = gpu.usual(_rows)
    if total > max(gpu.bound("remapped_rows_peers_most").value, TIMES * usual):
        why = "its memory wears faster than its peers'"
        return inconclusive(f"{seen}, most here have {usual:g}", SOON, why=why, **more)
    return passed(seen, **more)


def _rows(gpu: Gpu) -> int | None:
    told = (gpu.state.remapped_rows.correctable, gpu.state.remapped_rows.uncorrectable)
    return sum(each.value or 0 for each in told) if any(each.known for each in told) else None


def pages(gpu: Gpu) -> Answer:
    """Fail: a page that waits for a reset to be retired (Volta and Turing)."""
    state = gpu.state.retired_pages
    if gpu.architecture in MODERN or gpu.consumer:
        return not_applicable("GPUs since Ampere replace rows")
    if state.pending.value is None:
        return absent(state.pending, "retired pages", expected=gpu.described)
    total = (state.single_bit.value or 0) + (state.double_bit.value or 0)
    seen, more = f"{total} pages retired", {"value": float(total), "unit": "pages"}
    if state.pending.value:
        why = "the bad page is in use until the reset"
        return failed(f"{seen}, one waits", RESET.format(gpu.state.index), why=why, **more)
    return passed(seen, **more)


def memory(gpu: Gpu) -> Answer:
    """Inconclusive: much less memory than the model is sold with."""
    total, bound = gpu.state.memory.total_bytes, gpu.bound("memory_least")
    if gpu.integrated and not total.value:
        return not_applicable("the memory is the system's")
    if gpu.kept_from(total):
        return not_applicable("of a GPU cut into slices only the slices' memory is told here")
    if total.value is None:
        return absent(total, "memory", expected=gpu.described)
    gigabytes = total.value / 1e9
    if gpu.vgpu:
        return not_applicable(f"{gigabytes:.1f} GB: the size is the vGPU profile's")
    seen, size = f"{gigabytes:.1f} GB", gpu.model and gpu.model.memory.size_gb
    if not size or not size.confirmed or size.value is None:
        return passed(seen, value=gigabytes, unit="GB")
    least = bound.value * size.value
    shown = held(gigabytes, "GB", f"at least {least:.1f} GB", bound)
    if gigabytes < least:
        remedy = "compare with nvidia-smi -q -d MEMORY; reset the GPU, and replace it if it stays"
        return inconclusive(f"{seen}, sold with {size.value:g} GB", remedy, **shown)
    return passed(seen, **shown)
