"""What each node is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Suite:
    """The smoke suite as every node runs it. How bounds get there is the engine's affair."""

    platform: str  # gpu or cpu
    limit: float
    profile: str | None = None  # by a name or path that is true on the nodes
    select: str | None = None
    strict: bool = False
    redact: bool = True

    def words(self, out: Path) -> list[str]:
        """The options of `smoke`, for a report in the folder `out` of the node."""
        words = ["--platform", self.platform, "--limit", f"{self.limit:g}", "--out", str(out)]
        words += ["--profile", self.profile] if self.profile else []
        words += ["-k", self.select] if self.select else []
        words += ["--strict"] if self.strict else []
        return [*words, *([] if self.redact else ["--no-redact"])]
