"""Waiting for a quiet host, so that a busy one does not make trial after trial INVALID."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuner.measure.host_use import HostUse
from tuner.measure.validity import SHARE_LIMITS

LOOK_SECONDS = 2.0

MOST_SECONDS = 300.0
"""So long a run waits in all. Then it measures on a busy host, and validity judges the trials."""


@dataclass(frozen=True)
class HostBusy:
    """Others use so much of the host (`what`) that the run waits, for at most `seconds`."""

    what: str
    seconds: float


@dataclass(frozen=True)
class HostQuiet:
    """The run goes on after a wait of `seconds`; `what` is what others still use too much of."""

    seconds: float
    what: str = ""


def too_busy(use: HostUse, max_foreign_percent: float) -> str:
    """What would make a measurement INVALID now, in words; empty where the host is quiet."""
    steal = SHARE_LIMITS["steal_percent"]
    if use.foreign_percent > max_foreign_percent:
        return (
            f"other processes use {use.foreign_percent:.0f} % of its CPU time"
            f" (limit {max_foreign_percent:g} %)"
        )
    if use.steal_percent > steal.invalid:
        return (
            f"the hypervisor gives {use.steal_percent:.0f} % of its CPU time to other machines"
            f" (limit {steal.invalid:g} %)"
        )
    return ""


@dataclass
class Quiet:
    """Waits until a host is quiet, in one run for `left` seconds in all.

    `look` says who uses the host in the next seconds (`Backend.host_use`).
    """

    look: Callable[[float], HostUse | None]
    max_foreign_percent: float
    left: float = MOST_SECONDS

    def wait(self, observe: Callable[[HostBusy | HostQuiet], None]) -> None:
        """Return at once where the host is quiet, else when it is, or when no time is left."""
        waited = 0.0
        what = self._busy() if self.left > 0 else ""
        while what and self.left > 0:
            if not waited:
                observe(HostBusy(what, self.left))
            what = self._busy()
            waited += LOOK_SECONDS
            self.left -= LOOK_SECONDS
        if waited:
            observe(HostQuiet(waited, what))

    def _busy(self) -> str:
        use = self.look(LOOK_SECONDS)
        return "" if use is None else too_busy(use, self.max_foreign_percent)
