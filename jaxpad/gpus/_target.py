"""The [target] table, checked and turned into data."""

from __future__ import annotations

from jaxpad.gpus._model import Scalar, Target, Unit
from jaxpad.gpus._read import source
from jaxpad.gpus._xla import EXTENSIONS, KINDS, NEEDED, PRIMITIVE_TYPES, UNITS
from jaxpad.profiles import listed
from jaxpad.profiles._table import Table, kind


def target(table: Table) -> Target:
    """Read the [target] table. Raises UsageError for what XLA would not read."""
    table.only("origin", "config", "source", "name", *KINDS, *UNITS, "edited")
    found = Target(
        name=table.text("name"),
        config=table.text("config"),
        source=source(table) or table.refuse("source may not be unconfirmed; say where it is"),
        figures={key: _figure(table, key) for key in KINDS if key in table.items},
        scalar_unit=_units(table, "scalar_unit"),
        matrix_unit=_units(table, "matrix_unit"),
        edited=_edited(table),
    )
    for key in NEEDED:
        if key not in found.figures:
            table.refuse(f"{key} is missing; XLA needs it")
    if table.text("origin") != found.origin:
        table.refuse(
            f"origin is {table.items['origin']!r}, expected 'upstream' and no [target.edited], "
            "or 'edited by hand' and a [target.edited] that says what and why"
        )
    return found


def _figure(table: Table, key: str) -> Scalar:
    value, wanted = table.items[key], KINDS[key]
    if key == "feature_extension" and value not in EXTENSIONS:
        table.refuse(f"{key} is {value!r}, expected {listed(EXTENSIONS, 'or')}; mend it")
    fits = isinstance(value, int | float) if wanted is float else isinstance(value, wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        table.refuse(f"{key} is {kind(value)}, expected {kind(wanted())}; mend it")
    return wanted(value)  # type: ignore[no-any-return]


def _units(table: Table, key: str) -> tuple[Unit, ...]:
    found = []
    for unit in table.tables(key):
        entry = Table(table.path, f"[target] {key}", unit.items)
        entry.only("dtypes", "clock_rate_ghz", "units_per_core", "ops_per_clock")
        found.append(
            Unit(
                entry.texts("dtypes", PRIMITIVE_TYPES),
                _rate(entry, "clock_rate_ghz"),
                int(_rate(entry, "units_per_core")),
                int(_rate(entry, "ops_per_clock")),
            )
        )
    return tuple(found)


def _rate(table: Table, key: str) -> float:
    value = table.items.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        table.refuse(f"{key} is {value!r}, expected a number above 0; mend it")
    return value


def _edited(table: Table) -> dict[str, str]:
    edited = table.table("edited")
    edited = Table(table.path, "[target.edited]", edited.items)
    edited.only("name", "compute_capability", *KINDS, *UNITS)
    return {key: edited.text(key) for key in edited.items}
