"""What a configuration reserves, and what that costs: exact numbers, by formula."""

from __future__ import annotations

from collections.abc import Mapping

from tuner.spec.space import Value
from tuner.spec.study import Prices

HOURS_PER_MONTH = 730

RESERVED = ("reserved_cores", "reserved_mib", "cost_per_month")
"""The metrics that a configuration has by itself. No burst measures them."""

_NEEDED = ("replicas", "cpu", "memory")


def reserved(
    configuration: Mapping[str, Value], prices: Prices | None = None
) -> Mapping[str, float]:
    """The metrics `RESERVED` of a configuration, in their units; the cost needs `prices`.

    Empty where the configuration does not say what it reserves, as in a search space of another
    kind than a served model's.
    """
    if any(name not in configuration for name in _NEEDED):
        return {}
    replicas, cpu, memory_mib = (float(configuration[name]) for name in _NEEDED)
    metrics = {"reserved_cores": replicas * cpu, "reserved_mib": replicas * memory_mib}
    if prices is not None:
        metrics["cost_per_month"] = HOURS_PER_MONTH * (
            metrics["reserved_cores"] * prices.core_hour
            + metrics["reserved_mib"] / 1024 * prices.gib_hour
        )
    return metrics
