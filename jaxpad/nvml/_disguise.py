"""Replaces what would tell one machine, board or person from another.

The same input gets the same replacement within one recording, so that the GPU that CUDA
names is still the one that NVML lists.
"""

from __future__ import annotations

from jaxpad.nvml._identity import bus_id
from jaxpad.nvml._reading import attempt


class Disguise:
    """Replacements by the order of first appearance, one count for each kind."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], int] = {}

    def _number(self, kind: str, text: str) -> int:
        same = sum(1 for each, _ in self._seen if each == kind)
        return self._seen.setdefault((kind, text), same)

    def uuid(self, text: str) -> str:
        """`GPU-…` and `MIG-…` keep their beginning; CUDA's bare digits count as the same."""
        prefix, dash, digits = text.rpartition("GPU-" if "GPU-" in text else "MIG-")
        bare = (digits if dash else text).lower()
        number = self._number("uuid", bare)
        return f"{prefix}{dash}00000000-0000-4000-8000-{number:012x}"

    def serial(self, text: str) -> str:
        """As many digits as before."""
        return str(self._number("serial", text)).zfill(len(text))

    def bus(self, text: str) -> str:
        """A bus of its own for each, however the id is written."""
        whole = attempt(bus_id, text).value or text
        return f"00000000:{self._number('bus', whole) + 1:02X}:00.0"

    def pid(self, number: int) -> int:
        """Process ids from 1000 on."""
        return 1000 + self._number("pid", str(number))

    def process(self, name: str) -> str:
        """`process-0`, whatever it was called and with what words."""
        return f"process-{self._number('process', name)}"
