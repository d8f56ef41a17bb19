"""The numbers of a report that can be laid beside the same numbers of other nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jaxpad.fleet._names import brief
from jaxpad.results import Gpu, Judgement, Rate, Report

_OF_GPU = re.compile(r" of GPU (\d{1,4})\b")


class Series(NamedTuple):
    """What is compared, and among which GPUs: a tuple, as a fleet compares millions of them."""

    what: str  # "gemm bf16, all at once"
    model: str  # "h100-sxm"
    unit: str
    rate: bool  # how fast a GPU is: less is worse


@dataclass(frozen=True, slots=True)
class Sample:
    """One number, and the GPU it is of; an empty place is the node as a whole."""

    series: Series
    place: str
    value: float


def samples(report: Report) -> Iterator[Sample]:
    """Every rate of every device, and every number that a check measured of a GPU or the node."""
    yield from _rates(report)
    named = tuple({rate.name for rate in report.rates if rate.name})
    of_gpus = {gpu.index: _model(gpu) for gpu in report.gpus}
    node = fitted(report)
    for check in report.checks:
        for found in check.measurements:
            if isinstance(found.value, str) or found.name.startswith(named):
                continue  # a word, or a rate told once more
            match = _OF_GPU.search(found.name)
            model = of_gpus.get(int(match[1]), "unknown GPU") if match else node
            what = brief(_OF_GPU.sub("", found.name), 80)
            place = f"GPU {match[1]}" if match else ""
            yield Sample(Series(what, model, brief(found.unit, 60), False), place, found.value)


def fitted(report: Report) -> str:
    """What the node is made of: `8 x h100-sxm`, or its CPUs."""
    found = [_model(gpu) for gpu in report.gpus]
    counted = (f"{found.count(model)} x {model}" for model in dict.fromkeys(found))
    return ", ".join(counted) or _cpu(report)


def models(report: Report) -> tuple[str, ...]:
    """The GPU models of a node, each once."""
    return tuple(sorted({brief(gpu.description or gpu.name, 60) for gpu in report.gpus}))


def _cpu(report: Report) -> str:
    cpus = report.host.get("cpus")
    return f"CPU, {brief(cpus.value, 20)} cores" if cpus and cpus.value else "CPU"


def _model(gpu: Gpu) -> str:
    name = brief(gpu.description or gpu.name, 60)
    return f"{name}, cut in {len(gpu.devices)}" if len(gpu.devices) > 1 else name


Key = tuple[str, str, str, int | None, bool]


def _key(rate: Rate) -> Key:
    return (rate.platform, rate.program, rate.variant, rate.device, rate.together)


def _rates(report: Report) -> Iterator[Sample]:
    judged = {_key(one.rate): one for one in report.judgements}
    owners = {device: gpu for gpu in report.gpus for device in gpu.devices}
    rates = {key: one.rate for key, one in judged.items()} | {_key(r): r for r in report.rates}
    node, indices = fitted(report), {gpu.index: gpu for gpu in report.gpus}
    for key, rate in rates.items():
        gpu = _owner(rate, judged.get(key), owners, indices)
        model = (
            _model(gpu) if gpu else node if rate.platform == "cpu" or rate.device is None else ""
        )
        if not model:
            continue  # of a device that no GPU is known for: comparable with nothing
        series = Series(_what(rate), model, brief(rate.unit, 60), rate.platform != "cpu")
        yield Sample(series, _place(rate, gpu), rate.median)


def _owner(
    rate: Rate, judged: Judgement | None, owners: dict[int, Gpu], indices: dict[int, Gpu]
) -> Gpu | None:
    if rate.device is None or rate.platform == "cpu":
        return None
    known = indices.get(judged.gpu) if judged and judged.gpu is not None else None
    return known or owners.get(rate.device)


def _what(rate: Rate) -> str:
    how = ", all at once" if rate.together and rate.device is not None else ""
    where = " on the CPU" if rate.platform == "cpu" else ""
    return brief(f"{rate.name}{where}", 80) + how


def _place(rate: Rate, gpu: Gpu | None) -> str:
    if rate.device is None:
        return ""
    if gpu is None:
        return f"CPU {rate.device}"
    return f"GPU {gpu.index}" + (f", device {rate.device}" if len(gpu.devices) > 1 else "")
