"""FLOPs and bytes of one kernel, counted on its HLO."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxpad.gpus import Figure, GpuDescription
from jaxpad.schedule.hlo import (
    ARITHMETIC,
    PRODUCTS,
    REDUCTIONS,
    SLICES,
    UNCOUNTED,
    UPDATES,
    VIEWS,
    Computation,
    Groups,
    Module,
    crosses,
    dtype,
    elements,
    size,
)
from jaxpad.schedule.model import RooflineFigure

_MATRIX = {"bf16": "bf16", "f16": "fp16", "f32": "tf32", "s8": "int8", "u8": "int8"}


@dataclass(frozen=True)
class Cost:
    """FLOPs by unit and bytes to and from the GPU's memory of one run of a kernel.

    A multiply-add is 2 FLOPs, a reduction one for each element it reads, any other
    arithmetic one for each element it writes. `unit` is a dtype of a GPU description: the
    matrix unit's for products, `fp32` for all else. `flops` is None where the HLO does not
    say what the kernel computes. Each operand is read once and each result written once, of
    a sliced operand and an updated one the slice alone.
    """

    flops: Mapping[str, int] | None
    bytes: int

    @property
    def total(self) -> int | None:
        """FLOPs of all units together."""
        return None if self.flops is None else sum(self.flops.values())


@dataclass
class _Count:
    module: Module
    found: Counter[str] = field(default_factory=Counter)
    whole: bool = True

    def add(self, inside: Computation, one: Any) -> None:
        """Count one instruction of a computation in FLOPs of its unit."""
        if one.opcode in PRODUCTS:
            self.found[_unit(inside, one)] += _dot(inside, one)
        elif one.opcode == "convolution":
            self.found[_unit(inside, one)] += _convolution(inside, one)
        elif one.opcode in REDUCTIONS:
            self.found["fp32"] += sum(elements(each.shape) for each in inside.operands(one)[:1])
        elif one.opcode in ARITHMETIC:
            self.found["fp32"] += elements(one.shape)
        elif one.opcode in UNCOUNTED:
            self.whole = False
        elif one.opcode == "fusion":
            for called in self.module.called(one):
                for each in called.instructions:
                    self.add(called, each)


def cost(module: Module, inside: Computation, one: Any) -> Cost:
    """What an instruction that is one kernel costs."""
    if one.opcode == "custom-call":
        flops = _library(module, inside, one)
        return Cost(flops, _through(inside, one, one.shape if flops is None else _first(one.shape)))
    count = _Count(module)
    count.add(inside, one)
    moved = _fused(module, one) if one.opcode == "fusion" else _moved(inside, one)
    return Cost(dict(count.found) if count.whole else None, moved)


def _dot(inside: Computation, one: Any) -> int:
    """2 x results x contracted: https://openxla.org/xla/operation_semantics#dot."""
    left = inside.operands(one)[0].shape
    contracted = 1
    for dimension in one.dot_dimension_numbers.lhs_contracting_dimensions:
        contracted *= left.dimensions[dimension]
    return 2 * elements(one.shape) * contracted


def _convolution(inside: Computation, one: Any) -> int:
    """2 x results x window x input features: each result is a sum over one window."""
    kernel = inside.operands(one)[1].shape
    return 2 * elements(one.shape) * _filter(kernel, one)


def _filter(kernel: Any, one: Any) -> int:
    numbers = one.convolution_dimension_numbers
    features: int = kernel.dimensions[numbers.kernel_output_feature_dimension]
    return elements(kernel) // features


def _library(module: Module, inside: Computation, one: Any) -> dict[str, int] | None:
    """The FLOPs of a call into cuBLAS or cuDNN that is one product, None for any other."""
    target, operands = one.custom_call_target, inside.operands(one)
    if target.startswith("__cublas$"):
        return _gemm(module.config(one).get("gemm_backend_config", {}), inside, one)
    if target.startswith("__cudnn$conv"):
        forward = [operands[0].shape, operands[1].shape, _first(one.shape)]
        if "BackwardInput" in target:  # gradient of the output, filter
            forward = [forward[2], forward[1], forward[0]]
        elif "BackwardFilter" in target:  # input, gradient of the output
            forward = [forward[0], forward[2], forward[1]]
        return {_unit(inside, one): 2 * elements(forward[2]) * _filter(forward[1], one)}
    return None


def _gemm(noted: Mapping[str, Any], inside: Computation, one: Any) -> dict[str, int] | None:
    if "dot_dimension_numbers" not in noted:
        return None
    left = inside.operands(one)[0].shape
    contracted = 1
    for dimension in noted["dot_dimension_numbers"].get("lhs_contracting_dimensions", ()):
        contracted *= left.dimensions[int(dimension)]
    levels = noted.get("precision_config", {}).get("operand_precision", ())
    full = bool({"HIGH", "HIGHEST"} & set(levels))
    return {_unit(inside, one, full): 2 * elements(_first(one.shape)) * contracted}


