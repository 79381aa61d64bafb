"""What runs on each host of a Dask cluster: a bench that stays entered from trial to trial.

The process that asks and tells submits these functions as tasks (`tuner.backends.dask_hosts`). What
they take and return is plain data, exceptions included.
"""

from __future__ import annotations

import logging
import pickle  # nosec B403 -- only written here
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from distributed import Worker, get_worker

from tuner.backends import backend_named
from tuner.backends.backend import Attempts
from tuner.backends.bench import Bench, BenchEvent
from tuner.errors import SetupError, TuneError
from tuner.load.burst_progress import BurstProgress
from tuner.measure.measurement import Missing
from tuner.spec.host import Host
from tuner.spec.load import load_model
from tuner.spec.study import StudySpec
from tuner.spec.study_files import path_of
from tuner.trial import TrialRequest

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""So often a host looks whether the run for which its bench stands still goes on."""

_TELL_SECONDS = 0.5
"""The progress of a burst is told no oftener."""


@dataclass(frozen=True)
class HostReport:
    """What a host says of itself before anything is deployed there.

    `alike` is what must be equal on all hosts, `unmeasurable` are metrics that it cannot measure.
    `fault` is why it cannot measure this study, None where it can.
    """

    host: Host
    alike: Mapping[str, str] = field(default_factory=dict)
    unmeasurable: Mapping[str, Missing] = field(default_factory=dict)
    fault: TuneError | None = None

    @property
    def cpus(self) -> int:
        """Those that serve."""
        return int(self.alike["CPUs"])


@dataclass(frozen=True)
class RunOnHost:
    """A run, as a host knows it.

    `token` tells it from all others, `who` names it in words. `lease` is the key of a Dask future:
    the run goes on as long as the worker holds its data, which the scheduler frees once the asking
    process has ended, however it did.
    """

    token: str
    who: str
    study: StudySpec
    backend: str
    lease: str


@dataclass(frozen=True)
class BrokenOff:
    """A trial that the host broke off, or did not begin, because the run is over there."""


def study_here(study: StudySpec) -> StudySpec:
    """The study of another machine, with the files of this one. InputError where they are not."""
    here = path_of("study", study.name, Path.cwd())
    study = replace(study, path=here if here.is_file() else study.path)
    if study.endpoint is not None:
        return study
    model = load_model(study.model.name)
    return replace(study, model=replace(study.model, directory=model.directory, built=model.built))


def host_report(study: StudySpec, backend: str) -> HostReport:
    """What this host says of itself; nothing is deployed for that."""
    host = Host.this()
    try:
        made = backend_named(backend)(study_here(study))
        return HostReport(host, made.alike(), made.unmeasurable())
    except TuneError as fault:
        return HostReport(host, fault=fault)


class _Standing:
    """The bench of one run on this host, until the run is over."""

    def __init__(self, run: RunOnHost, worker: Worker) -> None:
        self.run = run
        self._worker = worker
        self._over = threading.Event()
        self._turn = threading.Lock()
        backend = backend_named(run.backend)(study_here(run.study))
        self._bench = Bench(backend, go_on=self.look_over)
        self._entered = False
        threading.Thread(target=self._watch, name="tune-lease", daemon=True).start()

    def make_ready(self) -> Mapping[str, Any] | BrokenOff:
        with self._turn:
            try:
                if not self._entered:
                    self.look_over()
                    self._bench.__enter__()
                    self._entered = True
                self._bench.make_ready(self._observer(None))
            except KeyboardInterrupt:
                return BrokenOff()
            return self._bench.environment

    def measure(self, number: int, request: TrialRequest) -> Attempts | BrokenOff:
        with self._turn:
            try:
                self.look_over()
                return self._bench.measure(number, request, self._observer(number))
            except KeyboardInterrupt:
                return BrokenOff()

    def break_off(self) -> None:
        self._over.set()

    def end(self) -> None:
        """Break off what is measured, and remove all that is up."""
        self.break_off()
        with self._turn:
            entered, self._entered = self._entered, False
            if entered:
                self._bench.__exit__(None, None, None)

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def look_over(self) -> None:
        """Raises KeyboardInterrupt where the run is over: all that is under way cleans up."""
        if self.is_over:
            raise KeyboardInterrupt

    def _observer(self, number: int | None) -> _Observer:
        return _Observer(self, self._worker, number)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            if self.run.lease not in self._worker.data:
                _leave(self)


@dataclass
class _Observer:
    """Tells the asking process; breaks off what is observed once the run is over."""

    standing: _Standing
    worker: Worker
    number: int | None
    _told: float = 0.0

    def __call__(self, event: BenchEvent) -> None:
        self.standing.look_over()
        if isinstance(event, BurstProgress):
            now = time.monotonic()
            if now < self._told + _TELL_SECONDS:
                return
            self._told = now
        document = pickle.dumps((self.worker.address, self.number, event))
        self.worker.log_event(self.standing.run.token, document)


_guard = threading.Lock()
_standing: _Standing | None = None


def hold(token: str) -> str:
    """What a lease is the key of."""
    return token


def make_ready(run: RunOnHost, _lease: str) -> Mapping[str, Any] | BrokenOff | TuneError:
    """Enter the bench of a run, and do what is due before its next trial; its environment."""
    try:
        return _of_run(run).make_ready()
    except TuneError as error:
        return error


def measure(token: str, number: int, request: TrialRequest) -> Attempts | BrokenOff | TuneError:
    """Measure a trial of a run whose bench is ready here."""
    standing = _standing
    if standing is None or standing.run.token != token:
        return BrokenOff()
    try:
        return standing.measure(number, request)
    except TuneError as error:
        return error


def break_off(token: str) -> None:
    """Let a run measure nothing more here, at once; what it has up is still to be removed."""
    standing = _standing
    if standing is not None and standing.run.token == token:
        standing.break_off()


def end_run(token: str) -> None:
    """Break off what a run measures here, and remove all that it has up."""
    standing = _standing
    if standing is not None and standing.run.token == token:
        _leave(standing)


def end_any_run() -> None:
    """As `end_run`, whichever it is: this process ends."""
    standing = _standing
    if standing is not None:
        _leave(standing)


def _of_run(run: RunOnHost) -> _Standing:
    """The bench that stands for this run, made where there is none.

    Raises SetupError where the host is taken by another run that goes on.
    """
    global _standing  # noqa: PLW0603 -- a process has one host to measure on
    with _guard:
        standing = _standing
        if standing is not None and standing.run.token == run.token:
            return standing
        worker = get_worker()
        if standing is not None:
            if standing.run.lease in worker.data and not standing.is_over:
                raise SetupError(
                    f"this host measures for {standing.run.who}",
                    "wait until that run has ended, or start more workers",
                )
            standing.end()
        _standing = _Standing(run, worker)
        return _standing


def _leave(standing: _Standing) -> None:
    global _standing  # noqa: PLW0603 -- as above
    try:
        standing.end()
    except TuneError as error:
        _log.warning("tune: not everything was removed: %s", error.message)
    with _guard:
        if _standing is standing:
            _standing = None
