"""What a fleet keeps of one report: a few kilobytes, most of them shared between nodes."""

from __future__ import annotations

import datetime
import hashlib
import math
import os
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jaxpad.core.results import CheckResult, Fact, Gpu, Judgement, Rate, Report, Verdict
from jaxpad.core.text import brief_list
from jaxpad.fleet.untrusted import SMOKE, Refused, parse, smoke_of

# The numbers of a report that can be laid beside the same numbers of other nodes.

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
            what = brief_list(_OF_GPU.sub("", found.name), 80)
            place = f"GPU {match[1]}" if match else ""
            yield Sample(Series(what, model, brief_list(found.unit, 60), False), place, found.value)


def fitted(report: Report) -> str:
    """What the node is made of: `8 x h100-sxm`, or its CPUs."""
    found = [_model(gpu) for gpu in report.gpus]
    counted = (f"{found.count(model)} x {model}" for model in dict.fromkeys(found))
    return ", ".join(counted) or _cpu(report)


def models(report: Report) -> tuple[str, ...]:
    """The GPU models of a node, each once."""
    return tuple(sorted({brief_list(gpu.description or gpu.name, 60) for gpu in report.gpus}))


def _cpu(report: Report) -> str:
    cpus = report.host.get("cpus")
    return f"CPU, {brief_list(cpus.value, 20)} cores" if cpus and cpus.value else "CPU"


def _model(gpu: Gpu) -> str:
    name = brief_list(gpu.description or gpu.name, 60)
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
        series = Series(_what(rate), model, brief_list(rate.unit, 60), rate.platform != "cpu")
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
    return brief_list(f"{rate.name}{where}", 80) + how


def _place(rate: Rate, gpu: Gpu | None) -> str:
    if rate.device is None:
        return ""
    if gpu is None:
        return f"CPU {rate.device}"
    return f"GPU {gpu.index}" + (f", device {rate.device}" if len(gpu.devices) > 1 else "")


# What should be the same on all nodes: versions, image, profile, flags, settings.

