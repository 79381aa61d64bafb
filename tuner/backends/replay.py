"""A recorded grid in the place of a host: what was measured once is served again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.backends.backend import NO_OPTIONS, Backend, BackendOptions
from tuner.backends.replay_file import read_table
from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.deploy.reuse import reuse_facts
from tuner.errors import Infeasible, InfeasibleKind, InputError
from tuner.measure.measurement import Finding, Measurement
from tuner.measure.score import score
from tuner.spec.fingerprint import to_dict
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration, as_text
from tuner.spec.study import DeploymentSpec, StudySpec
from tuner.trial import TrialRequest, TrialResult, deployment_spec

SAME = {
    "model": ("name", "signature"),
    "serving": ("image", "flags", "env", "page_cache"),
    "load": ("arrivals", "protocol", "timeout_seconds"),
}
"""What a study must have as the grid has it, since the measurements depend on it."""


def replay_backend(study: StudySpec, options: BackendOptions = NO_OPTIONS, /) -> ReplayBackend:
    """The recorded grid in the file `options.recorded`; everything it makes says `replay`.

    Raises InputError where no file is named, where the grid does not have what the study would
    measure, or where it is not the one that the study was served from so far.
    """
    path, so_far = options.recorded, options.so_far
    if path is None:
        raise InputError(
            "backend replay needs a recorded grid", "tune run --backend replay --replay FILE"
        )
    table = read_table(path)
    refuse_unfit(study, table, path.name)
    served = () if so_far is None else (t.configuration for t in so_far.trials)
    backend = ReplayBackend(study, table, served)
    if so_far is not None and so_far.trials:
        before, now = (e.get("replayed") for e in (so_far.environment, backend.environment()))
        if before != now:
            raise InputError(
                f"study {study.name!r} was begun with another recorded grid than {path.name}:"
                f" {before}, not {now}",
                "go on with that one, or give another --storage",
            )
    return backend


class ReplayBackend(Backend):
    """Measures nothing, and hands out the trials of a recorded grid.

    `served` are the configurations that a study was served before, in any order, so that one which
    is resumed goes on where it was.
    """

    name = "replay"

    def __init__(
        self, study: StudySpec, table: ReplayTable, served: Iterable[Configuration] = ()
    ) -> None:
        self.study = study
        self._table = table
        self._served = Counter(served)
        self._standing: tuple[DeploymentSpec, str] | None = None
        """What would be up now, and the label of the trial that it was brought up for."""

    def environment(self) -> Mapping[str, Any]:
        """That of the host on which the grid was recorded, and which grid that is."""
        return {
            **self._table.environment,
            "backend": "replay",
            "replayed": {
                "study": self._table.study,
                "backend": self._table.environment.get("backend", ""),
                "recorded": list(self._table.recorded or ()),
                "trials": len(self._table.trials),
                "passes": len(self._table.passes),
            },
        }

    def run_trial(self, request: TrialRequest) -> TrialResult:
        """One recorded trial of the configuration, without the samples of its burst.

        Its phases are the recorded seconds: those of its burst, and what it takes to deploy it
        afresh unless the deployment of the last trial is reused.
        """
        request.observe("replay")
        configuration = request.configuration
        reuse = self._reuse(request)
        recorded, again = self._take(configuration)
        phases = {
            "deploy": 0.0 if reuse.get("stayed") else self._table.deployment_seconds(configuration)
        }
        if recorded.burst_seconds:  # it was deployed
            phases |= {"connect": 0.0, "burst": recorded.burst_seconds}
        facts = {
            "backend": "replay",
            "replicas": int(configuration["replicas"]),
            "trial": recorded.number,
            "pass": recorded.pass_number,
            **reuse,
        }
        if recorded.outcome == "infeasible":
            self._standing = None
            reason = _infeasible(recorded, self._table)
            return TrialResult(phases, infeasible=reason, deployment=facts)
        measurement = measurement_of(recorded, self._table, again=again).with_reserved(
            configuration, self.study.prices
        )
        objectives, constraints = self.study.objectives, self.study.constraints
        return TrialResult(
            phases,
            measurement,
            score=score(measurement, objectives, constraints),
            deployment=facts,
        )

    def _reuse(self, request: TrialRequest) -> dict[str, Any]:
        """Facts about the trial's deployment, which stands from now on; none without reuse."""
        if not self.study.search.stay:
            return {}
        deployment = deployment_spec(self.study, request.configuration)
        standing, since = self._standing or (None, "")
        stayed = standing == deployment and not request.fresh
        if not stayed:
            since = request.label
        self._standing = deployment, since
        return reuse_facts(stayed=stayed, since=since, peak_since=request.label)

    def _take(self, configuration: Configuration) -> tuple[RecordedTrial, bool]:
        """One recorded trial of `configuration`, and whether it was served before.

        Another one each time while there are some. The order in which they come depends on the
        study's seed and the configuration and on nothing else. Raises InputError where the grid has
        none.
        """
        recorded = self._table.by_configuration.get(configuration)
        if recorded is None:
            raise InputError(
                f"the recorded grid has no trial of {configuration}",
                "replay a study whose search space lies inside the grid",
            )
        # Sorted, so that the order of the parameters makes no difference.
        key = json.dumps(sorted(configuration.items()), default=str)
        digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
        order = np.random.default_rng([self.study.seed, digest]).permutation(len(recorded))
        times = self._served[configuration]
        self._served[configuration] += 1
        return recorded[int(order[times % len(recorded)])], times >= len(recorded)


