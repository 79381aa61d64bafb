"""One host that measures: its backend, entered and made ready, for one trial after another."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import Any, Self

import tuner
from tuner.backends.absence import Absence, Absent, Returned
from tuner.backends.backend import Attempts, Backend, run_until_valid
from tuner.backends.quiet import HostBusy, HostQuiet, Quiet
from tuner.errors import Unreachable
from tuner.interrupts import shielded
from tuner.load.burst_progress import BurstProgress
from tuner.measure.host_use import HostUse
from tuner.trial import TrialRequest, TrialResult

_PARTS = ("optuna", "docker", "numpy", "scipy", "uvloop", "httptools")
"""The packages that have a part in what is measured."""


@dataclass(frozen=True)
class Repeating:
    """A trial is measured again, because its first measurement cannot be trusted."""

    number: int
    reason: str


BenchEvent = str | BurstProgress | Repeating | HostBusy | HostQuiet | Absent | Returned
"""What is told of one host. A plain string is the name of the phase that begins."""


@dataclass
class Bench:
    """A backend on this host that stays entered from trial to trial.

    It is a context manager. `make_ready` comes before the first trial and wherever `ready` is
    False; one thread calls it and `measure`, one at a time. `environment` is what all trials share
    since it was made ready last. While it waits for something it calls `go_on` again and again,
    which raises where it is to wait no longer.
    """

    backend: Backend
    go_on: Callable[[], None] = lambda: None
    environment: Mapping[str, Any] = field(default_factory=dict, init=False)
    _world: ExitStack = field(default_factory=ExitStack, init=False)
    _absence: Absence = field(init=False)
    _quiet: Quiet | None = field(default=None, init=False)
    _lost: Unreachable | None = field(default=None, init=False)
    _untrusted: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._absence = Absence(self._answers)

    def __enter__(self) -> Self:
        self._world.enter_context(self.backend)
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.__exit__(*exc)  # type: ignore[arg-type]

    @property
    def ready(self) -> bool:
        """Whether nothing is to be done before the next trial."""
        return self._quiet is not None and self._lost is None and not self._untrusted

    def make_ready(self, observe: Callable[[BenchEvent], None]) -> None:
        """Do what is due before the next trial.

        At first that is to wait until the host is quiet, and to calibrate the load engine. After a
        measurement that is not trusted it is to wait for quiet. Where what deploys did not answer
        any more it is waited for; then the backend is entered anew. Raises Unreachable where it
        stays away.
        """
        try:
            if self._lost is not None:
                raise self._lost
            if self._quiet is None:
                self._calibrate(observe)
            else:
                self._quiet.wait(observe)
        except Unreachable as lost:
            self._come_back(lost, observe)
        self._untrusted = False

    def measure(
        self, number: int, request: TrialRequest, observe: Callable[[BenchEvent], None]
    ) -> Attempts:
        """What came of trial `number`. Raises as `Backend.run_trial`."""
        assert self._quiet is not None
        quiet = self._quiet
        self._absence.trial = number

        def wait_to_repeat(first: TrialResult) -> None:
            observe(Repeating(number, first.invalidities))
            quiet.wait(observe)

        try:
            attempts = run_until_valid(
                self.backend, replace(request, observe=observe), wait_to_repeat
            )
        except Unreachable as lost:
            self._lost = lost
            raise
        self._absence.measured()
        self._untrusted = attempts.result.invalid
        return attempts

    def _calibrate(self, observe: Callable[[BenchEvent], None]) -> None:
        backend = self.backend
        quiet = Quiet(self._host_use, backend.study.load.max_foreign_percent)
        quiet.wait(observe)
        observe("calibrate")
        calibration = backend.calibrate()
        # Whose CPUs are whose is known only now.
        self.environment = {
            **backend.environment(),
            "versions": versions(),
            "calibration": calibration and asdict(calibration),
        }
        self._quiet = quiet

    def _answers(self) -> bool:
        self.go_on()
        return self.backend.answers()

    def _host_use(self, seconds: float) -> HostUse | None:
        self.go_on()
        return self.backend.host_use(seconds)

    def _come_back(self, lost: Unreachable, observe: Callable[[BenchEvent], None]) -> None:
        while True:
            try:
                with shielded():
                    self._world.close()
            except Unreachable as error:
                lost = error  # what it could not remove, it removes when it is entered again
            self._absence.wait(lost, observe)
            try:
                self.__enter__()
                self._calibrate(observe)
            except Unreachable as error:
                lost = error
            else:
                self._lost = None
                return


def versions() -> dict[str, str]:
    """The versions of `tune` and of what has a part in its numbers, by name."""
    return {
        "tune": tuner.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _PARTS},
    }
