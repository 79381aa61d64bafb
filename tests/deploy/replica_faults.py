"""What something else may do to a replica, and how that is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from docker.errors import APIError
from docker.models.containers import Container

PATIENCE_SECONDS = 30.0

Fault = Callable[[Container], object]


def _from_the_host(number: signal.Signals) -> Fault:
    """A signal of which the engine knows nothing."""

    def fault(container: Container) -> None:
        container.reload()
        if not (pid := container.attrs["State"]["Pid"]):  # to 0 it would go to this process
            raise ProcessLookupError
        os.kill(pid, number)

    return fault


def _terminate(container: Container) -> None:
    """A server that has no handler yet ignores SIGTERM, as the first process of a container."""
    terminate = _from_the_host(signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            terminate(container)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def _pause(container: Container) -> None:
    """A busy kernel refuses to freeze at times, so it is asked again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            container.pause()
        except APIError as error:
            if "unable to freeze" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def _pause_for_a_while(container: Container) -> None:
    _pause(container)
    container.unpause()


FAULTS: dict[str, tuple[Fault, str]] = {
    "docker kill": (lambda c: c.kill(), "was sent SIGKILL by something else"),
    "kill -9": (
        _from_the_host(signal.SIGKILL),
        "killed by SIGKILL .*, not by the kernel's out-of-memory",
    ),
    "docker stop": (lambda c: c.stop(timeout=1), "was sent SIGTERM by something else"),
    "kill": (_terminate, r"told to end \(SIGTERM\)"),
    "kill -STOP": (_from_the_host(signal.SIGSTOP), "is halted by a signal"),
    "docker pause": (_pause, "is paused by something else"),
    "a pause": (_pause_for_a_while, "was paused for a while"),
    # Looked at in between, it was told to end and has not begun again.
    "docker restart": (lambda c: c.restart(timeout=1), "was (restarted|sent SIGTERM)"),
    "docker update": (lambda c: c.update(cpu_shares=512), "had its limits changed"),
    "docker rm -f": (lambda c: c.remove(force=True), "was removed by something else"),
}
"""By name: what is done, and a pattern of what is said of the replica."""
