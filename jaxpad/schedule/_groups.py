"""Which devices take part in a collective, whatever form the HLO lists them in."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxpad.schedule._hlo import Module

Groups = list[list[int]]


def groups(module: Module, one: Any) -> Groups | None:
    """The devices of each group of a collective, None where the HLO names no groups.

    A permutation has a group for each pair of source and target.
    """
    if one.source_target_pairs:
        return _devices(module, [[each.source, each.target] for each in one.source_target_pairs])
    if one.HasField("mesh_axes_replica_group_list"):
        return _devices(module, _mesh_axes(one.mesh_axes_replica_group_list))
    if one.HasField("iota_collective_device_list"):
        return _devices(module, _iota(one.iota_collective_device_list))
    listed = one.collective_device_list.replica_groups or one.replica_groups
    if listed:
        return _devices(module, [list(each.replica_ids) for each in listed])
    assigned = module.proto.device_assignment
    everyone = range(assigned.replica_count * assigned.computation_count)
    named = one.opcode not in ("send", "recv")
    return _devices(module, [list(everyone)]) if everyone and named else None


def crosses(found: Groups | None, devices_per_host: int | None) -> bool:
    """Whether a group has devices in several hosts, which hold their devices in a row."""
    if devices_per_host is None:
        return False
    return any(len({each // devices_per_host for each in one}) > 1 for one in found or ())


def _iota(noted: Any) -> Groups:
    """Numbers in a row, reshaped, transposed and cut into groups."""
    shape = (noted.num_replica_groups, noted.num_devices_per_group)
    dimensions = tuple(noted.iota_reshape_dims) or shape
    order = tuple(noted.iota_transpose_perm) or tuple(range(len(dimensions)))
    return _cut(np.arange(np.prod(shape)).reshape(dimensions).transpose(order), shape[1])


def _mesh_axes(noted: Any) -> Groups:
    """The axes of a mesh, whole or in part, along which devices take part."""
    sizes, along = list[int](), list[int]()
    parts = {each.mesh_axis_index: each for each in noted.axes if each.HasField("sub_axis_info")}
    whole = {each.mesh_axis_index for each in noted.axes} - parts.keys()
    for number, axis in enumerate(noted.mesh.axes):
        if number in parts:
            part = parts[number].sub_axis_info
            along.append(len(sizes) + 1)
            sizes += [part.pre_size, part.size, axis.size // (part.pre_size * part.size)]
        else:
            along += [len(sizes)] if number in whole else []
            sizes.append(axis.size)
    apart = [axis for axis in range(len(sizes)) if axis not in along]
    width = int(np.prod([sizes[axis] for axis in along]))
    return _cut(_mesh(noted.mesh).reshape(sizes).transpose(apart + along), width)


def _mesh(mesh: Any) -> Any:
    if mesh.device_ids:
        return np.array(mesh.device_ids)
    numbers = np.arange(np.prod([axis.size for axis in mesh.axes], dtype=int))
    if not mesh.HasField("iota_transform"):
        return numbers
    shaped = numbers.reshape(tuple(mesh.iota_transform.reshape_dims))
    return shaped.transpose(tuple(mesh.iota_transform.transpose_perm)).ravel()


def _cut(numbers: Any, width: int) -> Groups:
    found: Groups = numbers.reshape(-1, width).tolist()
    return found


def _devices(module: Module, numbered: Groups) -> Groups:
    """The devices behind the numbers: partition by partition in each replica."""
    held = module.proto.device_assignment.computation_devices
    count = len(held)
    return [
        [held[each % count].replica_device_ids[each // count] if count else each for each in one]
        for one in numbered
    ]
