"""Where and with what the study was measured, down to digests and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuner.measure.measurement import Estimate
from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Block, Facts, Log, Section, Words
from tuner.pages.sources import Sources
from tuner.results.in_words import listed
from tuner.results.wording import duration, figure, interval
from tuner.spec.yaml_text import yaml_text

_NAMED = {
    "backend": "measured by",
    "host.name": "host",
    "worker": "name as a worker",
    "host.cpu": "processor",
    "host.cpus": "CPUs",
    "host.memory_mib": "memory (MiB)",
    "host.kernel": "kernel",
    "host.cgroup": "control groups",
    "engine": "container engine",
    "image": "image",
    "image_id": "image's ID",
    "image_digests": "image's digests",
    "model": "model",
    "model_checksum": "model's checksum (SHA-256)",
    "page_cache": "page cache",
    "client": "load client",
    "cpus.placement": "replicas and load client on CPUs",
    "cpus.replicas": "CPUs of the replicas",
    "cpus.client": "CPUs of the load client",
    "network_tools.netfilter": "packet filter",
    "network_tools.netem": "netem in the kernel",
    "network_tools.ifb": "ifb in the kernel",
    "network_tools.distribution": "netem's distribution of delays",
    "calibration.floor_ms": "least response time, without a model (ms)",
    "calibration.capacity_rps": "load client's capacity (requests/s)",
    "calibration.concurrency": "... at so many connections",
    "calibration.senders": "... from so many processes",
    "calibration.client_cpu_us": "load client's CPU time per request (µs)",
    "calibration.idle_power_w": "power of the idle host (W)",
}
"""What readers call the facts of `StudyRecord.environment`, in this order; others follow as they
are, so that nothing is left out."""

_NONE = {"image_digests": "none: made here, and of no registry"}
"""What an empty list means, where that is not "any"."""


def environment(sources: Sources) -> Section:
    """What the last run said of itself, and what the study asked for."""
    record = sources.record
    facts = tuple(_facts(record.environment))
    blocks: list[Block] = [
        Words(
            "As the study's last run said it."
            if facts
            else "No run has said anything about itself yet."
        ),
        Facts(facts),
        Facts(tuple(_done(record)), "What the trials say"),
        Facts(tuple(_asked(record.specification)), "What was asked for"),
        Log("Specification, as measured", _whole(record.specification)),
    ]
    return Section("environment", "Environment", tuple(blocks))


def host_in_a_line(record: StudyRecord) -> str:
    """The host in one line, for the summary."""
    host = record.environment.get("host", {})
    facts = (
        (host.get("name"), "{}"),
        (host.get("cpu"), "{}"),
        (host.get("cpus"), "{} CPUs"),
        (host.get("memory_mib"), "{} MiB of memory"),
        (host.get("kernel"), "kernel {}"),
        (record.environment.get("engine"), "container engine {}"),
    )
    return ", ".join(form.format(value) for value, form in facts if value) or "not known"


def _facts(nested: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    flat = dict(_flat(nested))
    for key in (*_NAMED, *(k for k in flat if k not in _NAMED)):
        if key in flat:
            yield _name(key), flat[key] or _NONE.get(key, "any")


def _name(key: str) -> str:
    if key.startswith("versions."):
        return f"version of {key.removeprefix('versions.')}"
    return _NAMED.get(key, key.replace(".", " ").replace("_", " "))


def _flat(nested: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each leaf with its dotted path. An estimate or a list is one leaf."""
    for key, value in nested.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and not value.keys() >= {"value", "low", "high"}:
            yield from _flat(value, f"{path}.")
        else:
            yield path, _text(value)


def _text(value: Any) -> str:  # noqa: ANN401 -- whatever a run has said
    match value:
        case None:
            return "not known"
        case bool():
            return "yes" if value else "no"
        case float():
            return figure(value)
        case Mapping():
            return interval(Estimate(value["value"], value["low"], value["high"]))
        case list() | tuple():
            return ", ".join(map(str, value))
    return str(value)


def _done(record: StudyRecord) -> Iterator[tuple[str, str]]:
    """How the trials were made: packet loss, counters, times and backends."""
    ways = dict.fromkeys(
        str(t.impairment["method"]) for t in record.trials if t.impairment.get("method")
    )
    yield "how packets were lost", ", ".join(ways) or "no trial lost any"
    sources = dict.fromkeys(t.measurement.source for t in record.trials if t.measurement)
    yield "containers' counters come from", ", ".join(filter(None, sources)) or "not known"
    started = sorted(t.started for t in record.trials)
    if started:
        yield "trials started", f"{started[0]} to {started[-1]}"
    hosts: dict[str, list[int]] = {}
    for trial in record.trials:
        if host := record.host_of(trial):
            hosts.setdefault(host, []).append(trial.number)
    if hosts:
        yield "hosts", "; ".join(f"{name}: {listed(n)}" for name, n in sorted(hosts.items()))
    made: dict[str, list[int]] = {}
    for trial in record.trials:
        made.setdefault(trial.backend, []).append(trial.number)
    if len(made) > 1:
        yield (
            "measured by",
            "; ".join(f"{name}: {listed(numbers)}" for name, numbers in made.items()),
        )


def _asked(specification: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the study's file asked for, shortly."""
    search, load = specification.get("search", {}), specification.get("load", {})
    if "seed" in specification:
        yield "seed", str(specification["seed"])
    if search:
        scenarios: Sequence[str] = search.get("scenarios", ())
        within = f", scenarios by {', '.join(scenarios)}" if scenarios else ""
        yield "sampler", f"{search.get('sampler')}, for the target {search.get('target')}{within}"
    if load:
        yield "load profile", _load(load)
    budget = specification.get("budget", {})
    limits = [f"{budget['trials']} trials"] if budget.get("trials") else []
    limits += [duration(budget["seconds"])] if budget.get("seconds") else []
    if limits:
        yield "budget", " or ".join(limits)


def _load(load: Mapping[str, Any]) -> str:
    return (
        f"{load['protocol']}, {load['arrivals']} loop, bursts of {load['min_seconds']:g} to"
        f" {load['max_seconds']:g} s with at least {load['min_requests']} requests, until ART is"
        f" known to {100 * load['precision']:g} %; warm-up of at most"
        f" {load['warmup_max_seconds']:g} s"
    )


def _whole(specification: Mapping[str, Any]) -> str:
    return yaml_text(_plain(specification))


def _plain(value: Any) -> Any:  # noqa: ANN401 -- any part of a specification
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items() if part is not None}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
