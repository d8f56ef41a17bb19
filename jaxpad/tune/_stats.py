"""Speed-ups from pairs of turns, with intervals that claim no more than the data hold.

The estimate is the median of the pairs' ratios: two turns next to each other share the
machine's slow drift, which the ratio takes out, and a median does not follow a burst. The
interval is a percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap,
1993, chapter 13). Two processes of one program differ by where their memory lies (Mytkowicz
and others, Producing Wrong Data Without Doing Anything Obviously Wrong, ASPLOS 2009), which no
number of pairs averages out: a confirmation therefore starts processes anew and takes these
starts, not the pairs, as what repeats (Kalibera and Jones, Rigorous Benchmarking in Reasonable
Time, ISMM 2013).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jaxpad.tune._model import Pair, Ratio

RESAMPLES = 4000
_SEED = 20  # the same pairs give the same interval


def counting(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs that nothing disturbed."""
    return [pair for pair in pairs if not pair.disturbed]


def ratio(pairs: Sequence[Pair], level: float) -> Ratio | None:
    """The speed-up over the pairs that count and its two-sided interval; None without any."""
    import numpy as np

    logs = _logs(pairs)
    if not logs:
        return None
    rng = np.random.default_rng(_SEED)
    drawn = rng.choice(np.asarray(logs), size=(RESAMPLES, len(logs)))
    return _ratio(float(np.median(logs)), np.median(drawn, axis=1), level)


def over_starts(starts: Sequence[Sequence[Pair]], level: float) -> Ratio | None:
    """The speed-up over several starts of both processes; None where fewer than three count.

    A start counts by the median of its pairs, which holds the noise of its pairs already. The
    interval is the wider, at each end, of two: a bootstrap that resamples the starts, and
    Student's t on them, since a bootstrap of a handful is too narrow (the same book, 12.5).
    """
    import numpy as np
    from scipy import stats  # here: JAX brings it, and it takes a second to import

    medians = np.asarray([np.median(found) for found in map(_logs, starts) if found])
    if len(medians) < 3:
        return None
    centre = float(np.mean(medians))
    spread = float(np.std(medians, ddof=1)) / math.sqrt(len(medians))
    half = float(stats.t.ppf(1 - (1 - level) / 2, len(medians) - 1)) * spread
    rng = np.random.default_rng(_SEED)
    drawn = rng.choice(medians, size=(RESAMPLES, len(medians)))
    found = _ratio(centre, np.mean(drawn, axis=1), level)
    return Ratio(
        found.value,
        min(found.low, math.exp(centre - half)),
        max(found.high, math.exp(centre + half)),
    )


def _ratio(centre: float, drawn: Any, level: float) -> Ratio:
    import numpy as np

    low, high = np.quantile(drawn, [(1 - level) / 2, 1 - (1 - level) / 2])
    return Ratio(math.exp(centre), math.exp(float(low)), math.exp(float(high)))


def _logs(pairs: Sequence[Pair]) -> list[float]:
    return [math.log(pair.baseline / pair.candidate) for pair in counting(pairs)]
