"""One replica of a deployment: a container, and the checks before it is used."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Any, TypeVar

import requests
from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy.cgroup import Limits, host_oom_kills
from tuner.deploy.ending import (
    FIND_IT,
    ContainerState,
    Ending,
    EngineEvent,
    MemoryCount,
    ReplicaEvidence,
    ending,
)
from tuner.deploy.engine_statistics import CounterSource, EngineStatistics
from tuner.deploy.helper import FORGETFUL
from tuner.deploy.logs import harmless
from tuner.deploy.parallel import GivenUp
from tuner.deploy.reach import DirectSession, Reach
from tuner.deploy.unfit_answers import refuse_unfit_answer
from tuner.errors import Infeasible, TrialFailed, TuneError
from tuner.measure.samples import ContainerCounters
from tuner.serving.container_plan import IPC_MODE, PIDS_LIMIT, ContainerPlan, Ready
from tuner.serving.servers.call import Call
from tuner.serving.servers.server import Requests, short
from tuner.spec.host import MIB
from tuner.spec.study import DeploymentSpec

_T = TypeVar("_T")

_PROBE_SECONDS = 0.02
_PROBE_TIMEOUT = 0.5, 5.0
"""Seconds to connect (the address of a dead container never answers) and to answer."""
_ANSWER_TIMEOUT = 30.0
_END_TIMEOUT = 10.0
"""Seconds until the engine knows of an end that the kernel's files show already."""
_LOOK_SECONDS = 0.05
_OOM_LATENCY = 0.5
"""Seconds until the engine knows that the kernel's OOM killer ended what it knows to have ended."""
_LOG_LINES = 20
_GOLDEN_REQUESTS = 4
TOO_LITTLE = "minimum memory limit|memory limit too low|OOM-killed"
"""What engine and runtime say of a limit that is too low even to start a process."""


@dataclass(frozen=True)
class ReplicaStart:
    """The start of a container by which it became a replica.

    `at` and `restarts` are the engine's, `oom_kills` the host's count of processes that the
    kernel's OOM killer ended until then, None where it cannot be read. `asked` is when the engine
    was asked to start it, by `time.monotonic()`; None: not by this process. What the engine says to
    have happened before `ready`, in seconds of its clock, was part of the start.
    """

    at: str
    restarts: int = 0
    oom_kills: int | None = None
    asked: float | None = None
    ready: float = 0.0


@dataclass
class _LastMemory:
    """The last reading of a replica's memory, which is there also when its files are gone."""

    count: MemoryCount | None = None


