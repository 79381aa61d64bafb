"""The hosts on which the trials of one run are measured: this one, or those of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

from tuner.backends.backend import Attempts, Backend
from tuner.backends.bench import Bench, BenchEvent
from tuner.errors import TrialFailed, Unreachable
from tuner.interrupts import shielded
from tuner.measure.measurement import Missing
from tuner.trial import TrialRequest


@dataclass(frozen=True)
class OnHost:
    """What is told of one of several hosts; `trial` is the number of the one it measures."""

    host: str
    trial: int | None
    event: BenchEvent


@dataclass(frozen=True)
class HostJoined:
    """A host is ready for its first trial."""

    host: str


@dataclass(frozen=True)
class HostGone:
    """A host is lost. What it measured (`trial`, or None) is measured elsewhere."""

    host: str
    trial: int | None


@dataclass(frozen=True)
class HostLeftOut:
    """A host is there and measures nothing more in this run, for a reason that has a mend."""

    host: str
    reason: str
    mend: str = ""


HostsEvent = BenchEvent | OnHost | HostJoined | HostGone | HostLeftOut


@dataclass(frozen=True)
class Ended:
    """A trial that a host has no more to do with, and why.

    It was measured, or it broke, or what deploys on that host went away, or the host itself did.
    """

    number: int
    host: str
    result: Attempts | TrialFailed | Unreachable | HostGone


class Hosts(Protocol):
    """Who measures trials, each host one at a time. The loop of a study is the same for all.

    It is a context manager. Entering it finds the hosts; on leaving, whatever they have up is
    removed, also after an exception or an interrupt. In between one thread calls the other methods.
    A host that `wait` has made ready is in `ready` until a trial is submitted to it, and is in it
    again some time after that trial has ended. `backend` is the name of the backend that they have
    in common, `cpus` is the number of CPUs that serve on each of them.
    """

    backend: str

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    @property
    def cpus(self) -> int: ...

    def unmeasurable(self) -> Mapping[str, Missing]:
        """As `Backend.unmeasurable`; it need not be entered for that."""
        ...

    def known(self) -> Mapping[str, Any]:
        """What is known of the environment of all trials once it is entered; empty where nothing
        is.
        """
        return {}

    def ready(self) -> Sequence[str]:
        """The names of those that measure nothing now and can begin at once."""
        ...

    def environment(self, host: str) -> Mapping[str, Any]:
        """What all trials on a host that is ready share: the host, its image, its calibration."""
        ...

    def submit(self, host: str, number: int, request: TrialRequest) -> None:
        """Let a host that is ready measure trial `number`."""
        ...

    def wait(self, observe: Callable[[HostsEvent], None]) -> Ended | None:
        """Wait until a trial has ended. None where more hosts are ready instead.

        Raises Unreachable where no host is left and none comes back. Whatever else a trial raises
        passes through.
        """
        ...

    def leave_out(self, host: str) -> bool:
        """Give a host no more trials. Returns whether another one is left."""
        ...


class ThisHost(Hosts):
    """The host of this process, which measures in the thread that waits."""

    NAME = ""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend.name
        self._bench = Bench(backend)
        self._submitted: tuple[int, TrialRequest] | None = None

    def __enter__(self) -> Self:
        self._bench.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        with shielded():
            self._bench.__exit__(*exc)

    @property
    def cpus(self) -> int:
        return int(self.known()["host"]["cpus"])

    @cached_property
    def _known(self) -> Mapping[str, Any]:
        """Asked for once: it takes the model's checksum."""
        return self._bench.backend.environment()

    def known(self) -> Mapping[str, Any]:
        return self._known

    def unmeasurable(self) -> Mapping[str, Missing]:
        return self._bench.backend.unmeasurable()

    def ready(self) -> Sequence[str]:
        return [self.NAME] if self._bench.ready and self._submitted is None else []

    def environment(self, host: str) -> Mapping[str, Any]:  # noqa: ARG002 -- there is one
        return self._bench.environment

    def submit(self, host: str, number: int, request: TrialRequest) -> None:  # noqa: ARG002
        assert self._submitted is None
        self._submitted = number, request

    def wait(self, observe: Callable[[HostsEvent], None]) -> Ended | None:
        if self._submitted is None:
            self._bench.make_ready(observe)
            return None
        (number, request), self._submitted = self._submitted, None
        try:
            attempts = self._bench.measure(number, request, observe)
        except (TrialFailed, Unreachable) as error:
            return Ended(number, self.NAME, error)
        return Ended(number, self.NAME, attempts)

    def leave_out(self, host: str) -> bool:  # noqa: ARG002 -- there is one
        return False
