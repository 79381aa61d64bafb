"""A service that is there already, and the real load generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from tuner.backends.backend import NO_NODES, NO_OPTIONS, BackendOptions, DeployingBackend
from tuner.backends.dask_senders import sender_place
from tuner.deploy.endpoint_deployer import EndpointDeployer, is_local
from tuner.deploy.endpoint_url import EndpointUrl, endpoint_url
from tuner.deploy.protocol import Deployment
from tuner.errors import InputError
from tuner.load.any_server import AnyServer
from tuner.load.sender import LoadGenerator
from tuner.load.study_requests import endpoint_requests, study_trace
from tuner.load.trace import replayed
from tuner.measure.host_use import watch_host
from tuner.measure.measurement import Measurement, Missing
from tuner.measure.powercap import ENERGY
from tuner.serving.servers.call import Call
from tuner.serving.traffic import JSON
from tuner.spec.reservation import RESERVED
from tuner.spec.study import LoadProfile, Stage, StudySpec
from tuner.trial import Client, TrialRequest, TrialResult

_USED = ("cpu_percent", "cpu_cores", "cpu_ms_per_request", "memory_peak_mib", "foreign_percent")
_COUNTED = (
    "throttled_percent",
    "major_faults_per_s",
    "memory_limit_hits_per_s",
    "received_mib_per_s",
    "sent_mib_per_s",
    "retransmitted_percent",
    "cpu_pressure_percent",
    "memory_pressure_percent",
    "io_pressure_percent",
    "replica_wait_percent",
)
_OF_HOST = ("foreign_percent", "steal_percent")

_NO_USAGE = Missing(
    "nothing says where the endpoint's CPU time and memory are counted",
    "give endpoint.usage: a container, a control group or Prometheus queries; or another metric",
)
_NO_QUERY = Missing("Prometheus is asked for no such counter", "choose another metric")
_ELSEWHERE = Missing("the endpoint is not on this machine", "choose another metric")
_AS_IT_IS = Missing(
    "nothing is started: endpoint.apply is no command", "give one, or choose another metric"
)
_NOT_RESERVED = Missing(
    "the search space does not have cpu, memory and replicas, from which it follows",
    "give them, or choose another metric",
)


def endpoint_backend(study: StudySpec, options: BackendOptions = NO_OPTIONS, /) -> EndpointBackend:
    """The study's endpoint, which is neither deployed nor limited.

    Raises InputError for a study without one, for an address that may not be loaded, and for
    requests that cannot be read.
    """
    endpoint = study.endpoint
    if endpoint is None:
        raise InputError(
            f"study {study.name!r} has no endpoint",
            "give it one (docs/how-to/endpoint.md), or use another --backend",
        )
    url = endpoint_url(endpoint.url, may_load=options.may_load)
    golden, kinds = endpoint_requests(study, url.target)
    trace = study_trace(study, golden)
    own = {"Host": url.header, "Accept-Encoding": "identity"}
    calls = [
        Call(url.target, body, headers={"Content-Type": kind, **own})
        for body, kind in zip(golden.bodies, kinds, strict=True)
    ]
    home = study.path.parent
    server = AnyServer(
        url.host if url.secure else None,
        _authority(home / endpoint.ca) if endpoint.ca else None,
        endpoint.most_rps,
    )
    place = sender_place(options.senders_on, url.address)
    generator = LoadGenerator(place.engines)

    def right(number: int, body: bytes) -> bool:
        # Nobody knows what the answer to an image or a text looks like.
        opaque = golden.responses[number] is None and kinds[number] != JSON
        return opaque or golden.answered(number, body, study.model.tolerance)

    def connect(target: Deployment, profile: LoadProfile) -> AbstractContextManager[Client]:
        if trace is not None:
            profile = replayed(profile, trace)
        if study.load.senders == "auto":
            profile = replace(profile, senders=place.least)
        if profile.rate_rps is not None and profile.rate_rps > endpoint.most_rps:
            raise InputError(
                f"a rate of {profile.rate_rps:g} requests/s, more than endpoint.most_rps"
                f" ({endpoint.most_rps:g})",
                "lower the rate, or raise most_rps if the endpoint may be loaded so",
            )
        return generator.connect(target, profile, calls, check=right, server=server)

    timeout = study.load.timeout_seconds
    deployer = EndpointDeployer(url, endpoint, golden, kinds, home, study.search_space, timeout)
    return EndpointBackend(
        "endpoint",
        study,
        deployer,
        connect,
        watch=watch_host if is_local(url, endpoint.usage) else lambda _: None,
        missing=_missing(study, url),
        reach=deployer.answers,
        senders=place,
    )


def _authority(file: Path) -> str:
    """Its certificates. Raises InputError where the file cannot be read."""
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"endpoint.ca: {file} cannot be read: {error}",
            "name the PEM file of the authority's certificate",
        ) from error


def _missing(study: StudySpec, url: EndpointUrl) -> Mapping[str, Missing]:
    endpoint = study.endpoint
    assert endpoint is not None
    usage = endpoint.usage
    missing = {**ENERGY, **NO_NODES}
    if not (usage.container or usage.cgroup):
        missing |= dict.fromkeys(_COUNTED, _NO_QUERY if usage.prometheus else _NO_USAGE)
    if not (usage.container or usage.cgroup or usage.prometheus):
        missing |= dict.fromkeys(_USED, _NO_USAGE)
    elif usage.prometheus and not usage.memory:
        missing["memory_peak_mib"] = _NO_QUERY
    if not is_local(url, usage):
        missing |= dict.fromkeys(_OF_HOST, _ELSEWHERE)
    if not endpoint.apply:
        missing["ready_seconds"] = _AS_IT_IS
    if not {"cpu", "memory", "replicas"} <= {p.name for p in study.search_space}:
        missing |= dict.fromkeys(RESERVED, _NOT_RESERVED)
    return missing


@dataclass
class EndpointBackend(DeployingBackend):
    """As every backend that deploys, but a counter that nobody has is no metric, not even 0."""

    def run_trial(self, request: TrialRequest) -> TrialResult:
        result = super().run_trial(request)
        if result.measurement is None:
            return result
        return replace(result, measurement=self._known(result.measurement))

    def run_stages(self, request: TrialRequest, stages: Sequence[Stage]) -> tuple[Measurement, ...]:
        return tuple(map(self._known, super().run_stages(request, stages)))

    def _known(self, measurement: Measurement) -> Measurement:
        for metric in self.missing:
            measurement = measurement.lacking(metric)
        return measurement
