"""The hosts of a Dask cluster, each of which measures one trial of a run at a time."""

from __future__ import annotations

import logging
import os
import pickle  # nosec B403
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, Self

from tuner.backends.absence import Absence
from tuner.backends.backend import Attempts
from tuner.backends.dask_cluster import (
    ANSWER_SECONDS,
    RESOURCE,
    DaskCluster,
    HostsThere,
    WorkerFacts,
    host_difference,
    host_fault,
    naming_host,
)
from tuner.backends.hosts import (
    Ended,
    HostGone,
    HostJoined,
    HostLeftOut,
    Hosts,
    HostsEvent,
    OnHost,
)
from tuner.errors import SetupError, TrialFailed, TuneError, Unreachable
from tuner.measure.measurement import Missing
from tuner.spec.study import StudySpec
from tuner.trial import TrialRequest

if TYPE_CHECKING:
    from distributed import Future

    from tuner.backends.dask_host import HostReport

LOOK_SECONDS = 1.0
"""So often the scheduler is asked which workers there are: what is lost, and what is new."""

END_SECONDS = 120.0
"""So long a run waits at its end until all hosts have removed what they had up."""

_MUST_AGREE = ("image", "image_digests", "model_checksum")
"""What an engine may have pulled or built since the hosts were compared."""

_log = logging.getLogger(__name__)

State = Literal["asked", "due", "getting ready", "ready", "measuring"]


@dataclass
class _Host:
    """One host: a worker, what it does (`state`, by the future `doing`), and what holds its bench.

    `asked` is one that came later and has not said yet what it has; `due` is one that has something
    to do before its next trial.
    """

    worker: WorkerFacts
    lease: Future[str]
    state: State
    doing: Future[Any] | None = None
    trial: int | None = None
    environment: Mapping[str, Any] = field(default_factory=dict)


