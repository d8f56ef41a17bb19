"""One NVML handle, each question to which has a value or a reason; never an exception."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from jaxpad.nvml._bulk import Bulk
from jaxpad.nvml._reading import Reading, absent, attempt, explain, plausible


@contextlib.contextmanager
def started() -> Iterator[Reading[Any]]:
    """`pynvml`, initialised in this process until the end of the block, or why it is not."""
    found = attempt(_start)
    try:
        yield found
    finally:
        if found.value is not None:
            attempt(found.value.nvmlShutdown)


def _start() -> Any:
    import pynvml

    pynvml.nvmlInit()
    return pynvml


class Device:
    """A GPU, or a MIG device of one."""

    def __init__(self, nvml: Any, handle: Reading[Any]) -> None:
        self.nvml = nvml
        self.handle = handle

    def ask(self, call: str, *given: Any) -> Reading[Any]:
        """What `pynvml.<call>(handle, *given)` gives."""
        if self.handle.reason is not None:
            return self.handle
        try:
            return Reading(getattr(self.nvml, call)(self.handle.value, *given))
        except Exception as error:
            return Reading(None, explain(error))

    def number(
        self, call: str, *given: Any, low: float = 0, high: float = 2.0**63, unit: str = ""
    ) -> Reading[int]:
        """A number that can be: one outside `low` to `high` is absent as garbage."""
        return plausible(self.ask(call, *given), low, high, unit)

    def pair(self, call: str, *given: Any) -> tuple[Reading[Any], Reading[Any]]:
        """The two values of one call."""
        both = self.ask(call, *given)
        return both.map(lambda found: found[0]), both.map(lambda found: found[1])

    def fields(self, ids: Sequence[Any]) -> dict[Any, Reading[Any]]:
        """Many NVML fields in one call; an id is a number, or a number and its scope."""
        if not ids:
            return {}
        found = self.handle.map(lambda handle: Bulk(self.nvml, handle, ids).read())
        if found.value is None:
            return dict.fromkeys(ids, absent(found.reason or "no answer"))
        return {name: self._field(*each) for name, each in zip(ids, found.value, strict=True)}

    def _field(self, code: int, value: float) -> Reading[Any]:
        """One field has a return code of its own."""
        return Reading(None, explain(self.nvml.NVMLError(code))) if code else Reading(value)