def _unit(inside: Computation, one: Any, full: bool = False) -> str:
    """The matrix unit of a product by its left operand; float32 at full precision has none."""
    name = dtype(inside.operands(one)[0].shape)
    if name == "f32" and (full or any(one.precision_config.operand_precision)):
        return "fp32"
    return "fp8" if name.startswith("f8") else _MATRIX.get(name, name)


def _first(shape: Any) -> Any:
    """The result itself where a tuple holds it and a workspace."""
    return shape.tuple_shapes[0] if shape.tuple_shapes else shape


def _through(inside: Computation, one: Any, written: Any) -> int:
    return size(written) + sum(size(each.shape) for each in inside.operands(one))


def _moved(inside: Computation, one: Any) -> int:
    if one.opcode in SLICES:
        return 2 * size(one.shape)
    if one.opcode in UPDATES:
        return 2 * _updated(inside, one)
    return _through(inside, one, one.shape)


def _updated(inside: Computation, one: Any) -> int:
    return size(inside.operands(one)[UPDATES[one.opcode]].shape)


def _fused(module: Module, one: Any) -> int:
    """A fusion's operands and results, the sliced and the updated ones in part."""
    body = module.called(one)[0]
    parameters = [each for each in body.instructions if each.opcode == "parameter"]
    return sum(_read(body, each) for each in parameters) + _written(body, body.root)


def _read(body: Computation, value: Any) -> int:
    """The bytes read of a value: all of it unless every user takes a slice or replaces one."""
    read = 0
    for user in body.users.get(value.id, ()):
        if user.opcode in VIEWS:
            read += _read(body, user)
        elif user.opcode in SLICES and user.operand_ids[0] == value.id:
            read += size(user.shape)
        elif user.opcode in UPDATES and user.operand_ids[0] == value.id:
            read += _updated(body, user) if user.opcode == "scatter" else 0
        else:
            return size(value.shape)
    return min(read, size(value.shape))


def _written(body: Computation, one: Any) -> int:
    if one.opcode == "tuple":
        return sum(_written(body, each) for each in body.operands(one))
    if one.opcode == "bitcast":
        return _written(body, body.operands(one)[0])
    if one.opcode in UPDATES:
        return _updated(body, one)
    return 0 if one.opcode == "parameter" else size(one.shape)


# How long a kernel and a collective take at best: a model, not a timing.
#
# Source: S. Williams, A. Waterman, D. Patterson, Roofline, https://doi.org/10.1145/1498765.1498785

_TERA, _GIGA = 1e12, 1e9
NVLINK, BANDWIDTH = "nvlink", "memory bandwidth"


@dataclass
class Roofline:
    """The model for one GPU; remembers what it used and what it missed."""

    gpu: GpuDescription
    devices_per_host: int | None = None
    used: dict[str, RooflineFigure] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)

    def kernel(self, kind: str, cost: Cost) -> float | None:
        """Seconds of one run: max(FLOPs / peak, bytes / bandwidth)."""
        if cost.flops is None:
            self.missing[f"what a {kind} computes"] = None
            return None
        computing = [self._over(flops, self._peak(unit)) for unit, flops in cost.flops.items()]
        moving = self._over(cost.bytes, self._figure(BANDWIDTH))
        if moving is None or None in computing:
            return None
        return max(sum(one for one in computing if one is not None), moving)

    def collective(self, kind: str, sent: int | None, members: Groups | None) -> float | None:
        """Seconds of one run: bytes / NVLink's bandwidth in one direction."""
        if sent is None:
            self.missing[f"what a {kind} sends"] = None
            return None
        if crosses(members, self.devices_per_host):
            self.missing["the bandwidth between hosts"] = None
            return None
        return self._over(sent, self._figure(NVLINK))

    def _peak(self, unit: str) -> float | None:
        plain = unit == "tf32" and unit not in self.gpu.peak  # Turing and older
        return self._figure("fp32 peak" if plain else f"{unit} peak")

    def _over(self, amount: float, rate: float | None) -> float | None:
        return None if rate is None else amount / rate

    def _figure(self, name: str) -> float | None:
        if name not in self.used:
            self.used[name] = _figures(self.gpu, name)
        found = self.used[name]
        if found.value is None:
            self.missing[f"{name} ({found.why})"] = None
        return found.value


def _figures(gpu: GpuDescription, name: str) -> RooflineFigure:
    if name == BANDWIDTH:
        return _taken(gpu.memory.bandwidth_gb_per_s, _GIGA, "bytes/s")
    if name != NVLINK:
        return _taken(_peaks(gpu.peak, name), _TERA, "FLOP/s")
    # a description gives both directions together
    return _taken(gpu.nvlink.bandwidth_gb_per_s if gpu.nvlink else None, _GIGA / 2, "bytes/s")


def _peaks(peak: Mapping[str, Figure], name: str) -> Figure | None:
    return peak.get(name.removesuffix(" peak"))


def _taken(figure: Figure | None, scale: float, unit: str) -> RooflineFigure:
    if figure is None:
        return RooflineFigure(None, unit, None, "the GPU has none")
    if figure.value is None or figure.source is None:
        return RooflineFigure(None, unit, None, "unconfirmed")
    return RooflineFigure(figure.value * scale, unit, figure.source)
