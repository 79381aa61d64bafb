"""Stands where a deployer does for a service that is there already."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from tuner.deploy.endpoint_apply import apply
from tuner.deploy.endpoint_probe import NotThereError, require_right
from tuner.deploy.endpoint_url import EndpointUrl
from tuner.deploy.endpoint_usage import Source, usage_source
from tuner.deploy.reach import DirectSession
from tuner.errors import Infeasible, SetupError, TuneError, Unreachable
from tuner.load.target import CpuTimes
from tuner.measure.golden import Golden
from tuner.measure.proc import cpu_model
from tuner.measure.samples import ContainerCounters, Drops
from tuner.spec.host import Host
from tuner.spec.space import Parameter
from tuner.spec.study import DeploymentSpec, EndpointSpec, NetworkSpec, UsageSpec

_PROBED = 8
"""So many different requests are tried before each burst."""

_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class NoImpairment:
    """The network as it is."""

    def facts(self) -> Mapping[str, Any]:
        return {"asked": asdict(NetworkSpec()), "method": "none", "where": {}, "rules": []}

    def drops(self) -> tuple[Drops, ...]:
        return ()


@dataclass(frozen=True)
class EndpointDeployment:
    """The service as it is now; see `Deployment`. Its counters are those of `source`, if any."""

    url: EndpointUrl
    source: Source | None
    host_cpus: int
    local: bool
    ready_seconds: float | None
    applied: Mapping[str, str]

    client_namespace: str | None = None
    client_cpus: tuple[int, ...] = ()

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [self.url.address]

    @property
    def model_name(self) -> str:
        return self.url.header

    def counters(self) -> tuple[ContainerCounters, ...]:
        return () if self.source is None else (self.source.counters(),)

    def cpu_times(self) -> CpuTimes:
        return () if self.source is None else (self.source.cpu_time(),)

    def impair(self, network: NetworkSpec) -> AbstractContextManager[NoImpairment]:
        if not network.clean:
            raise SetupError(
                "tune has no hand in the network of an endpoint",
                "leave loss, delay and bandwidth out of the search space",
            )
        return nullcontext(NoImpairment())

    def verify(self) -> None:
        """Nothing here knows what befell it; requests that failed are counted."""

    def forget_peak(self) -> bool:
        return False

    def log_tail(self) -> str:
        return ""

    def facts(self) -> Mapping[str, Any]:
        return {
            "backend": "endpoint",
            "url": self.url.text,
            "address": ":".join(map(str, self.url.address)),
            "applied": dict(self.applied),
            "counters": "none" if self.source is None else self.source.name,
        }


def is_local(url: EndpointUrl, usage: UsageSpec) -> bool:
    """Whether the service is known to be on this machine, whose counters then include it."""
    return url.local or bool(usage.container or usage.cgroup)


class EndpointDeployer:
    """Switches the service at `url` to a configuration by the user's command, if there is one.

    Then it waits until the service answers requests of `golden`, whose content types are `kinds`,
    rightly. What was applied last
    stays: nobody knows what was before. `parameters` are those of the search space. Commands and
    files are looked up in `directory`.
    """

    name = "endpoint"

    def __init__(
        self,
        url: EndpointUrl,
        endpoint: EndpointSpec,
        golden: Golden,
        kinds: Sequence[str],
        directory: Path,
        parameters: Iterable[Parameter],
        timeout_seconds: float,
    ) -> None:
        self._url = url
        self._endpoint = endpoint
        self._golden = golden
        self._kinds = kinds
        self._directory = directory
        self._parameters = tuple(parameters)
        self._timeout = timeout_seconds

    def __enter__(self) -> Self:
        with ExitStack() as world:
            self._session = world.enter_context(DirectSession())
            if self._endpoint.ca:
                self._session.verify = str(self._directory / self._endpoint.ca)
            self._source = world.enter_context(usage_source(self._endpoint.usage))
            if not self._endpoint.apply:
                self._until_right()
            self._world = world.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._world.close()

    def environment(self) -> Mapping[str, Any]:
        host = Host.this()
        return {
            "backend": "endpoint",
            "host": {"cpus": host.cpus, "memory_mib": host.memory_mib, "cpu_model": cpu_model()},
            "endpoint": {"url": self._url.text, "local": is_local(self._url, self._endpoint.usage)},
        }

    def null_server(self) -> AbstractContextManager[None]:
        """None: what answers is not of this study."""
        return nullcontext()

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[EndpointDeployment]:  # noqa: ARG002
        """Apply the configuration, and wait until the service answers rightly.

        Raises Infeasible where the command says so, or where nothing answers in time after it;
        TrialFailed where the command fails, Unreachable where nothing was applied and nothing
        answers, InputError where an answer is wrong.
        """
        values = self._values(spec)
        command = self._endpoint.apply
        began = time.monotonic()
        if command:
            apply(command, values, self._directory, self._endpoint.apply_seconds)
        self._until_right()
        yield EndpointDeployment(
            self._url,
            self._source,
            Host.this().cpus,
            is_local(self._url, self._endpoint.usage),
            time.monotonic() - began if command else None,
            values if command else {},
        )

    def _values(self, spec: DeploymentSpec) -> dict[str, str]:
        """The values of the parameters by name, as the command has them."""
        built_in = {"replicas": spec.replicas, "cpu": spec.cpu, "memory": spec.memory_mib}
        targets = {**spec.serving.flags, **spec.serving.env}
        values = {}
        for parameter in self._parameters:
            target = parameter.flag or parameter.env
            if parameter.name in built_in:
                values[parameter.name] = f"{built_in[parameter.name]:.12g}"
            elif target in targets:
                values[parameter.name] = targets[target]
        return values

    def _until_right(self) -> None:
        patience = self._endpoint.ready_seconds
        until = time.monotonic() + patience
        for number in range(min(_PROBED, len(self._golden.bodies))):
            while True:
                try:
                    kind, golden = self._kinds[number], self._golden
                    require_right(self._session, self._url, golden, number, kind, self._timeout)
                    break
                except NotThereError as error:
                    if time.monotonic() > until:
                        raise self._absence(error) from error
                    time.sleep(_PAUSE_SECONDS)

    def _absence(self, error: NotThereError) -> TuneError:
        """That nothing answers: because of what was applied, or for a reason of its own."""
        text = f"{self._url.text} did not answer within {self._endpoint.ready_seconds:g} s: {error}"
        if self._endpoint.apply:
            return Infeasible("never ready", text)
        return Unreachable(text, "start the service, or correct the address")

    def answers(self) -> bool:
        """Whether something accepts connections there."""
        try:
            socket.create_connection(self._url.address, timeout=self._timeout).close()
        except OSError:
            return False
        return True