@dataclass(frozen=True)
class Replica:
    """One running container and its addresses.

    The checks before its use go to `rest`, its REST API. Requests of a burst go to `address`.
    """

    index: int
    container: Container
    rest: tuple[str, int]
    address: tuple[str, int]
    source: CounterSource
    given_up: Event
    start: ReplicaStart
    namespace: str | None = None
    """The path of the network namespace from which it is asked; None: that of this process."""
    port: int | None = None
    """Its REST port inside the container, where that is known."""
    _memory: _LastMemory = field(default_factory=_LastMemory, repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.rest[0]}:{self.rest[1]}"

    def check_limits(self, spec: DeploymentSpec) -> None:
        """Compare the limits that the kernel enforces with those of `spec`.

        Raises TuneError on a difference, and as `check_alive`: what has ended has no limits.
        """
        applied = self.limits()
        requested = Limits(spec.cpu, spec.memory_mib * MIB, 0)
        # The kernel keeps CPU quotas in whole microseconds per period.
        cpu_ok = applied.cpu is not None and abs(applied.cpu - spec.cpu) < 1e-3
        if not cpu_ok or (applied.memory_bytes, applied.swap_bytes) != (requested.memory_bytes, 0):
            if applied == Limits(None, None, None):
                self.check_alive()
            raise TuneError(
                f"replica {self.index} did not get its limits: asked {requested},"
                f" applied {applied}",
                "check that the host has CPU quotas, memory and swap limits (`docker info`)",
            )

    def wait_until_ready(self, ready: Ready, seconds: float) -> None:
        """Ask until it is ready. Raises as `check_alive`, and Infeasible if it takes too long."""
        deadline = time.monotonic() + seconds
        inspect_at = time.monotonic() + 0.5
        with DirectSession(self.namespace) as session:
            while not self.given_up.is_set():
                unready = _unready(session, self.url, ready)
                if not unready:
                    return
                self._read_memory()
                now = time.monotonic()
                if now >= inspect_at or now >= deadline:
                    self.check_alive()
                    inspect_at = now + 0.5
                if now >= deadline:
                    raise Infeasible(
                        "never ready",
                        f"replica {self.index} was not ready within {seconds:g} s: {unready}"
                        f"{self._other_ports()}",
                        self.log_tail(),
                    )
                time.sleep(_PROBE_SECONDS)
        raise GivenUp

    def _other_ports(self) -> str:
        """A remark where its image names other ports than that which was asked."""
        exposed = self.container.attrs["Config"].get("ExposedPorts") or {}
        if not exposed or self.port is None or f"{self.port}/tcp" in exposed:
            return ""
        return f" (the image says that it listens at {', '.join(sorted(exposed))})"

    def check_answers(self, model: str, golden: Requests) -> None:
        """Send the first golden requests.

        Raises TrialFailed if an answer is wrong, InputError if none could be measured.
        """
        with DirectSession(self.namespace) as session:
            for number, call in enumerate(golden.calls[:_GOLDEN_REQUESTS]):
                try:
                    reply = session.ask(self.url, call, _ANSWER_TIMEOUT)
                except requests.RequestException as error:
                    self.check_alive()
                    raise TrialFailed(
                        f"replica {self.index} did not answer golden request {number}: {error}"
                    ) from error
                refuse_unfit_answer(reply, call)
                if reply.status != call.status:
                    raise TrialFailed(
                        f"replica {self.index} refused golden request {number} of model "
                        f"{model}: HTTP {reply.status} {short(reply.text)}"
                    )
                if wrong := golden.wrong(number, reply.body):
                    raise TrialFailed(
                        f"replica {self.index} answers golden request {number} of model "
                        f"{model} wrongly: {wrong}"
                    )

    def counters(self) -> ContainerCounters:
        counted = self._read(self.source.counters)
        self._read_memory()
        return counted

    def limits(self) -> Limits:
        """The limits that the kernel enforces."""
        return self._read(self.source.limits)

    def cpu_time(self) -> tuple[int, int]:
        """(Timestamp, CPU time since its start), both in ns."""
        return self._read(self.source.cpu_time)

    def check_alive(self) -> None:
        """Whether it runs, and nothing befell it since its start (`tuner.deploy.ending`).

        Raises Infeasible where it ran out of memory or its server ended by itself. Raises
        TrialFailed where something else ended, paused, restarted or removed it.
        """
        befallen = ending(self._evidence())
        if befallen is not None and befallen.how in {"killed", "host out of memory"}:
            time.sleep(_OOM_LATENCY)
            befallen = ending(self._evidence())
        if befallen is not None:
            raise self._error(befallen)

    def _error(self, befallen: Ending) -> Infeasible | TrialFailed:
        what = f"replica {self.index} {befallen.what}"
        if befallen.how == "out of memory":
            limit = self.container.attrs["HostConfig"]["Memory"] // MIB
            return Infeasible(befallen.how, f"{what} of {limit} MiB", self.log_tail())
        if befallen.how == "own end":
            return Infeasible("never ready", what, self.log_tail())
        return TrialFailed(what, FIND_IT)

    def _evidence(self) -> ReplicaEvidence:
        self._read_memory()
        before = self.start.oom_kills
        # The statistics call is used where this machine does not have the container's kernel.
        here = before is not None and not isinstance(self.source, EngineStatistics)
        now = host_oom_kills() if here else None
        state = self._state()
        return ReplicaEvidence(
            state,
            self.start.at,
            self.start.restarts,
            self._events(),
            self._memory.count,
            None if now is None or before is None else now - before,
            stopped=state is not None and state.running and self._is_stopped(),
        )

    def _state(self) -> ContainerState | None:
        """What the engine says of the container; None where it is gone."""
        try:
            self.container.reload()
        except NotFound:
            return None
        return ContainerState.of(self.container.attrs)

    def _events(self) -> tuple[EngineEvent, ...]:
        """What the engine still knows to have happened to the container, the oldest first."""
        client = self.container.client
        assert client is not None
        mine: dict[str, Any] = {"container": self.container.id}
        # By the engine's clock: it would wait until a time that is yet to come. Not ints, as the
        # stubs would have it: they would leave out the last second.
        since: Any = f"{self.start.ready:.6f}"
        until: Any = f"{engine_time(client):.6f}"
        events = client.events(since=since, until=until, filters=mine, decode=True)
        return tuple(map(EngineEvent.of, events))

    def _read_memory(self) -> None:
        """Keep what the kernel counts of its memory, unless its files are gone already."""
        try:
            count = self.source.memory_count()
        except OSError:
            return
        self._memory.count = count or self._memory.count

    def _is_stopped(self) -> bool:
        try:
            return self.source.stopped()
        except OSError:  # its files are gone: it has ended, as the engine will say
            return False

    def _read(self, reading: Callable[[], _T]) -> _T:
        """Read files of the control group, which vanish as soon as the container has ended."""
        try:
            return reading()
        except (OSError, NotFound) as error:
            self._await_end()
            self.check_alive()
            why = getattr(error, "strerror", None) or type(error).__name__
            raise TrialFailed(
                f"the counters of replica {self.index} cannot be read although it runs: {why}"
            ) from error

    def _await_end(self) -> None:
        """Wait until the engine knows that the container ended, for some seconds."""
        deadline = time.monotonic() + _END_TIMEOUT
        while time.monotonic() < deadline:
            state = self._state()
            if state is None or not state.running or state.started_at != self.start.at:
                return
            time.sleep(_LOOK_SECONDS)

    def log(self, lines: int) -> bytes:
        """The last lines that it wrote, unchanged."""
        tail: bytes = self.container.logs(tail=lines)
        return tail

    def log_tail(self) -> str:
        try:
            return harmless(self.log(_LOG_LINES))
        except APIError as error:
            return f"its log cannot be read: {error.explanation or error}"


