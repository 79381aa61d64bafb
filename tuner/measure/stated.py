"""How bursts with packet loss are stated: their own part, composed with their network's. Pure.

A burst knows its undelayed requests well, and the few delayed ones badly. So its ART, throughput
and CPU usage are composed with what the bursts of all configurations say of the network
(`tuner.measure.network_part`). Where that does not hold, the burst's own values stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from tuner.measure.kept import kept
from tuner.measure.measurement import Estimate, LossParts, Measurement, Z
from tuner.measure.network_part import NetworkPart, inseparable, network_parts
from tuner.spec.space import Configuration, Value
from tuner.spec.study import NetworkSpec

COMPOSED = frozenset({"art_ms", "throughput_rps", "cpu_cores", "cpu_percent"})
"""The metrics that are composed."""


@dataclass(frozen=True)
class Composed:
    """A metric of a lossy burst: what the burst itself says, and what all say of the network.

    Its value is the sum of both. The error of `network` is the same in every burst of one
    configuration; only `own` differs between them. All configurations share it too, but for a part
    with the standard error `apart`, in the metric's unit.
    """

    own: Estimate
    network: Estimate
    apart: float = 0.0

    @property
    def total(self) -> Estimate:
        value = self.own.value + self.network.value
        half = math.hypot(_half(self.own), _half(self.network))
        return Estimate(value, max(0.0, value - half), value + half)

    @property
    def share(self) -> float:
        """The share of the value that is the burst's own."""
        return self.own.value / self.total.value

    @property
    def own_error(self) -> float:
        """The standard error that differs between bursts, as a share of the whole value."""
        return _half(self.own) / Z / self.total.value

    @property
    def compared_error(self) -> float:
        """The standard error where configurations are compared, as a share of the whole value."""
        return math.hypot(self.own_error, self.apart / self.total.value)

    @property
    def network_error(self) -> float:
        """The standard error that all bursts of the network share, as a share of the value."""
        return _half(self.network) / Z / self.total.value


@dataclass(frozen=True)
class StatedBurst:
    """How a burst with packet loss is stated.

    `composed` has the parts of each metric that is composed with `network`. Without a network the
    burst's own values count, and `alone` says why.
    """

    network: NetworkPart | None = None
    composed: Mapping[str, Composed] = field(default_factory=dict)
    alone: str = ""


def stated_bursts(
    bursts: Sequence[tuple[Configuration, Measurement]], early: int
) -> tuple[StatedBurst | None, ...]:
    """How each of a study's bursts is stated; None for one without packet loss.

    The networks are those of the first `early` bursts. So what a later burst says changes no
    earlier one, and a model that learned from those need not learn anew.
    """
    why_alone = [
        kept(measurement, "alone", configuration, partial(_why_alone, configuration, measurement))
        for configuration, measurement in bursts
    ]
    groups: dict[LossyNetwork, dict[Configuration, list[LossParts]]] = {}
    late: dict[LossyNetwork, dict[Configuration, list[LossParts]]] = {}
    for n, ((configuration, measurement), why) in enumerate(zip(bursts, why_alone, strict=True)):
        network = LossyNetwork.of(configuration)
        if why == "" and network is not None and measurement.loss is not None:
            group = (groups if n < early else late).setdefault(network, {})
            group.setdefault(configuration, []).append(measurement.loss)
    networks = {}
    for network in groups.keys() | late.keys():
        first, later = groups.get(network, {}), late.get(network, {})
        new = {c: parts for c, parts in later.items() if c not in first}
        networks[network] = network_parts(first, new)

    def stated(
        configuration: Configuration, measurement: Measurement, why: str | None
    ) -> StatedBurst | None:
        if why is None:
            return None
        network = LossyNetwork.of(configuration)
        if why or network is None or measurement.loss is None:
            return StatedBurst(alone=why)
        part = networks[network][configuration]
        if isinstance(part, str):
            return StatedBurst(alone=part)
        return kept(
            measurement,
            "stated",
            (part, configuration),
            partial(_composed, configuration, measurement, measurement.loss, part),
        )

    return tuple(stated(*burst, why) for burst, why in zip(bursts, why_alone, strict=True))


