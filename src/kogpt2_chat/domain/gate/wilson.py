"""Wilson's interval of a share: how sure few observations are."""

import math
from typing import Final

TWO_SIDED_95: Final = 1.96
ONE_SIDED_95: Final = 1.645
"""Quantiles of the normal distribution."""


def wilson(good: int, count: int, z: float = TWO_SIDED_95) -> tuple[float, float]:
    """Return the lower and the upper bound.

    Args:
        good: number of good observations.
        count: number of all observations; at least one.
        z: quantile of the normal distribution.
    """
    share, scale = good / count, 1 + z * z / count
    centre = (share + z * z / (2 * count)) / scale
    reach = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / scale
    return max(0.0, centre - reach), min(1.0, centre + reach)