def engine_time(client: DockerClient) -> float:
    """What an engine's clock shows, in seconds since 1970."""
    return datetime.fromisoformat(client.info()["SystemTime"]).timestamp()


def _unready(session: DirectSession, url: str, ready: Ready) -> str:
    """Why it is not ready; empty where it is."""
    asked = f"GET {ready.path}"
    try:
        reply = session.ask(url, Call(ready.path, method="GET", headers={}), _PROBE_TIMEOUT)
    except requests.ConnectionError:
        return f"{asked}: nothing answers"
    except requests.RequestException as error:
        return f"{asked}: {type(error).__name__}"
    if reply.status != 200:
        return f"{asked} is answered with HTTP {reply.status}"
    if re.search(ready.pattern, reply.text) is None:
        return f"{asked} is answered without {ready.pattern}"
    return ""


@contextmanager
def _not_removed(index: int) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        what = f"replica {index} was removed by something else while it was started"
        raise TrialFailed(what, FIND_IT) from error


@dataclass(frozen=True)
class ReplicaMaker:
    """Creates and starts the replica of a given index."""

    client: DockerClient
    plan: ContainerPlan
    mounts: dict[str, dict[str, str]]
    spec: DeploymentSpec
    network: Network
    labels: Mapping[str, str]
    reach: Reach
    cpuset: str | None
    given_up: Event

    def __call__(self, index: int) -> Replica:
        if self.given_up.is_set():
            raise GivenUp
        try:
            container = self._create(index)
            oom_kills = None if self.reach.remote else host_oom_kills()
            started = time.monotonic()
            with _not_removed(index):
                container.start()
                container.reload()
        except APIError as error:
            reason = str(error.explanation)
            if re.search(TOO_LITTLE, reason, re.IGNORECASE):
                raise Infeasible(
                    "out of memory",
                    f"replica {index} cannot be started with {self.spec.memory_mib} MiB of memory",
                    reason,
                ) from error
            raise
        rest, address = (self.reach.address(container, self.network, p) for p in self._asked())
        return Replica(
            index,
            container,
            rest,
            address,
            self.reach.source(container),
            self.given_up,
            ReplicaStart(container.attrs["State"]["StartedAt"], 0, oom_kills, started),
            self.reach.namespace,
            self.plan.port,
        )

    def _asked(self) -> tuple[int, int]:
        """The port of the REST API and the port of the requests."""
        return self.plan.port, self.plan.port_of(self.spec.protocol)

    def _create(self, index: int) -> Container:
        return self.client.containers.create(
            self.plan.image,
            name=f"{self.network.name}-{index}",
            entrypoint=list(self.plan.entrypoint) if self.plan.entrypoint else None,
            command=list(self.plan.command),
            environment=dict(self.plan.environment),
            user=self.plan.user,
            nano_cpus=round(self.spec.cpu * 1e9),
            cpuset_cpus=self.cpuset,
            mem_limit=self.spec.memory_mib * MIB,
            memswap_limit=self.spec.memory_mib * MIB,
            pids_limit=PIDS_LIMIT,
            read_only=True,
            tmpfs=dict(self.plan.tmpfs),
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            volumes=self.mounts,
            ipc_mode=IPC_MODE,
            network=self.network.name,
            dns=self.reach.dns,
            ports=self.reach.ports(*self._asked()),
            sysctls=FORGETFUL | dict(self.plan.sysctls),
            labels=dict(self.labels),
        )
