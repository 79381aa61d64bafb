"""Student's t distribution, which gives the width of every interval. 95 % by default."""

from __future__ import annotations

import math
from functools import lru_cache

from scipy.special import stdtrit

CONFIDENCE = 0.95


@lru_cache
def student(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Half the width of a two-sided interval, in standard errors.

    With infinitely many degrees of freedom it is that of the normal distribution.
    """
    return float(stdtrit(degrees, 1 - (1 - confidence) / 2))


Z = student(math.inf)
"""The normal distribution's 97.5 % quantile."""
