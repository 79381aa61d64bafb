"""One sub-page for each configuration that is on a front."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from tuner.load.parquet import Recording
from tuner.measure.record import TrialRecord
from tuner.pages import trial_burst, trial_facts, trial_latency, trial_tables
from tuner.pages.blocks import Block, Section, Words
from tuner.pages.sources import Sources
from tuner.pages.trial_burst import over_time
from tuner.results.burst_latency import Latency, latency_of
from tuner.results.on_fronts import OnFronts, on_fronts
from tuner.results.replicas import parts


def trial_pages(sources: Sources) -> tuple[Section, ...]:
    """Of the overall front and of every scenario's; each shows the burst nearest to what all
    bursts of its configuration say together, and is named `trial-` and that one's number.
    """

    @cache
    def latency_by(number: int) -> Latency | None:
        """A reference is the same on many pages."""
        trial = sources.record.trial(number)
        return None if trial is None else _latency(sources.study.recording(trial))

    pages = []
    for of in on_fronts(sources.record, sources.summary):
        trial = of.pooled.representative
        other = None if of.reference is None else of.reference.representative
        behind = None if other is None else latency_by(other.number)
        title = (
            f"Trial {trial.number}: {trial_facts.described(sources.record, trial.configuration)}"
        )
        blocks = tuple(_blocks(sources, of, trial, other, behind))
        pages.append(Section(f"trial-{trial.number}", title, blocks))
    return tuple(pages)


def _latency(recording: Recording | None) -> Latency | None:
    latency = None if recording is None else latency_of(recording)
    return latency if latency is not None and latency.count else None


def _blocks(
    sources: Sources,
    of: OnFronts,
    trial: TrialRecord,
    other: TrialRecord | None,
    behind: Latency | None,
) -> Iterator[Block]:
    record, measured = sources.record, trial.measurement
    recording = sources.study.recording(trial)
    name = trial_facts.reference_burst(of)
    yield trial_facts.headline(sources, of)
    yield trial_facts.facts(sources, of)
    yield from trial_facts.warnings(record, trial)
    if own := _latency(recording):
        yield trial_latency.latency(trial.number, own, behind, name)
    else:
        yield Words("No samples are kept of this burst, so its requests cannot be drawn.")
    if measured is not None:
        against = None if other is None else other.measurement
        if figure := trial_latency.percentiles(trial.number, measured, against, name):
            yield figure
    if recording is not None and (times := over_time(recording)) is not None:
        yield trial_burst.over_time_figure(trial.number, times)
    if measured is not None:
        of_replicas = parts(measured, recording)
        if len(of_replicas) > 1:
            yield trial_burst.replicas(trial.number, of_replicas)
        yield trial_tables.metrics(record, trial, measured)
    yield from trial_tables.network(trial.impairment)
    yield from trial_tables.deployment(trial, measured)
    yield from trial_facts.proposal(record, trial)
    yield from trial_tables.log(trial)
