"""What something else may do to a replica, and how that is told."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from docker.models.containers import Container

Fault = Callable[[Container], object]


def _from_the_host(number: signal.Signals) -> Fault:
    """A signal of which the engine knows nothing."""

    def fault(container: Container) -> None:
        container.reload()
        os.kill(container.attrs["State"]["Pid"], number)

    return fault


def _pause_for_a_while(container: Container) -> None:
    container.pause()
    container.unpause()


FAULTS: dict[str, tuple[Fault, str]] = {
    "docker kill": (lambda c: c.kill(), "was sent SIGKILL by something else"),
    "kill -9": (
        _from_the_host(signal.SIGKILL),
        "killed by SIGKILL .*, not by the kernel's out-of-memory",
    ),
    "docker stop": (lambda c: c.stop(timeout=1), "was sent SIGTERM by something else"),
    "kill": (_from_the_host(signal.SIGTERM), r"told to end \(SIGTERM\)"),
    "kill -STOP": (_from_the_host(signal.SIGSTOP), "is halted by a signal"),
    "docker pause": (lambda c: c.pause(), "is paused by something else"),
    "a pause": (_pause_for_a_while, "was paused for a while"),
    "docker restart": (lambda c: c.restart(timeout=1), "was restarted"),
    "docker update": (lambda c: c.update(cpu_shares=512), "had its limits changed"),
    "docker rm -f": (lambda c: c.remove(force=True), "was removed by something else"),
}
"""By name: what is done, and a pattern of what is said of the replica."""
