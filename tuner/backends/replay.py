"""A trial that is served from a recorded grid, and whether a study can be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuner.backends.replay_deployer import ReplayDeployer, ReplayDeployment
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.deploy.protocol import Deployer
from tuner.errors import Infeasible, InfeasibleKind, InputError
from tuner.measure.measurement import Finding, Measurement
from tuner.measure.score import score
from tuner.spec.fingerprint import to_dict
from tuner.spec.space import Configuration, as_text
from tuner.spec.study import StudySpec
from tuner.trial import Observe, TrialResult, deployment_spec

SAME = {
    "model": ("name", "signature"),
    "serving": ("image", "flags", "env", "page_cache"),
    "load": ("arrivals", "protocol", "timeout_seconds"),
}
"""What a study must have as the grid has it, since the measurements depend on it."""


def replay_trial(
    source: ReplayDeployer,
    study: StudySpec,
    configuration: Configuration,
    deployer: Deployer,
    label: str,
    observe: Observe,
) -> TrialResult:
    """What `tuner.trial.run_trial` would have found: one trial of `configuration` from `source`.

    Its phases are the recorded seconds: those of its burst, and what it takes to deploy it afresh
    unless `deployer` kept a deployment of `source` up for it. It has no burst samples.
    """
    table = source.table
    observe("replay")
    deploy_seconds = table.deployment_seconds(configuration)
    try:
        with deployer.deploy(deployment_spec(study, configuration), label) as deployment:
            assert isinstance(deployment, ReplayDeployment)
            if deployment.uses:
                deploy_seconds = 0.0
            deployment.uses += 1
            found, again = source.take(configuration)
            phases = {"deploy": deploy_seconds}
            if found.burst_seconds:  # it was deployed
                phases |= {"connect": 0.0, "burst": found.burst_seconds}
            facts = {**deployment.facts(), "trial": found.number, "pass": found.pass_number}
            if found.outcome == "infeasible":
                raise _infeasible(found, table)
    except Infeasible as reason:
        return TrialResult(phases, infeasible=reason, deployment=facts)
    measurement = measurement_of(found, table, again=again)
    return TrialResult(
        phases,
        measurement,
        None,
        score(measurement, study.objectives, study.constraints),
        deployment=facts,
    )


def measurement_of(found: RecordedTrial, table: ReplayTable, *, again: bool = False) -> Measurement:
    """What a recorded trial measured; of the doubts about it only how grave they were.

    One that is served `again` warns that it is no further measurement.
    """
    where = f"trial {found.number} of the recorded grid {table.study}"
    doubts = []
    if found.verdict != "VALID":
        doubts.append(Finding(found.verdict, f"{where} is {found.verdict}", "See the grid itself."))
    if again:
        what = f"{where} was served before: it says nothing new"
        doubts.append(Finding("WARN", what, "Record more passes of the grid."))
    return Measurement(
        metrics=found.metrics,
        findings=tuple(doubts),
        requests=found.requests,
        warmup_requests=found.warmup_requests,
        window_seconds=found.window_seconds,
        stop_reason=f"replayed: {where}, pass {found.pass_number}",
        errors={},
        source="replay",
    )


def _infeasible(found: RecordedTrial, table: ReplayTable) -> Infeasible:
    kind: InfeasibleKind = "never ready" if found.reason == "never ready" else "out of memory"
    return Infeasible(kind, f"so it was in trial {found.number} of the recorded grid {table.study}")


@dataclass(frozen=True)
class Misfit:
    """What a recorded grid does not have, and the mend."""

    problem: str
    mend: str


def refuse_unfit(study: StudySpec, table: ReplayTable, name: str) -> None:
    """Raise InputError where `table`, called `name`, does not have what `study` would measure.

    The message names the parameter and value, or the key of the study, and the mend.
    """
    for checked in (_settings, _space, _metrics):
        for misfit in checked(study, table):
            raise InputError(
                f"study {study.name!r} cannot be replayed from {name}: {misfit.problem}",
                misfit.mend,
            )


def _settings(study: StudySpec, table: ReplayTable) -> Iterator[Misfit]:
    asked = to_dict(study)
    for section, keys in SAME.items():
        recorded: Mapping[str, Any] = table.specification[section]
        for key in keys:
            # A key that the grid's version did not know yet had the default.
            if key in recorded and recorded[key] != asked[section][key]:
                yield Misfit(
                    f"{section}.{key} is {asked[section][key]!r}, and the grid was recorded with"
                    f" {recorded[key]!r}",
                    f"give the study the {section}.{key} of the grid, or replay another grid",
                )


def _space(study: StudySpec, table: ReplayTable) -> Iterator[Misfit]:
    """What of the search space lies outside the grid."""
    space, grid = study.search_space, table.by_configuration
    names, known = [p.name for p in space], [p.name for p in table.search_space]
    for name in known:
        if name not in names:
            yield Misfit(
                f"the grid has the parameter {name!r}, and the search space does not",
                f"add it with values of the grid: {_listed(name, grid)}",
            )
    for parameter in space:
        if parameter.name not in known:
            yield Misfit(
                f"the search space has the parameter {parameter.name!r}, and the grid does not",
                f"leave it out; the grid has {', '.join(known)}",
            )
        recorded = {c.get(parameter.name) for c in grid}
        mend = f"give {parameter.name} values of the grid only: {_listed(parameter.name, grid)}"
        values = parameter.values()
        if values is None:
            yield Misfit(f"the parameter {parameter.name!r} is continuous", mend)
        for value in values or ():
            if value not in recorded:
                yield Misfit(
                    f"the parameter {parameter.name!r} may be {value}, which was not recorded", mend
                )
    missing = [c for c in space.grid() if c not in grid]
    if missing:
        yield Misfit(
            f"{len(missing)} of its {space.size()} configurations were not recorded, such as"
            f" {missing[0]}",
            "finish the grid (`tune run --sampler grid` goes on where it stopped), or narrow the"
            " search space",
        )


def _listed(name: str, grid: Iterable[Configuration]) -> str:
    """The recorded values of a parameter, numbers ascending."""
    values = list(dict.fromkeys(c[name] for c in grid if name in c))
    numbers = [v for v in values if not isinstance(v, str)]
    return ", ".join(map(as_text, sorted(numbers) if len(numbers) == len(values) else values))


def _metrics(study: StudySpec, table: ReplayTable) -> Iterator[Misfit]:
    asked = [*(o.metric for o in study.objectives), *(c.metric for c in study.constraints)]
    measured = [
        trial
        for configuration in study.search_space.grid()
        for trial in table.by_configuration[configuration]
        if trial.outcome == "measured"
    ]
    for metric in dict.fromkeys(asked):
        having = sum(metric in trial.metrics for trial in measured)
        if having < len(measured):
            yield Misfit(
                f"{metric} is recorded in {having} of {len(measured)} trials",
                "ask for a metric that all of them have, such as art_ms or cpu_percent",
            )
