"""Parts of a whole, where either may be anything that a float holds.

A peak may be tiny, a clock may have run over, and whoever edits smoke.json may write what they
like: a quotient is then infinite, or no number at all, and neither rounds to a whole number nor
has a place on an axis.
"""

from __future__ import annotations

import math

MOST = 1e4  # beyond a million per cent the whole is wrong, and by how much says nothing


def clip(value: float, most: float) -> float:
    """`value`, no further from 0 than `most`; NaN stays NaN."""
    return value if math.isnan(value) else max(-most, min(most, value))


def ratio(part: float, whole: float) -> float | None:
    """`part / whole`, no further from 0 than MOST; None where that is no share.

    No share: either is not finite, or the whole is not above 0.
    """
    if not (math.isfinite(part) and math.isfinite(whole)) or whole <= 0:
        return None
    return clip(part / whole, MOST)


def percent(share: float, digits: int = 0) -> str:
    """`67 %`, `over 1,000,000 %`; a share that is NaN is `no number`."""
    if math.isnan(share):
        return "no number"
    if abs(share) >= MOST:
        return f"{'over ' if share > 0 else 'under -'}{100 * MOST:,.0f} %"
    return f"{100 * share:,.{digits}f} %"
