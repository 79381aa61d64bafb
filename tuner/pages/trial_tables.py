"""The tables of a trial's page: what was measured and counted, on what, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tuner.measure.measurement import Estimate, Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Log, Table, Words
from tuner.results.replicas import Part
from tuner.results.wording import figure as number
from tuner.results.wording import interval_ends
from tuner.spec.metrics import METRICS, title

_REPLICA_METRICS = (
    *("throughput_rps", "art_ms", "cpu_cores", "throttled_percent", "memory_peak_mib"),
    *("memory_pressure_percent", "retransmitted_percent"),
)


def metrics(study: StudyRecord, trial: TrialRecord, measured: Measurement) -> Table:
    """Everything that was measured; an objective's interval also holds what differs between
    bursts.
    """
    return metric_table(
        measured, {o.metric: study.estimate(trial, o.metric) for o in study.objectives}
    )


def metric_table(
    measured: Measurement, wider: Mapping[str, Estimate | None] | None = None
) -> Table:
    """All metrics of a burst. The intervals in `wider` replace those of the burst."""
    rows = []
    for name, metric in METRICS.items():
        estimate = (wider or {}).get(name) or measured.metrics.get(name)
        if estimate is not None:
            cells = metric.label, number(estimate.value), interval_ends(estimate), metric.unit
            rows.append((*cells, metric.description, name))
    source = f", counters from {measured.source}" if measured.source else ""
    return Table(
        ("metric", "value", "95 % interval", "unit", "meaning", "name"),
        tuple(rows),
        f"All metrics of this burst{source}",
        priorities=(0, 0, 0, 0, 1, 2),
    )


def replica_table(of: Sequence[Part]) -> Table:
    """A row per replica with what it has of its own."""
    names = [n for n in _REPLICA_METRICS if any(n in part.metrics for part in of)]
    columns = ("replica", "requests", "errors", "share of requests", "share of CPU time")
    return Table(
        (*columns, *map(title, names)),
        tuple(
            (
                str(part.replica),
                "-" if part.requests is None else f"{part.requests:,}",
                "-" if part.errors is None else f"{part.errors:,}",
                *(_share(s) for s in (part.request_share, part.cpu_share)),
                *(number(part.metrics[n]) if n in part.metrics else "-" for n in names),
            )
            for part in of
        ),
        "Each replica by itself",
    )


def _share(of: float | None) -> str:
    return "-" if of is None else f"{100 * of:.1f} %"


def network(impairment: Mapping[str, Any]) -> Iterator[Block]:
    """What was done to the network, and the counters that prove it."""
    rules: Sequence[Mapping[str, Any]] = impairment.get("rules", ())
    rest = {name: fact for name, fact in impairment.items() if name != "rules"}
    if rest and not rules and not any(rest.get("asked", {}).values()):
        yield Words("The network was left as it is: no loss, delay or limit was asked for.")
    elif rest:
        yield _fact_table("Network", rest)
    if rules:
        yield Table(
            ("replica", "direction", "asked", "packets", "dropped", "share"),
            tuple(
                (
                    *(str(rule.get(name, "-")) for name in ("replica", "direction")),
                    "-" if (asked := rule.get("asked_percent")) is None else f"{number(asked)} %",
                    *(f"{int(rule[name]):,}" for name in ("packets", "dropped")),
                    f"{100 * rule['dropped'] / rule['packets']:.2f} %" if rule["packets"] else "-",
                )
                for rule in rules
            ),
            "Packets that the rules saw and dropped",
        )


def deployment(trial: TrialRecord, measured: Measurement | None) -> Iterator[Block]:
    """How it was deployed, from where requests came, and where the trial's time went."""
    client = {} if measured is None else {"load engine": measured.client}
    of = {**trial.deployment, **client}
    if of:
        yield _fact_table("Deployment", of)
    yield phase_table(trial.phases, "Where the trial's time went")


def phase_table(seconds: Mapping[str, float], caption: str) -> Table:
    """Each phase, and all of them together."""
    whole = sum(seconds.values())
    rows = [
        (name, f"{s:.2f}", f"{100 * s / whole:.0f} %" if whole else "-")
        for name, s in seconds.items()
    ]
    return Table(
        ("phase", "seconds", "share"), (*rows, ("together", f"{whole:.2f}", "100 %")), caption
    )


def log(trial: TrialRecord) -> Iterator[Block]:
    """Where one was kept."""
    if trial.log_tail.strip():
        yield Log("The end of the containers' log", trial.log_tail)


def _fact_table(caption: str, of: Mapping[str, Any]) -> Table:
    return Table(("fact", "value"), tuple(_flat(of)), caption)


def _flat(of: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    """Facts within facts as `outer: inner`; what is empty is left out."""
    for name, fact in of.items():
        key = f"{within}{name}".replace("_", " ")
        if isinstance(fact, Mapping):
            yield from _flat(fact, f"{key}: ")
        elif isinstance(fact, list | tuple) and any(isinstance(f, Mapping) for f in fact):
            yield from _flat({f"{name} {i}": f for i, f in enumerate(fact)}, within)
        elif isinstance(fact, list | tuple):
            if fact:
                yield key, ", ".join(map(_plain, fact))
        elif fact is not None and fact != "":
            yield key, _plain(fact)


def _plain(fact: object) -> str:
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return f"{fact:g}" if isinstance(fact, float) else str(fact)
