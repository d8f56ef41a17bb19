"""How long a kernel and a collective take at best: a model, not a timing.

Source: S. Williams, A. Waterman, D. Patterson, Roofline, https://doi.org/10.1145/1498765.1498785
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxpad.gpus import Figure, GpuDescription
from jaxpad.schedule._cost import Cost
from jaxpad.schedule._groups import Groups, crosses
from jaxpad.schedule._model import RooflineFigure

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