def measurement_of(
    recorded: RecordedTrial, table: ReplayTable, *, again: bool = False
) -> Measurement:
    """What a recorded trial measured; of the doubts about it only how grave they were.

    One that is served `again` warns that it is no further measurement.
    """
    where = f"trial {recorded.number} of the recorded grid {table.study}"
    doubts = []
    if recorded.verdict != "VALID":
        doubts.append(
            Finding(recorded.verdict, f"{where} is {recorded.verdict}", "See the grid itself.")
        )
    if again:
        doubt = f"{where} was served before: it says nothing new"
        doubts.append(Finding("WARN", doubt, "Record more passes of the grid."))
    return Measurement(
        metrics=recorded.metrics,
        findings=tuple(doubts),
        requests=recorded.requests,
        warmup_requests=recorded.warmup_requests,
        window_seconds=recorded.window_seconds,
        stop_reason=f"replayed: {where}, pass {recorded.pass_number}",
        errors={},
        source="replay",
        loss=recorded.loss,
    )


def _infeasible(recorded: RecordedTrial, table: ReplayTable) -> Infeasible:
    kind: InfeasibleKind = "never ready" if recorded.reason == "never ready" else "out of memory"
    return Infeasible(
        kind, f"so it was in trial {recorded.number} of the recorded grid {table.study}"
    )


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
    wanted = to_dict(study)
    for section, keys in SAME.items():
        recorded: Mapping[str, Any] = table.specification[section]
        for key in keys:
            # A key that the grid's version did not know yet had the default.
            if key in recorded and recorded[key] != wanted[section][key]:
                yield Misfit(
                    f"{section}.{key} is {wanted[section][key]!r}, and the grid was recorded with"
                    f" {recorded[key]!r}",
                    f"give the study the {section}.{key} of the grid, or replay another grid",
                )


def _space(study: StudySpec, table: ReplayTable) -> Iterator[Misfit]:
    """What of the search space lies outside the grid."""
    space, grid = study.search_space, table.by_configuration
    names, recorded_names = [p.name for p in space], [p.name for p in table.search_space]
    for name in recorded_names:
        if name not in names:
            yield Misfit(
                f"the grid has the parameter {name!r}, and the search space does not",
                f"add it with values of the grid: {_listed(name, grid)}",
            )
    for parameter in space:
        if parameter.name not in recorded_names:
            yield Misfit(
                f"the search space has the parameter {parameter.name!r}, and the grid does not",
                f"leave it out; the grid has {', '.join(recorded_names)}",
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
    metrics = [*(o.metric for o in study.objectives), *(c.metric for c in study.constraints)]
    measured = [
        trial
        for configuration in study.search_space.grid()
        for trial in table.by_configuration[configuration]
        if trial.outcome == "measured"
    ]
    for metric in dict.fromkeys(metrics):
        if metric in RESERVED:
            continue
        having = sum(metric in trial.metrics for trial in measured)
        if having < len(measured):
            yield Misfit(
                f"{metric} is recorded in {having} of {len(measured)} trials",
                "ask for a metric that all of them have, such as art_ms or cpu_percent",
            )
