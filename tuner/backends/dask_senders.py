"""The hosts of a Dask cluster that send the load of one run, together."""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from tuner.backends.dask_cluster import (
    DaskCluster,
    WorkerFacts,
    answer_of,
    dask_cluster,
    naming_host,
)
from tuner.backends.dask_sending_host import REACH_SECONDS, SendingHost
from tuner.backends.sender_place import SenderPlace, SendersHere
from tuner.errors import InputError, SetupError, TrialFailed, TuneError, Unreachable
from tuner.load.engine_process import Engine, EngineHost, StartEngine

if TYPE_CHECKING:
    from distributed.actor import Actor

READINGS = 20
"""So often a clock is read before a burst; the quickest answer counts (Cristian's algorithm)."""

MOST_APART_NS = 50_000_000
"""Clocks that are known no better do not let engines begin together."""

ASK_SECONDS = 10.0


@dataclass(frozen=True)
class _Host:
    """A worker that sends, and the actor on it."""

    worker: WorkerFacts
    actor: Actor
    cluster: DaskCluster

    def ask(self, method: str, *arguments: object, seconds: float = 0.0) -> Any:  # noqa: ANN401
        """What a method of its `SendingHost` returns, for which it may take so many seconds more.

        What the method raises names the host. Raises Unreachable where the host is gone.
        """
        try:
            with self.cluster.client.as_current():
                future = getattr(self.actor, method)(*arguments)
            return future.result(timeout=ASK_SECONDS + seconds)
        except TrialFailed as error:
            raise TrialFailed(f"host {self.worker.name}: {error.message}", error.mend) from error
        except TuneError as error:
            raise naming_host(self.worker.name, error) from error
        except (OSError, RuntimeError, KeyError) as error:
            raise self.gone() from error

    def gone(self) -> Unreachable:
        return Unreachable(
            f"host {self.worker.name}, which sends, does not answer any more",
            "start its `tune worker --sends` again",
        )


class _AfarEngine(Engine):
    """An engine on another host, through the actor that holds it."""

    def __init__(self, host: _Host, engine: int, where: EngineHost) -> None:
        self.host = where
        self._on = host
        self._engine = engine

    def send(self, data: bytes) -> None:
        self._on.ask("send", self._engine, data)

    def wait_ns(self) -> int | None:
        waited: int | None = self._on.ask("wait_ns", self._engine)
        return waited

    def frame(self, seconds: float) -> tuple[dict[str, Any], bytes]:
        header, payload = self._on.ask("frame", self._engine, seconds, seconds=seconds)
        return header, payload


