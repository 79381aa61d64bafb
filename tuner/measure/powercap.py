"""Energy of the machine's processors and memory by RAPL.

See the kernel's Documentation/power/powercap/powercap.rst. A zone is a directory
`intel-rapl:<package>` (the name also serves other makers' processors), a part of it
`intel-rapl:<package>:<part>`. Packages and their DRAM are read; cores and uncore are inside the
package, and `psys` holds everything, so adding those would count twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tuner.measure.measurement import Missing

_COUNTED = ("package", "dram")

_MISSING = Missing(
    "the host's energy counters (RAPL, /sys/class/powercap) cannot be read",
    "Ask for cpu_ms_per_request in its place, or run where RAPL is (on most kernels as root).",
)
ENERGY: Mapping[str, Missing] = {"power_w": _MISSING, "energy_j_per_request": _MISSING}
"""The metrics that need RAPL, with what to say where there is none."""


def missing_energy(sys: Path) -> Mapping[str, Missing]:
    """The metrics that need RAPL where it cannot be read; none where it can."""
    return {} if energy(sys) else ENERGY


def energy(sys: Path) -> dict[str, tuple[int, int]]:
    """By domain: (microjoules so far, the value after which the counter restarts from 0).

    Empty where there is no RAPL or this process may not read it (on most kernels only root may).
    """
    readings = {}
    for zone in sorted((sys / "class/powercap").glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text().strip()
            if not name.startswith(_COUNTED):
                continue
            reading = int((zone / "energy_uj").read_text())
            readings[f"{zone.name} {name}"] = (
                reading,
                int((zone / "max_energy_range_uj").read_text()),
            )
        except OSError:
            continue
    return readings


def joules(
    before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]
) -> float | None:
    """The energy of all domains between two readings; None without RAPL.

    None also where a domain is in one reading only, since the rest would be too little. A counter
    that ended below its start has passed its range once. So readings must be closer together than
    that takes (about a minute for a large server's package).
    """
    if not before or before.keys() != after.keys():
        return None
    total = 0
    for domain in before:
        (start, wrap), (end, _) = before[domain], after[domain]
        total += end - start if end >= start else end - start + wrap + 1
    return total / 1e6
