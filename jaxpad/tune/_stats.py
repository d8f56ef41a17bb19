"""Speed-ups from pairs of turns, with intervals that claim no more than the data hold.

The estimate is that of Hodges and Lehmann (Estimates of Location Based on Rank Tests, 1963) on
the pairs' ratios: the median of the means of any two. Two turns next to each other share the
machine's slow drift, which the ratio takes out. Which of them came first shifts a pair one way
or the other by some per cent: a median of two such heaps jumps between them, a mean would follow
every burst, and this does neither. The interval is a percentile bootstrap (Efron and Tibshirani,
An Introduction to the Bootstrap, 1993, chapter 13). Two processes of one program differ by where
their memory lies (Mytkowicz and others, Producing Wrong Data Without Doing Anything Obviously
Wrong, ASPLOS 2009), which no number of pairs averages out: a confirmation therefore starts
processes anew and takes these starts, not the pairs, as what repeats (Kalibera and Jones,
Rigorous Benchmarking in Reasonable Time, ISMM 2013).
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
    return _ratio(float(centre(logs)), centre(drawn), level)


def centre(values: Any) -> Any:
    """The Hodges-Lehmann estimate along the last axis."""
    import numpy as np

    values = np.asarray(values)
    one, other = np.triu_indices(values.shape[-1])
    return np.median((values[..., one] + values[..., other]) / 2, axis=-1)


def over_starts(starts: Sequence[Sequence[Pair]], level: float) -> Ratio | None:
    """The speed-up over several starts of both processes; None where fewer than three count.

    A start counts by the centre of its pairs, which holds the noise of its pairs already. The
    interval is the wider, at each end, of two: a bootstrap that resamples the starts, and
    Student's t on them, since a bootstrap of a handful is too narrow (the same book, 12.5).
    """
    import numpy as np
    from scipy import stats  # here: JAX brings it, and it takes a second to import

    each = np.asarray([centre(found) for found in map(_logs, starts) if found])
    if len(each) < 3:
        return None
    mean = float(np.mean(each))
    spread = float(np.std(each, ddof=1)) / math.sqrt(len(each))
    half = float(stats.t.ppf(1 - (1 - level) / 2, len(each) - 1)) * spread
    rng = np.random.default_rng(_SEED)
    drawn = rng.choice(each, size=(RESAMPLES, len(each)))
    found = _ratio(mean, np.mean(drawn, axis=1), level)
    return Ratio(
        found.value,
        min(found.low, math.exp(mean - half)),
        max(found.high, math.exp(mean + half)),
    )


def _ratio(value: float, drawn: Any, level: float) -> Ratio:
    import numpy as np

    low, high = np.quantile(drawn, [(1 - level) / 2, 1 - (1 - level) / 2])
    return Ratio(math.exp(value), math.exp(float(low)), math.exp(float(high)))


def _logs(pairs: Sequence[Pair]) -> list[float]:
    return [math.log(pair.baseline / pair.candidate) for pair in counting(pairs)]