def _composed(
    configuration: Configuration, measurement: Measurement, loss: LossParts, part: NetworkPart
) -> StatedBurst:
    concurrency = int(configuration["concurrency"])
    return StatedBurst(part, composed_metrics(loss, part, concurrency, measurement.metrics))


@dataclass(frozen=True)
class LossyNetwork:
    """A network that only loses packets: what decides how that delays a request."""

    loss_in: float
    loss_out: float
    protocol: Value | None

    @classmethod
    def of(cls, configuration: Configuration) -> LossyNetwork | None:
        """That of a configuration; None for another network, and for an open loop."""
        return kept(configuration, "lossy network", None, lambda: cls._of(configuration))

    @classmethod
    def _of(cls, configuration: Configuration) -> LossyNetwork | None:
        network = NetworkSpec.of(configuration)
        if not network.lossy or network.shaped or configuration.get("rate") is not None:
            return None
        return cls(network.loss_in, network.loss_out, configuration.get("protocol"))


def _why_alone(configuration: Configuration, measurement: Measurement) -> str | None:
    """Why the own values of a burst count; empty where nothing speaks against its network's part.

    None where no packets are lost. The network's part is that of a closed loop in which a lost
    packet is all that delays requests.
    """
    network = NetworkSpec.of(configuration)
    if not network.lossy:
        return None
    if configuration.get("rate") is not None:
        return "in an open loop a delayed request delays those that wait behind it"
    if network.shaped:
        return "the network delays packets too, not only loses them"
    failed = measurement.metrics.get("error_rate")
    if measurement.errors or (failed is not None and failed.value > 0):
        return "some of its requests failed"
    if measurement.loss is None:
        return "its record says nothing about single delayed requests"
    parts = measurement.loss
    why = inseparable(parts.requests, parts.delayed, parts.unclear)
    throttled = measurement.metrics.get("throttled_percent")
    if why and throttled is not None and throttled.value >= 1:
        why += f" (its CPU limit throttled it in {throttled.value:.0f} % of the periods)"
    return why


def composed_metrics(
    parts: LossParts, network: NetworkPart, concurrency: int, metrics: Mapping[str, Estimate]
) -> dict[str, Composed]:
    """ART, throughput and CPU usage of a closed loop of `concurrency` connections, composed.

    ART is the mean of the undelayed requests and the network's part. Each connection always has a
    request in flight, so throughput is concurrency over ART. CPU usage is read off the line of the
    burst at that throughput. `metrics` are those that the burst measured.
    """
    undelayed = parts.undelayed_ms
    art = undelayed.value + network.mean_ms
    errors = network.error_ms, network.own_error_ms
    composed = {
        "art_ms": Composed(undelayed, _around(network.mean_ms, network.error_ms), errors[1])
    }
    throughput = 1000 * concurrency / art
    own, shared, apart = (throughput * e / art for e in (_half(undelayed) / Z, *errors))
    composed["throughput_rps"] = _of(throughput, own, shared, apart)
    line = parts.cpu
    if line is None or "cpu_cores" not in metrics:
        return composed
    more = throughput - line.throughput_rps
    cores = line.cores + line.slope * more
    own = math.hypot(line.cores_error, line.slope_error * more, line.slope * own)
    for name in ("cpu_cores", "cpu_percent"):
        scale = metrics[name].value / metrics["cpu_cores"].value
        of_network = (scale * line.slope * e for e in (shared, apart))
        composed[name] = _of(scale * cores, scale * own, *of_network)
    return composed


def _half(estimate: Estimate) -> float:
    assert estimate.high is not None
    return estimate.high - estimate.value


def _around(value: float, error: float) -> Estimate:
    return Estimate(value, value - Z * error, value + Z * error)


def _of(value: float, own: float, shared: float, apart: float) -> Composed:
    return Composed(_around(value, own), _around(0.0, shared), apart)
