"""Marks of a logarithmic axis that people read: 1, 2, 5, 10, written out."""

from __future__ import annotations

import math


def decades(low: float, high: float) -> dict[str, object]:
    """An axis with marks around positive numbers from `low` to `high`: powers of ten, of which few
    are not enough, with twice and five times each.
    """
    start, end = math.log10(low), math.log10(high)
    steps = (1,) if end - start > 4 else (1, 2, 5)
    powers = range(math.floor(start) - 1, math.ceil(end) + 2)
    ticks = [s * 10.0**k for k in powers for s in steps]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{t:,.10g}" for t in ticks]}
