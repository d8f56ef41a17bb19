"""Scenarios: what the doubles of NVIDIA's libraries answer, from TOML files.

`[gpu.N]` holds what GPU N answers, by the name of the call without `nvmlDeviceGet`; a
structure or a call with an argument has its parts or arguments as keys. `0-7` in a key
stands for each of them, `{gpu}` and `{mig}` in a value for their numbers; `!NotSupported`
is an error; `100 +650/s` grows, and `wrap 32` wraps. What a file leaves out is not
supported. `extends` takes another file and changes it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pynvml

SCENARIOS = Path(__file__).parent / "nvml/scenarios"
_RANGE = re.compile(r"(\d+)-(\d+)")


def load(scenario: str | Path) -> dict[str, Any]:
    """A scenario's tables with those it extends, as lists of layers under each key."""
    path = scenario if isinstance(scenario, Path) else SCENARIOS / f"{scenario}.toml"
    own = tomllib.loads(path.read_text())
    below = load(own.pop("extends")) if "extends" in own else {}
    layers = [*below.pop("layers", ()), own]
    return {"missing": own.pop("missing", below.get("missing", ())), "layers": layers}


def flatten(scenario: dict[str, Any]) -> dict[str, str]:
    """`key value` pairs as the C doubles read them, later ones over earlier ones."""
    flat: dict[str, str] = {}
    for layer in scenario["layers"]:
        for path, value in _leaves(layer):
            for each in _spread(path):
                put(flat, each.removeprefix("gpu."), value)
    return flat if "cuda.count" in flat else _cuda(flat) | flat


def put(flat: dict[str, str], key: str, value: Any) -> None:
    """Set one key; an error of a whole call takes its parts away."""
    text = _text(value, key)
    if text.startswith("!"):
        for part in [name for name in flat if name.startswith(f"{key}.")]:
            del flat[part]
    flat[key] = text


def _leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            yield from _leaves(value, key)
        elif isinstance(value, list):
            yield from ((f"{key}.{place}", entry) for place, entry in enumerate(value))
        else:
            yield key, value


def _spread(path: str) -> Iterator[str]:
    parts = path.split(".")
    place = next((at for at, part in enumerate(parts) if _RANGE.fullmatch(part)), None)
    if place is None:
        yield path
        return
    first, last = map(int, parts[place].split("-"))
    for number in range(first, last + 1):
        yield from _spread(".".join([*parts[:place], str(number), *parts[place + 1 :]]))


def _text(value: Any, key: str) -> str:
    if isinstance(value, bool | int | float):
        return str(int(value) if isinstance(value, bool) else value)
    text = str(value)
    if text.startswith("!"):
        return f"!{code_of(text[1:])}"
    gpu, mig = (re.search(rf"(?:^|\.){word}(\d+)", key) for word in ("", r"mig\."))
    numbers = {name: int(at[1]) if at else 0 for name, at in (("gpu", gpu), ("mig", mig))}
    return text.format(**numbers) if "{" in text else text


def code_of(name: str) -> int:
    """NVML's code of an error by the name of nvidia-ml-py's class; a number is itself."""
    if name.isdecimal():
        return int(name)
    kind = getattr(pynvml, f"NVMLError_{name}")
    return int(kind().value)


def _cuda(flat: Mapping[str, str]) -> dict[str, str]:
    """CUDA's view: the same GPUs, counted backwards, as its order is not NVML's."""
    uuids = [key for key in flat if re.fullmatch(r"\d+\.UUID", key)]
    backwards = sorted((int(key.partition(".")[0]) for key in uuids), reverse=True)
    found = {"cuda.count": str(len(backwards))}
    for ordinal, gpu in enumerate(backwards):
        found[f"cuda.{ordinal}.uuid"] = flat[f"{gpu}.UUID"]
        found[f"cuda.{ordinal}.bus_id"] = flat.get(f"{gpu}.PciInfo.busId", "!801")
    return found