class DaskHosts(Hosts):
    """The hosts of a cluster, for one run.

    A task is bound to the worker that it is meant for, so that a deployment that is up there can be
    used again. A worker that is lost takes nothing along: what it measured is measured elsewhere.
    A worker that joins measures too, where it is like the others.
    """

    def __init__(
        self, cluster: DaskCluster, there: HostsThere, study: StudySpec, backend: str
    ) -> None:
        self.backend = backend
        self._cluster = cluster
        self._there = there
        self._study = study
        self._who = (
            f"study {study.name!r}, asked by process {os.getpid()} of {socket.gethostname()}"
        )
        self._token = f"tune-{uuid.uuid4().hex}"
        self._hosts: dict[str, _Host] = {}
        self._left_out: dict[str, WorkerFacts] = {}
        self._benches: dict[str, WorkerFacts] = {}
        self._inbox: SimpleQueue[Future[Any] | bytes] = SimpleQueue()
        self._ended: deque[Ended] = deque()
        self._news = False
        self._fault: TuneError | None = None
        self._look_at = 0.0
        self._tasks = 0
        self._agreed: Mapping[str, Any] | None = None
        self._absence = Absence(lambda: bool(self._hosts))

    def __enter__(self) -> Self:
        self._cluster.client.subscribe_topic(self._token, lambda event: self._inbox.put(event[1]))
        for worker in self._there.workers.values():
            self._add(worker, "due")
        return self

    def __exit__(self, *exc: object) -> None:
        """Break off what is measured, and wait until nothing is left up."""
        with suppress(Unreachable):  # the hosts have noticed too
            self._end_all()

    def _end_all(self) -> None:
        from tuner.backends.dask_host import break_off, end_run  # noqa: PLC0415 -- an extra

        client = self._cluster.client
        alive = [a for a in self._cluster.workers() if a in self._benches]
        if alive:
            client.run(break_off, self._token, workers=alive, on_error="ignore")
        ends = {a: client.submit(end_run, self._token, workers=[a], pure=False) for a in alive}
        self._cluster.wait_for(list(ends.values()), END_SECONDS)
        unsure = [self._benches[a].name for a, end in ends.items() if end.status != "finished"]
        if unsure:
            _log.warning(
                "tune: %s did not say that all is removed there; the next run does so",
                ", ".join(unsure),
            )
        client.unsubscribe_topic(self._token)
        client.cancel([f for h in self._hosts.values() for f in (h.lease, h.doing) if f])
        self._hosts.clear()

    @property
    def cpus(self) -> int:
        return self._there.reference.cpus

    def unmeasurable(self) -> Mapping[str, Missing]:
        return self._there.unmeasurable

    def ready(self) -> Sequence[str]:
        return [h.worker.name for h in self._hosts.values() if h.state == "ready"]

    def environment(self, host: str) -> Mapping[str, Any]:
        return self._named(host).environment

    def submit(self, host: str, number: int, request: TrialRequest) -> None:
        from tuner.backends.dask_host import measure  # noqa: PLC0415 -- an extra

        ready = self._named(host)
        ready.state, ready.trial = "measuring", number
        resources = {RESOURCE: 1}
        self._do(ready, measure, self._token, number, request, resources=resources)

    def wait(self, observe: Callable[[HostsEvent], None]) -> Ended | None:
        while True:
            if self._ended:
                return self._ended.popleft()
            if self._news:
                self._news = False
                return None
            self._get_ready()
            self._hear(observe)
            if not self._hosts and not self._ended:
                self._wait_for_some(observe)

    def leave_out(self, host: str) -> bool:
        from tuner.backends.dask_host import end_run  # noqa: PLC0415 -- an extra

        left = self._named(host)
        self._do(left, end_run, self._token)
        self._left_out[left.worker.address] = left.worker
        del self._hosts[left.worker.address]
        return bool(self._hosts)

    def _named(self, host: str) -> _Host:
        return next(h for h in self._hosts.values() if h.worker.name == host)

    def _add(self, worker: WorkerFacts, state: State) -> _Host:
        from tuner.backends.dask_host import hold  # noqa: PLC0415 -- an extra

        lease = self._cluster.client.submit(
            hold,
            self._token,
            key=f"{self._token}-lease-{len(self._hosts)}-{uuid.uuid4().hex}",
            workers=[worker.address],
        )
        host = self._hosts[worker.address] = _Host(worker, lease, state)
        return host

    def _do(
        self,
        host: _Host,
        function: Callable[..., Any],
        *arguments: object,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self._tasks += 1
        host.doing = self._cluster.client.submit(
            function,
            *arguments,
            key=f"{self._token}-{self._tasks}",
            workers=[host.worker.address],
            resources=resources,
            pure=False,
        )
        host.doing.add_done_callback(self._inbox.put)

    def _get_ready(self) -> None:
        from tuner.backends.dask_host import RunOnHost, make_ready  # noqa: PLC0415 -- an extra

        for host in self._hosts.values():
            if host.state == "due":
                host.state = "getting ready"
                self._benches[host.worker.address] = host.worker
                run = RunOnHost(
                    self._token, self._who, self._study, self.backend, str(host.lease.key)
                )
                # With the lease as an argument it is there before the bench is.
                self._do(host, make_ready, run, host.lease)

    def _hear(self, observe: Callable[[HostsEvent], None]) -> None:
        """Take in what comes next, and look at the workers where that is due."""
        left = self._look_at - time.monotonic()
        if left <= 0:
            self._look(observe)
            self._look_at = time.monotonic() + LOOK_SECONDS
            return
        try:
            came = self._inbox.get(timeout=left)
        except Empty:
            return
        if isinstance(came, bytes):
            self._tell(came, observe)
            return
        for host in self._hosts.values():
            if host.doing is came:
                self._done(host, came, observe)
                return

    def _tell(self, document: bytes, observe: Callable[[HostsEvent], None]) -> None:
        address, number, event = pickle.loads(document)  # noqa: S301 -- of our own workers # nosec B301
        host = self._hosts.get(address)
        if host is not None and host.trial == number:
            observe(OnHost(host.worker.name, number, event))

    def _done(
        self, host: _Host, future: Future[Any], observe: Callable[[HostsEvent], None]
    ) -> None:
        state, host.doing = host.state, None
        if future.status == "error":
            error = future.exception()
            assert error is not None
            raise error
        try:
            found = future.result(timeout=ANSWER_SECONDS)
        except (OSError, TimeoutError, _cancelled()):
            self._lose(host, observe)  # its worker is gone, or the scheduler: the next look says
            return
        if state == "asked":
            self._compared(host, found, observe)
        elif state == "getting ready":
            self._got_ready(host, found, observe)
        elif state == "measuring":
            self._measured(host, found)

    def _compared(
        self, host: _Host, report: HostReport, observe: Callable[[HostsEvent], None]
    ) -> None:
        name, first = host.worker.name, next(w.name for w in self._there.workers.values())
        fault = (
            host_fault(name, report)
            or host_difference(self._study, first, self._there.reference, name, report)
            or self._too_small(name, report)
        )
        if fault is None:
            host.state = "due"
        else:
            self._leave_alone(host, fault, observe)

    def _too_small(self, host: str, report: HostReport) -> SetupError | None:
        """Why a host cannot have all configurations, whose bounds were set when the run began."""
        fewest = self._there.host.cpus
        if report.cpus >= fewest:
            return None
        return SetupError(
            f"host {host} has {report.cpus} CPUs, fewer than the {fewest} with which the run began",
            "start its worker before the run",
        )

    def _got_ready(self, host: _Host, found: object, observe: Callable[[HostsEvent], None]) -> None:
        if isinstance(found, TuneError):
            self._leave_alone(host, naming_host(host.worker.name, found), observe)
        elif isinstance(found, Mapping):
            if fault := self._disagreement(host, found):
                self._leave_alone(host, fault, observe)
                return
            first = not host.environment
            if first or dict(found) != {k: v for k, v in host.environment.items() if k != "worker"}:
                host.environment = {**found, "worker": host.worker.name}
            host.state, self._news = "ready", True
            if first:
                observe(HostJoined(host.worker.name))
        else:
            host.state = "due"

    def _measured(self, host: _Host, found: object) -> None:
        assert host.trial is not None
        number, name = host.trial, host.worker.name
        host.trial = None
        if isinstance(found, Attempts):
            self._absence.measured()
            host.state = "due" if found.result.invalid else "ready"
            self._ended.append(Ended(number, name, found))
        elif isinstance(found, TrialFailed | Unreachable):
            host.state = "due" if isinstance(found, Unreachable) else "ready"
            self._ended.append(Ended(number, name, found))
        elif isinstance(found, TuneError):
            host.state = "due"
            raise naming_host(name, found) from found
        else:  # its bench was taken down meanwhile
            host.state = "due"
            self._ended.append(Ended(number, name, HostGone(name, number)))

    def _disagreement(self, host: _Host, environment: Mapping[str, Any]) -> SetupError | None:
        """What a host has other than the first, once it is ready; None where they agree."""
        if self._agreed is None:
            self._agreed = environment
        differ = [
            f"{name} is {environment.get(name)}, not {self._agreed.get(name)}"
            for name in _MUST_AGREE
            if environment.get(name) != self._agreed.get(name)
        ]
        if not differ:
            return None
        return SetupError(
            f"host {host.worker.name} differs: {'; '.join(differ)}", "make the hosts alike"
        )

    def _leave_alone(
        self, host: _Host, fault: TuneError, observe: Callable[[HostsEvent], None]
    ) -> None:
        self._fault = fault
        self._left_out[host.worker.address] = host.worker
        del self._hosts[host.worker.address]
        observe(HostLeftOut(host.worker.name, fault.message, fault.mend))

    def _look(self, observe: Callable[[HostsEvent], None]) -> None:
        """What is lost, and what is new. Raises Unreachable where the scheduler is gone."""
        from tuner.backends.dask_host import host_report  # noqa: PLC0415 -- an extra

        workers = self._cluster.workers()
        for host in [h for a, h in self._hosts.items() if a not in workers]:
            self._lose(host, observe)
        for address in [a for a in self._left_out if a not in workers]:
            del self._left_out[address]
        for address, worker in workers.items():
            if worker.measures and address not in {*self._hosts, *self._left_out}:
                host = self._add(worker, "asked")
                if fault := self._cluster.version_fault(worker):
                    self._leave_alone(host, fault, observe)
                else:
                    self._do(host, host_report, self._study, self.backend)

    def _lose(self, host: _Host, observe: Callable[[HostsEvent], None]) -> None:
        name, trial = host.worker.name, host.trial
        self._hosts.pop(host.worker.address, None)
        self._cluster.client.cancel([f for f in (host.lease, host.doing) if f])
        if trial is None:
            observe(HostGone(name, None))
        else:
            self._ended.append(Ended(trial, name, HostGone(name, trial)))

    def _wait_for_some(self, observe: Callable[[HostsEvent], None]) -> None:
        """Wait until there is a host. Raises Unreachable where none comes, or what is wrong with
        those that are there.
        """
        if self._fault is not None and self._left_out:
            raise self._fault
        lost = Unreachable(
            f"no host of the Dask cluster at {self._cluster.address} is left",
            "start workers again (`tune worker --dask ...` on each host)",
        )

        def some() -> bool:
            self._look(observe)
            return bool(self._hosts)

        self._absence.answers = some
        self._absence.wait(lost, observe)


def _cancelled() -> type[BaseException]:
    from distributed import CancelledError  # noqa: PLC0415 -- an extra

    return CancelledError