class SenderHosts(SenderPlace):
    """The workers of a cluster that are started with `--sends`, for one run.

    Engines go to them in turn. They are those that were there when it was first entered. Entering
    raises SetupError where there is none, and where one has other versions, sends for
    another run, or does not reach `service`; InputError where that is loopback and they are
    elsewhere; Unreachable where one of those of an earlier entry is gone.
    """

    def __init__(self, on: str, service: tuple[str, int] | None = None) -> None:
        self.on = on
        self._service = service
        self._world = ExitStack()
        self._hosts: Sequence[_Host] = ()
        self._names: tuple[str, ...] = ()
        self._cpus: Sequence[int] = ()

    @property
    def least(self) -> int:
        return len(self._names)

    @property
    def most(self) -> int:
        """As many on each as all of them have room for: engines go to hosts in turn."""
        return len(self._cpus) * max(1, min(self._cpus, default=1) // 2)

    def __enter__(self) -> Self:
        with ExitStack() as world:
            cluster = world.enter_context(dask_cluster(self.on))
            workers = list(cluster.sending().values())
            names = tuple(worker.name for worker in workers)
            for name in self._names:
                if name not in names:
                    raise Unreachable(
                        f"host {name}, which sends, is not there",
                        "start its `tune worker --sends` again",
                    )
            workers = [w for w in workers if not self._names or w.name in self._names]
            cluster.refuse_versions(workers)
            self._hosts = [world.enter_context(_held(cluster, worker)) for worker in workers]
            if self._service is not None:
                for host in self._hosts:
                    _require_reach(host, self._service)
            self._cpus = [host.ask("cpus") for host in self._hosts]
            self._names = tuple(worker.name for worker in workers)
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._hosts = ()
        self._world.close()

    def engines(self, senders: int) -> Sequence[StartEngine]:
        there = [(host, _clock_of(host)) for host in self._hosts[:senders]]
        return [partial(_started, *there[number % len(there)]) for number in range(senders)]

    def answers(self) -> bool:
        try:
            with dask_cluster(self.on) as cluster:
                return {w.name for w in cluster.sending().values()} >= set(self._names)
        except (SetupError, Unreachable):
            return False

    def facts(self) -> Mapping[str, Any]:
        return {"client": f"hosts of a Dask cluster: {', '.join(self._names)}"}

    def in_words(self) -> str:
        apart_ns = max(_clock_of(host).apart_ns for host in self._hosts)
        cpus = ", ".join(
            f"{name} ({cpus} CPUs)" for name, cpus in zip(self._names, self._cpus, strict=True)
        )
        return f"{cpus}; their clocks are known to {apart_ns / 1e6:.1f} ms"


def sender_place(on: str | None, service: tuple[str, int] | None = None) -> SenderPlace:
    """The hosts of the Dask cluster `on`; this machine where that is None.

    Where it is known already, `service` is the address that they are to reach.
    """
    return SendersHere() if on is None else SenderHosts(on, service)


@contextmanager
def _held(cluster: DaskCluster, worker: WorkerFacts) -> Iterator[_Host]:
    """A worker whose actor is this run's."""
    who = f"a run that process {os.getpid()} of {socket.gethostname()} asks for"
    with cluster.client.as_current():
        future = cluster.client.submit(
            SendingHost, who, actor=True, workers=[worker.address], pure=False
        )
        cluster.wait_for([future], ASK_SECONDS)
        actor = answer_of(worker, future)
    if isinstance(actor, TuneError):
        raise naming_host(worker.name, actor)
    host = _Host(worker, actor, cluster)
    try:
        yield host
    finally:
        with suppress(TuneError):  # a host that is gone ended its engines itself
            host.ask("close")


def _require_reach(host: _Host, service: tuple[str, int]) -> None:
    at = ipaddress.ip_address(service[0].partition("%")[0])
    theirs = ipaddress.ip_address(str(urlsplit(host.worker.address).hostname))
    if at.is_loopback and not theirs.is_loopback:
        raise InputError(
            f"{service[0]} is this machine (loopback), and host {host.worker.name} another one",
            "give the address at which other hosts reach the service",
        )
    if why := host.ask("refusal", service, seconds=REACH_SECONDS):
        raise SetupError(
            f"host {host.worker.name}, which sends, cannot connect to"
            f" {service[0]}:{service[1]}: {why}",
            "let its packets through, or end its `tune worker --sends`",
        )


@contextmanager
def _started(host: _Host, where: EngineHost) -> Iterator[Engine]:
    engine: int = host.ask("start")
    try:
        yield _AfarEngine(host, engine, where)
    finally:
        with suppress(TuneError):  # as above
            host.ask("end", engine)


def _clock_of(host: _Host) -> EngineHost:
    """Its clock, read now. Raises SetupError where it is not known well enough."""
    ahead_ns, apart_ns = 0, MOST_APART_NS + 1
    for _ in range(READINGS):
        before = time.perf_counter_ns()
        there: int = host.ask("clock_ns")
        after = time.perf_counter_ns()
        if (after - before) // 2 < apart_ns:
            ahead_ns, apart_ns = (before + after) // 2 - there, (after - before) // 2
    if apart_ns > MOST_APART_NS:
        raise SetupError(
            f"the clock of host {host.worker.name} is known to"
            f" {MOST_APART_NS / 1e6:.0f} ms only, so engines cannot begin together",
            "use hosts on a faster network, or stop what else keeps the scheduler busy",
        )
    return EngineHost(host.worker.name, ahead_ns, apart_ns)