Trait = tuple[str, str]
NOT_SET = "not set"
UNKNOWN = "not known"
_HOST = ("system", "kernel", "machine", "cpus", "container", "image")
# XLA_FLAGS is told flag by flag; the others name GPUs or places of the one node.
_OWN = ("XLA_FLAGS", "CUDA_VISIBLE_DEVICES", "JAX_CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


def traits(report: Report) -> tuple[Trait, ...]:
    """Name and value of each, in the order they are told."""
    return tuple((brief_list(name, 80), brief_list(value, 200)) for name, value in _told(report))


def _told(report: Report) -> Iterator[Trait]:
    yield "jaxpad", report.jaxpad
    yield "GPUs", fitted(report)
    for name, fact in report.versions.items():
        yield name, _value(fact)
    for name in _HOST:
        if name in report.host:
            yield name, _value(report.host[name])
    yield "profile", report.profile or "none"
    for flag in report.xla_flags.flags:
        yield f"flag {flag.name}", flag.value
    yield "flags that XLA drops", report.xla_flags.dropped or "none"
    for name, value in report.environment.items():
        if name not in _OWN:
            yield f"variable {name}", value


def _value(fact: Fact) -> str:
    return (
        fact.value if fact.value is not None else f"{UNKNOWN}: {fact.reason or 'no reason given'}"
    )


WRONG = (Verdict.FAIL, Verdict.INCONCLUSIVE)
MOST_WRONG = 200  # checks that are not a pass; the suite has 200 in all
MOST_SAMPLES = 20_000  # sixteen GPUs cut in seven have 6,000
T = TypeVar("T")
Same = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A check that is not a pass; `key` is the same on nodes with the same thing wrong."""

    check: str
    verdict: Verdict
    reason: str
    remedy: str
    key: str


@dataclass(frozen=True, slots=True)
class Digest:
    """One node's report. `layout` says what each of `values` is."""

    name: str  # of the folder
    node: str  # what the report calls its node
    started: str  # empty: it says nothing that is a time
    verdict: Verdict
    wrong: tuple[Wrong, ...]
    models: tuple[str, ...]  # of the GPUs that the driver lists
    traits: tuple[Trait, ...]
    layout: tuple[tuple[Series, str], ...]
    values: array[float]
    mark: bytes  # the same for the same bytes
    gpus: int = 0  # that the driver lists
    checks: int = 0  # that were run
    selected: bool = False  # by -k
    twice: str = ""  # a bus id that two GPUs have

    def shared(self, same: Same) -> Digest:
        """The digest with what other nodes have too replaced by the one that is kept."""
        return replace(
            self,
            wrong=tuple(map(same, self.wrong)),
            models=same(self.models),
            traits=same(self.traits),
            layout=same(self.layout),
        )


def keeper() -> Same:
    """A function that gives back the first of all equal values it was ever given."""
    kept: dict[Any, Any] = {}
    return lambda value: kept.setdefault(value, value)


def digest(name: str, report: Report, data: bytes, same: Same) -> Digest:
    """The digest of the report that was read from `data` in the folder `name`.

    Raises Refused for more numbers than a node can have.
    """
    found = _bounded(samples(report))
    found_wrong = [check for check in report.checks if check.verdict in WRONG]
    first = sorted(found_wrong, key=lambda check: check.verdict is not Verdict.FAIL)[:MOST_WRONG]
    whole = Digest(
        name=name,
        node=brief_list(report.node, 80),
        started=_moment(report.started),
        verdict=report.verdict,
        wrong=tuple(_wrong(check, (name, report.node)) for check in first),
        models=models(report),
        traits=traits(report),
        layout=tuple((each.series, each.place) for each in found),
        values=array("d", (each.value for each in found)),
        mark=hashlib.blake2b(data, digest_size=16).digest(),
        gpus=len(report.gpus),
        checks=len(report.checks),
        selected=any(map(_selects, report.command)),
        twice=_twice(report),
    )
    return whole.shared(same)


def _selects(word: str) -> bool:
    return word.startswith("-k") or word.partition("=")[0] == "--k"


def _twice(report: Report) -> str:
    found = Counter(gpu.pci_bus_id for gpu in report.gpus if gpu.pci_bus_id)
    return next((brief_list(bus, 40) for bus, count in found.items() if count > 1), "")


def _moment(text: str) -> str:
    """A time that is one; any other text would be the newest of the fleet."""
    try:
        return datetime.datetime.fromisoformat(text).isoformat(timespec="seconds")
    except ValueError:
        return ""


def _bounded(found: Iterator[Sample]) -> list[Sample]:
    kept = []
    for each in found:
        kept.append(each)
        if len(kept) > MOST_SAMPLES:
            raise Refused(f"it holds more than {MOST_SAMPLES:,} rates and measurements")
    return [each for each in kept if math.isfinite(each.value)]


def _wrong(check: CheckResult, names: tuple[str, ...]) -> Wrong:
    reason = brief_list(check.reason or check.output[-500:], 500)
    key = alike(reason, names)
    return Wrong(
        brief_list(check.id, 120), check.verdict, reason, brief_list(check.remedy, 500), key
    )


_NUMBERS = re.compile(
    r"\b(?:GPU|MIG)-[0-9a-f-]+"  # the start of a UUID
    r"|\b(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]\b"  # a PCI bus id
    r"|\b0x[0-9a-fA-F]+"
    r"|\d+(?:[.,]\d+)*"
)


def alike(reason: str, names: tuple[str, ...]) -> str:
    """A reason without its numbers and its node's own name: the same for the same fault."""
    for name in filter(None, names):
        reason = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "<node>", reason)
    return _NUMBERS.sub("#", reason)


# Reports of nodes, read without trust.

Answer = Digest | Refused | None  # None: there is no report


def read_node(file: Path) -> Report:
    """The report in `file`, a smoke.json in a node's folder.

    Raises Refused, a UsageError of one sentence, for a file that is not there, is no plain
    file, is over 16 MiB, or is not what jaxpad writes. Neither the file nor its folder is
    followed if it is a symbolic link; a FIFO or a device is not waited for.
    """
    if file.name != SMOKE:
        raise Refused(f"{file} is no {SMOKE}", f"give the path of a node's {SMOKE}")
    try:
        return parse(smoke_of(str(file.parent)))
    except FileNotFoundError:
        raise Refused(f"there is no {file}") from None


def read(root: str, names: Sequence[str]) -> list[Answer]:
    """What each folder below `root` holds. Raises nothing for a bad report."""
    same = keeper()
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return [_one(folder, name, same) for name in names]
    finally:
        os.close(folder)


def _one(folder: int, name: str, same: Same) -> Answer:
    try:
        data = smoke_of(name, folder)
        return digest(name, parse(data), data, same)
    except FileNotFoundError:
        return None
    except Refused as refused:
        return refused
    except Exception as error:  # whatever one report does, the others are merged
        return Refused(f"reading it raised {type(error).__name__}")
