"""Whether JAX uses every GPU that it should."""

from __future__ import annotations

from collections.abc import Sequence

from jaxpad.gates._conclude import Answer
from jaxpad.survey import Survey
from jaxpad.verdict import Verdict


def all_used(survey: Survey, ordinals: Sequence[int]) -> Answer:
    """Fail: NVML lists a GPU that JAX has no device on, and nothing was set to hide it.

    `ordinals` are the `local_hardware_id` of JAX's devices.
    """
    matches = survey.match(ordinals)
    lost = [f"CUDA device {each.ordinal}: {each.reason}" for each in matches if each.gpu is None]
    if lost:
        remedy = "run nvidia-smi -L; mixed drivers or containers make the two lists differ"
        return Answer(Verdict.INCONCLUSIVE, "; ".join(lost), remedy)
    used = {each.gpu.index for each in matches if each.gpu}
    wanted = survey.visible
    missing = sorted(wanted - used)
    if not missing:
        return Answer(Verdict.PASS)
    words = ", ".join(map(str, missing))
    reason = f"NVML counts {len(wanted)} GPUs and JAX uses {len(used)}: not GPU {words}"
    return Answer(Verdict.FAIL, reason, _remedy(missing[0]))


def _remedy(index: int) -> str:
    return (
        f"run jaxpad health and nvidia-smi -q -i {index}: a GPU in prohibited mode, in MIG mode "
        "with no slice, or out of its fabric is not given to CUDA; where it is meant to be left "
        "out, say so with CUDA_VISIBLE_DEVICES"
    )
