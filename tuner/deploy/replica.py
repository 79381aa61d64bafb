"""One replica of a deployment: a container, and the checks before it is used."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

import requests
from docker import DockerClient
from docker.errors import APIError
from docker.models.containers import Container
from docker.models.networks import Network

from tuner.deploy.cgroup import Limits
from tuner.deploy.engine_statistics import CounterSource
from tuner.deploy.helper import FORGETFUL
from tuner.deploy.logs import harmless
from tuner.deploy.parallel import GivenUp
from tuner.deploy.reach import DirectSession, Reach
from tuner.errors import Infeasible, TrialFailed, TuneError
from tuner.measure.golden import Golden
from tuner.measure.samples import ContainerCounters
from tuner.serving.container_plan import IPC_MODE, PIDS_LIMIT, ContainerPlan
from tuner.spec.host import MIB
from tuner.spec.study import DeploymentSpec, ModelSpec

_T = TypeVar("_T")

_PROBE_SECONDS = 0.02
_PROBE_TIMEOUT = 0.5, 5.0
"""Seconds to connect (the address of a dead container never answers) and to answer."""
_ANSWER_TIMEOUT = 30.0
_END_TIMEOUT = 10
_LOG_LINES = 20
_GOLDEN_REQUESTS = 4
_TOO_LITTLE = "minimum memory limit|memory limit too low|OOM-killed"
"""What engine and runtime say of a limit that is too low even to start a process."""


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
    started: float | None = None
    """When the engine was asked to start it, by `time.monotonic()`; None: not by this process."""
    namespace: str | None = None
    """The path of the network namespace from which it is asked; None: that of this process."""

    @property
    def url(self) -> str:
        return f"http://{self.rest[0]}:{self.rest[1]}"

    def check_limits(self, spec: DeploymentSpec) -> None:
        """Compare the limits that the kernel enforces with those of `spec`.

        Raises TuneError on a difference.
        """
        applied = self._read(self.source.limits)
        requested = Limits(spec.cpu, spec.memory_mib * MIB, 0)
        # The kernel keeps CPU quotas in whole microseconds per period.
        cpu_ok = applied.cpu is not None and abs(applied.cpu - spec.cpu) < 1e-3
        if not cpu_ok or (applied.memory_bytes, applied.swap_bytes) != (requested.memory_bytes, 0):
            raise TuneError(
                f"replica {self.index} did not get its limits: asked {requested},"
                f" applied {applied}",
                "check that the host has CPU quotas, memory and swap limits (`docker info`)",
            )

    def wait_until_ready(self, model: str, seconds: float) -> None:
        """Poll the model's status. Raises Infeasible if the container dies or takes too long."""
        deadline = time.monotonic() + seconds
        inspect_at = time.monotonic() + 0.5
        with DirectSession(self.namespace) as session:
            while not self.given_up.is_set():
                if _is_available(session, f"{self.url}/v1/models/{model}"):
                    return
                now = time.monotonic()
                if now >= inspect_at or now >= deadline:
                    self.check_alive()
                    inspect_at = now + 0.5
                if now >= deadline:
                    raise Infeasible(
                        "never ready",
                        f"replica {self.index} was not ready within {seconds:g} s",
                        self.log_tail(),
                    )
                time.sleep(_PROBE_SECONDS)
        raise GivenUp

    def check_answers(self, model: ModelSpec, golden: Golden) -> None:
        """Send the first golden requests. Raises TrialFailed if an answer is wrong."""
        url = f"{self.url}/v1/models/{model.name}:predict"
        with DirectSession(self.namespace) as session:
            for number, body in enumerate(golden.bodies[:_GOLDEN_REQUESTS]):
                try:
                    reply = session.post(url, data=body, timeout=_ANSWER_TIMEOUT)
                except requests.RequestException as error:
                    self.check_alive()
                    raise TrialFailed(
                        f"replica {self.index} did not answer golden request {number}: {error}"
                    ) from error
                if reply.status_code != 200:
                    raise TrialFailed(
                        f"replica {self.index} refused golden request {number} of model "
                        f"{model.name}: HTTP {reply.status_code} {_short(reply.text)}"
                    )
                if not golden.answered(number, reply.content, model.tolerance):
                    expected = json.dumps(golden.responses[number])
                    raise TrialFailed(
                        f"replica {self.index} answers golden request {number} of model "
                        f"{model.name} wrongly: expected {_short(expected)}, "
                        f"got {_short(reply.text)}"
                    )

    def counters(self) -> ContainerCounters:
        return self._read(self.source.counters)

    def cpu_time(self) -> tuple[int, int]:
        """(Timestamp, CPU time since its start), both in ns."""
        return self._read(self.source.cpu_time)

    def check_alive(self) -> None:
        """Raise Infeasible if the container has stopped or the OOM killer ended one of its
        processes.
        """
        self.container.reload()
        state = self.container.attrs["State"]
        if state["Running"]:
            if self._read(self.source.oom_kills):
                raise self._out_of_memory("had a process killed")
            return
        # 137 = 128 + SIGKILL. While a trial runs only the kernel's OOM killer sends it.
        if state.get("OOMKilled") or state["ExitCode"] == 137:
            raise self._out_of_memory("was killed")
        raise Infeasible(
            "never ready",
            f"replica {self.index} stopped by itself with exit code {state['ExitCode']}",
            self.log_tail(),
        )

    def _out_of_memory(self, event: str) -> Infeasible:
        limit = self.container.attrs["HostConfig"]["Memory"] // MIB
        message = f"replica {self.index} {event} at its memory limit of {limit} MiB"
        return Infeasible("out of memory", message, self.log_tail())

    def _read(self, reading: Callable[[], _T]) -> _T:
        """Read files of the control group, which vanish as soon as the container has ended."""
        try:
            return reading()
        except OSError as error:
            self.container.wait(timeout=_END_TIMEOUT)
            self.check_alive()
            raise TrialFailed(
                f"the counters of replica {self.index} cannot be read: {error}"
            ) from error

    def log(self, lines: int) -> bytes:
        """The last lines that it wrote, unchanged."""
        tail: bytes = self.container.logs(tail=lines)
        return tail

    def log_tail(self) -> str:
        return harmless(self.log(_LOG_LINES))


def _is_available(session: DirectSession, url: str) -> bool:
    try:
        reply = session.get(url, timeout=_PROBE_TIMEOUT)
        if reply.status_code != 200:
            return False
        versions = reply.json()["model_version_status"]
    except (requests.RequestException, ValueError, KeyError):
        return False
    return any(version.get("state") == "AVAILABLE" for version in versions)


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:200] + "..."


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
            started = time.monotonic()
            container.start()
        except APIError as error:
            reason = str(error.explanation)
            if re.search(_TOO_LITTLE, reason, re.IGNORECASE):
                raise Infeasible(
                    "out of memory",
                    f"replica {index} cannot be started with {self.spec.memory_mib} MiB of memory",
                    reason,
                ) from error
            raise
        container.reload()
        rest, address = (self.reach.address(container, self.network, p) for p in self._ports())
        return Replica(
            index,
            container,
            rest,
            address,
            self.reach.source(container),
            self.given_up,
            started,
            self.reach.namespace,
        )

    def _ports(self) -> tuple[int, int]:
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
            ports=self.reach.ports(*self._ports()),
            sysctls=FORGETFUL | dict(self.plan.sysctls),
            labels=dict(self.labels),
        )
