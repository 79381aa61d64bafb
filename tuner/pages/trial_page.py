"""One trial in full: the answer of `tune show N`."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.record import FailedTrial, StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Facts, Table, Words
from tuner.pages.trial_facts import burst_facts, proposal, warnings
from tuner.pages.trial_tables import deployment, log, metrics, network, replica_table
from tuner.results.in_words import not_measured
from tuner.results.replicas import parts
from tuner.results.told import host_told, loss_told
from tuner.results.wording import plain


def trial_blocks(study: StudyRecord, trial: TrialRecord) -> Iterator[Block]:
    """Everything that the record of one trial says."""
    for notice in not_measured(study):
        yield Words(notice, "doubt")
    yield Words(
        f"Trial {trial.number} of study {study.name}, started {trial.started},"
        f" {trial.outcome} ({trial.backend})",
        "lead",
    )
    yield _configuration(study, trial)
    measured = trial.measurement
    if measured is None:
        yield Words(f"Infeasible, {trial.reason}: {trial.detail}", "lead")
    else:
        yield metrics(study, trial, measured)
        if len(measured.replicas) > 1:
            yield replica_table(parts(measured, None))
        yield Facts((*host_told(trial), *loss_told(trial), *burst_facts(measured)))
    yield from warnings(study, trial)
    yield from proposal(study, trial)
    yield from network(trial.impairment)
    yield from deployment(trial, measured)
    if trial.grid_pass is not None:
        yield Words(f"It is part of pass {trial.grid_pass} through the full grid.")
    if trial.samples:
        yield Words(f"Its requests are kept in {trial.samples}, in the study's results directory.")
    yield from log(trial)


def failed_trial_blocks(study: StudyRecord, trial: FailedTrial) -> Iterator[Block]:
    """A trial that says nothing about its configuration, with its record where it has one."""
    yield Words(f"Trial {trial.number} of study {study.name} failed: {trial.reason}", "lead")
    yield Facts((("configuration", str(trial.configuration)),))
    if trial.record is not None:
        yield from trial_blocks(study, trial.record)


def _configuration(study: StudyRecord, trial: TrialRecord) -> Table:
    space = study.search_space
    rows = (
        (name, f"{plain(value)} {space[name].unit}".strip(), space[name].role)
        for name, value in trial.configuration.items()
    )
    return Table(("parameter", "value", "role"), tuple(rows))
