"""Student's t, by which every interval is as wide as it is: 95 % where nothing else is named."""

from __future__ import annotations

import math
from functools import lru_cache

from scipy.special import stdtrit

CONFIDENCE = 0.95


@lru_cache
def student(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Half the width of a two-sided interval of Student's t with so many degrees of freedom.

    Infinitely many give the normal distribution's.
    """
    return float(stdtrit(degrees, 1 - (1 - confidence) / 2))


Z = student(math.inf)
"""The normal distribution's 97.5 % quantile."""
