"""Whether a GPU's memory is sound and all there."""

from __future__ import annotations

from jaxpad.health._finding import (
    Answer,
    absent,
    failed,
    held,
    inconclusive,
    not_applicable,
    passed,
)
from jaxpad.health._subject import MODERN, Gpu

RESET = "drain the GPU and reset it (nvidia-smi -i {} -r) or reboot"
REPLACE = "drain the node, run NVIDIA's field diagnostic, and have the GPU replaced"


def ecc(gpu: Gpu) -> Answer:
    """Fail: more uncorrected errors since the driver was loaded than the bound.

    Not applicable on boards whose error correction is optional and off.
    """
    state, bound = gpu.state.ecc, gpu.bound("ecc_uncorrected_most")
    if gpu.consumer and not state.enabled.value:
        return not_applicable("error correction is off or not there, as on most such boards")
    if state.enabled.value is None:
        return absent(state.enabled, "error correction", expected=gpu.model is not None)
    if not state.enabled.value:
        remedy = f"nvidia-smi -i {gpu.state.index} -e 1, then reset the GPU"
        return inconclusive("off: errors would not be seen", remedy)
    errors = state.uncorrected_volatile
    if errors.value is None:
        return absent(errors, "uncorrected errors", expected=True)
    shown = held(errors.value, "errors", f"at most {bound.value:g}", bound)
    seen = f"{errors.value} uncorrected errors since the driver was loaded"
    if errors.value > bound.value:
        return failed(seen, RESET.format(gpu.state.index), why="data was lost", **shown)
    return passed(seen, **shown)


def rows(gpu: Gpu) -> Answer:
    """Fail: a row that waits for a reset to be replaced, or one for which no spare was left."""
    state = gpu.state.remapped_rows
    if gpu.architecture not in MODERN or gpu.consumer:
        return not_applicable("only data-center GPUs since Ampere replace rows")
    if gpu.sliced:
        return not_applicable("not told of a GPU that is cut into slices")
    if state.failed.value is None or state.pending.value is None:
        return absent(state.failed, "row remapping", expected=gpu.model is not None)
    total = (state.correctable.value or 0) + (state.uncorrectable.value or 0)
    seen, more = f"{total} rows replaced", {"value": float(total), "unit": "rows"}
    if state.failed.value:
        return failed(f"{seen}, and one could not be", REPLACE, why="no spare is left", **more)
    if state.pending.value:
        why = "the bad row is in use until the reset"
        return failed(f"{seen}, one waits", RESET.format(gpu.state.index), why=why, **more)
    return passed(seen, **more)


def pages(gpu: Gpu) -> Answer:
    """Fail: a page that waits for a reset to be retired (Volta and Turing)."""
    state = gpu.state.retired_pages
    if gpu.architecture in MODERN or gpu.consumer:
        return not_applicable("GPUs since Ampere replace rows")
    if state.pending.value is None:
        return absent(state.pending, "retired pages", expected=gpu.model is not None)
    total = (state.single_bit.value or 0) + (state.double_bit.value or 0)
    seen, more = f"{total} pages retired", {"value": float(total), "unit": "pages"}
    if state.pending.value:
        why = "the bad page is in use until the reset"
        return failed(f"{seen}, one waits", RESET.format(gpu.state.index), why=why, **more)
    return passed(seen, **more)


def memory(gpu: Gpu) -> Answer:
    """Inconclusive: much less memory than the model is sold with."""
    total, bound = gpu.state.memory.total_bytes, gpu.bound("memory_least")
    if total.value is None:
        return absent(total, "memory", expected=True)
    gigabytes = total.value / 1e9
    seen, size = f"{gigabytes:.1f} GB", gpu.model and gpu.model.memory.size_gb
    if not size or not size.confirmed or size.value is None:
        return passed(seen, value=gigabytes, unit="GB")
    least = bound.value * size.value
    shown = held(gigabytes, "GB", f"at least {least:.1f} GB", bound)
    if gigabytes < least:
        remedy = "compare with nvidia-smi -q -d MEMORY; reset the GPU, and replace it if it stays"
        return inconclusive(f"{seen}, sold with {size.value:g} GB", remedy, **shown)
    return passed(seen, **shown)
