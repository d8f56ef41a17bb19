"""HLO reduced to what it computes and in which order: names, ids and metadata left out."""

from __future__ import annotations

import functools as ft
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxpad.schedule._hlo import Computation, Module

_LABELS = (
    "name",
    "id",
    "metadata",
    "statistics_viz",
    "original_value",
    "channel_id",
    "operand_ids",
    "control_predecessor_ids",
    "called_computation_ids",
    "backend_config_payload",
)
_MODULE = ("input_output_alias", "buffer_donor", "device_assignment", "cross_program_prefetches")
_FINGERPRINT = "fingerprint"
_ESTIMATE = "reification_cost"  # what a pass thought the instruction would cost


def sha(*parts: bytes) -> bytes:
    """SHA-256 of some parts; where one ends is part of it."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


@dataclass(frozen=True)
class Canonical:
    """One module; `ordered` says whether the order of its schedule counts."""

    module: Module
    ordered: bool = True

    def digest(self) -> bytes:
        """The digest of all that the entry computation reaches."""
        proto = self.module.proto
        held = [getattr(proto, name) for name in _MODULE]
        aside = [_bytes(one) for each in held for one in (each if _many(each) else (each,))]
        shape = type(proto.host_program_shape)()
        shape.CopyFrom(proto.host_program_shape)
        del shape.parameter_names[:]
        return sha(self._computation(proto.entry_computation_id), _bytes(shape), *aside)

    @ft.cached_property
    def places(self) -> Mapping[int, bytes]:
        """Where each instruction is, by id: its computation, and its turn in a schedule."""
        found: dict[int, bytes] = {}
        for number, one in enumerate(self._reached()):
            for turn, each in enumerate(self.module.computations[one].instructions):
                found[each.id] = f"{number}:{turn if self._scheduled(one) else ''}".encode()
        return found

    def _reached(self) -> list[int]:
        found: dict[int, None] = {}
        waiting = [self.module.proto.entry_computation_id]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found[one] = None
                inside = self.module.computations[one].instructions
                waiting += [each for it in inside for each in it.called_computation_ids][::-1]
        return list(found)

    def _scheduled(self, computation: int) -> bool:
        return computation in self.module.proto.schedule.sequences

    @ft.cached_property
    def _known(self) -> dict[int, bytes]:
        return {}

    def _computation(self, number: int) -> bytes:
        if number not in self._known:
            inside = self.module.computations[number]
            sequence = self.ordered and self._scheduled(number)
            self._known[number] = self._sequence(inside) if sequence else self._set(inside)
        return self._known[number]

    def _sequence(self, inside: Computation) -> bytes:
        turn = {one.id: str(at) for at, one in enumerate(inside.instructions)}
        tokens = []
        for one in inside.instructions:
            reads = ",".join(turn[each] for each in one.operand_ids)
            after = ",".join(sorted(turn[each] for each in one.control_predecessor_ids))
            tokens.append(sha(self._token(one), reads.encode(), after.encode()))
        return sha(turn[inside.root.id].encode(), *tokens)

    def _set(self, inside: Computation) -> bytes:
        hashes: dict[int, bytes] = {}
        waiting = list(inside.instructions)
        while waiting:  # operands first, whatever the order they are written in
            one = waiting.pop()
            missing = [each for each in inside.operands(one) if each.id not in hashes]
            if missing:
                waiting += [one, *missing]
            elif one.id not in hashes:
                reads = [hashes[each] for each in one.operand_ids]
                hashes[one.id] = sha(self._token(one), *reads)
        return sha(hashes[inside.root.id], *sorted(hashes.values()))

    def _token(self, one: Any) -> bytes:
        bare = type(one)()
        bare.CopyFrom(one)
        for label in _LABELS:
            bare.ClearField(label)
        for key in [key for key in bare.frontend_attributes.map if key.startswith(_FINGERPRINT)]:
            del bare.frontend_attributes.map[key]
        noted = self.module.config(one)
        if noted:
            said = _said(noted)
            bare.backend_config = json.dumps(said, sort_keys=True).encode() if said else b""
        called = [self._computation(each) for each in one.called_computation_ids]
        return sha(_bytes(bare), *called)


def _said(noted: Any) -> Any:
    """What a backend's note says: estimates and values that are protobuf's defaults left out."""
    if isinstance(noted, dict):
        said = {key: _said(value) for key, value in noted.items() if key != _ESTIMATE}
        return {key: value for key, value in said.items() if not _default(value)}
    return [_said(value) for value in noted] if isinstance(noted, list) else noted


def _default(value: Any) -> bool:
    return value in (0, "", "0", [], {}) or str(value).endswith("_INVALID")


def _many(value: Any) -> bool:
    return not hasattr(value, "SerializeToString")


def _bytes(value: Any) -> bytes:
    data: bytes = value.SerializeToString(deterministic=True)
    return data
