"""The record of a finished trial, and of a study: the only shape in which results are kept.

A trial's record is one JSON document in its user attributes (key `ATTRIBUTE`). Whatever else is
said of a finished trial (to a sampler, a dashboard, a report) is computed from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Annotated, Any, Literal

import numpy as np

from tuner.measure.drift import Baseline, Drift, drifts
from tuner.measure.facts import (
    DeploymentFacts,
    EnvironmentFacts,
    ImpairmentFacts,
    ProposalFacts,
    WarmFacts,
)
from tuner.measure.host_effects import HostEffects, host_effects, is_scaled, without
from tuner.measure.kept import kept
from tuner.measure.link import link_of
from tuner.measure.measurement import Count, Estimate, Finding, Measurement, Seconds, Sized
from tuner.measure.repeatability import Repeatability, RepeatedBursts, widened
from tuner.measure.stated import Composed, StatedBurst, stated_bursts
from tuner.measure.statistics import checkpoint
from tuner.measure.stopping import CAPPED
from tuner.measure.trial_faults import trial_faults
from tuner.spec.fingerprint import in_todays_words, study_of
from tuner.spec.problems import KeyPath, short_text
from tuner.spec.reservation import RESERVED
from tuner.spec.space import Configuration, SearchSpace
from tuner.spec.study import AnswerSpec, Constraint, LoadSpec, Objective, Prices, SearchSpec
from tuner.spec.typed import WrongTypeError, holding, mapping_at, typed

# History of the format: 1 (first); 2 adds `attempts` and `discarded`, the outcome `invalid`, and to
# the measurement what replicas, load engine and host say by themselves; 3 adds `cut_short`,
# `grid_pass`, `same_as` and `why`; 4 adds `environment`; 5 adds `loss` to the measurement; 6 adds
# `host_kind`. What an earlier format lacks is read as the default of its field.
FORMAT = 6
READABLE = (1, 2, 3, 4, 5, 6)

ATTRIBUTE = "record"

Outcome = Literal["measured", "infeasible", "invalid"]


@dataclass(frozen=True)
class TrialRecord:
    """One configuration, deployed and measured, or found unable to serve.

    `outcome` is `invalid` for a trial that was told as failed because it could not be trusted,
    twice. `attempts` says how often it was measured, `discarded` why the first time did not count.

    `values` are the objectives in the study's order, in the metrics' units. For an infeasible
    trial they are `imputed`: finite stand-ins that tell a sampler "bad", never measurements.
    `violations` maps each constraint's text to how far it is broken (zero or less: it holds).
    `phases` are seconds by name, in order; `samples` is the Parquet file's name, if there is one.

    `cut_short` says why the burst was ended before its measurement was precise, empty where it was
    not: what is surely dominated or breaks a constraint needs no more. `grid_pass` counts the
    passes of a full grid from 0. `same_as` is the trial of the same deployment whose end this one
    shares, untried, because that had nothing to do with the scenario. `why` is what the sampler
    said of its proposal. `environment` is the key in `StudyRecord.environments` of the environment
    of its run, `host_kind` the CPU model and the number of CPUs of its host; both are empty in
    records of an earlier format.

    `stated` is set where packets were lost and the trial is read as part of its study, and
    `host_effects` where it was measured on another kind of host than the study is stated for. Then
    `values`, `violations` and metrics are as `stated_trials` states them, and `burst_alone` is the
    trial as its burst measured it. None of these is stored.
    """

    number: Count
    configuration: Configuration
    outcome: Outcome
    values: tuple[Sized, ...]
    violations: Mapping[str, Sized]
    phases: Mapping[str, Seconds]
    started: str
    measurement: Measurement | None = None
    reason: str = ""
    detail: str = ""
    log_tail: str = ""
    deployment: Annotated[Mapping[str, Any], holding(DeploymentFacts)] = field(default_factory=dict)
    impairment: Annotated[Mapping[str, Any], holding(ImpairmentFacts)] = field(default_factory=dict)
    samples: str | None = None
    backend: str = "docker"
    imputed: bool = False
    attempts: Count = 1
    discarded: tuple[Finding, ...] = ()
    cut_short: str = ""
    grid_pass: int | None = None
    same_as: int | None = None
    why: Annotated[Mapping[str, Any], holding(ProposalFacts)] = field(default_factory=dict)
    environment: str = ""
    host_kind: str = ""
    stated: StatedBurst | None = None
    host_effects: HostEffects = field(default_factory=dict)
    burst_alone: TrialRecord | None = None

    @property
    def feasible(self) -> bool:
        return self.outcome == "measured" and all(v <= 0 for v in self.violations.values())

    @property
    def eligible(self) -> bool:
        """Whether it may be on a front: feasible, and measured to the end."""
        return self.feasible and not self.cut_short

    @property
    def stayed(self) -> bool:
        """Whether it was measured on the deployment of an earlier trial."""
        return bool(self.deployment.get("stayed"))

    @property
    def deploy_seconds(self) -> float:
        """Bringing its deployment up and taking one down; 0 where it stayed.

        A deployment that may stay is taken down as the next one is brought up.
        """
        if self.stayed or self.same_as is not None:
            return 0.0
        own = ("deploy",) if "stayed" in self.deployment else ("deploy", "tear down")
        return sum(self.phases.get(phase, 0.0) for phase in own)

    @property
    def burst_seconds(self) -> float:
        """What the trial would take again on a deployment that is up, a first attempt left out."""
        last = sum(s for name, s in self.phases.items() if name != "first attempt")
        return max(0.0, last - self.deploy_seconds)

    @property
    def came_up(self) -> bool:
        """Whether its deployment came up; if not, load and network had no part in its end."""
        return "connect" in self.phases

    @property
    def working_set_mib(self) -> float | None:
        """The most memory that a replica used in this trial; None where that is unknown."""
        peak = self.metric("memory_peak_mib")
        since = self.deployment.get("memory_peak_since")
        # Where the kernel cannot count it anew, the peak may be that of an earlier trial.
        if peak is None or (self.stayed and since != f"{self.number:04d}"):
            return None
        return peak.value / int(self.configuration.get("replicas", 1))

    @property
    def seconds(self) -> float:
        """Wall time of the whole trial."""
        return sum(self.phases.values())

    def with_reserved(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        prices: Prices | None,
    ) -> TrialRecord:
        """The same with what its configuration reserves, at these prices.

        Values and violations that are about it follow.
        """
        key = (objectives, constraints, prices)
        return kept(self, "reserved", key, partial(self._with_reserved, *key))

    def _with_reserved(
        self,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        prices: Prices | None,
    ) -> TrialRecord:
        if self.measurement is None:
            return self
        measurement = self.measurement.with_reserved(self.configuration, prices)
        exact = {n: measurement.metrics[n].value for n in RESERVED if n in measurement.metrics}
        values = list(self.values)
        for index, objective in enumerate(objectives):
            if objective.metric in exact:
                values[index] = exact[objective.metric]
        violations = {
            str(c): c.violation(exact[c.metric]) for c in constraints if c.metric in exact
        }
        return dataclasses.replace(
            self,
            measurement=measurement,
            values=tuple(values),
            violations={**self.violations, **violations},
        )

    def metric(self, name: str) -> Estimate | None:
        return self.measurement.metrics.get(name) if self.measurement else None

    @property
    def as_measured(self) -> TrialRecord:
        """What its burst says alone."""
        return self.burst_alone or self

    def composed(self, metric: str) -> Composed | None:
        """The metric's parts; None where the burst's own value counts."""
        return self.stated.composed.get(metric) if self.stated else None

    def own_estimate(self, metric: str) -> Estimate | None:
        """The part of a metric in which bursts of one configuration differ: not the network's."""
        composed = self.composed(metric)
        return composed.own if composed else self.metric(metric)

    def compared_error(self, metric: str) -> float | None:
        """The standard error of a metric where configurations are compared in one scenario: without
        what all of them share. On the scale of its link; None where it is not known.
        """
        if composed := self.composed(metric):
            return composed.compared_error
        estimate = self.metric(metric)
        return link_of(metric).standard_error(estimate) if estimate else None

    def host_error(self, metric: str) -> float:
        """The standard error that all trials of its kind of host share, as a share of the value: of
        what the kind adds. 0 for the kind of host that the study is stated for.
        """
        effect, composed = self.host_effects.get(metric), self.composed(metric)
        if effect is None or not (composed or is_scaled(self.configuration, metric)):
            return 0.0
        return effect.error * (composed.share if composed else 1.0)

    def to_json(self) -> dict[str, Any]:
        """What was measured, as plain data."""
        document = dataclasses.asdict(self.as_measured)
        for name in _NOT_STORED:
            del document[name]
        document["format"] = FORMAT
        document["configuration"] = dict(self.configuration)
        return document

    @classmethod
    def from_json(cls, document: object, at: KeyPath = ()) -> TrialRecord:
        """The inverse of `to_json`; `at` is where it stands in its file.

        Raises WrongTypeError for a format or a document that it cannot read.
        """
        held = mapping_at(document, at)
        if held.get("format") not in READABLE:
            text = f"trial record of format {short_text(held.get('format'))}, expected {FORMAT}"
            raise WrongTypeError((*at, "format"), text)
        return typed(cls, {k: v for k, v in held.items() if k not in _NOT_STORED}, at)


_NOT_STORED = frozenset({"stated", "host_effects", "burst_alone"})


def checked_trials(
    specification: Mapping[str, Any], trials: Sequence[TrialRecord]
) -> Sequence[TrialRecord]:
    """Trials that were read. Raises WrongTypeError where they are not all of one study."""
    for fault in trial_faults(study_of(specification), trials):
        raise WrongTypeError(fault.key, fault.text)
    return trials


def stated_trials(
    trials: Sequence[TrialRecord], metrics: Sequence[str], on: str = ""
) -> tuple[TrialRecord, ...]:
    """The trials as their study states them; `metrics` are the objectives', in its order.

    Those of other kinds of hosts are stated as on the kind `on`, by default that of the first
    measured trial (`tuner.measure.host_effects`). Those with packet loss get composed metrics
    (`tuner.measure.stated`). Values and violations follow. What was stated before is stated anew.
    `trials` are in the order of their numbers.
    """
    measured = _as_on_one_host([trial.as_measured for trial in trials], on)
    bursts = {t.number: (t.configuration, t.measurement) for t in measured if t.measurement}
    early = sum(t.measurement is not None for t in measured[: checkpoint(len(measured))])
    stated = dict(zip(bursts, stated_bursts(tuple(bursts.values()), early), strict=True))
    asked = tuple(metrics)
    return tuple(
        kept(trial, "stated", (burst, asked), partial(_stated, trial, burst, asked))
        for trial in measured
        for burst in (stated.get(trial.number),)
    )


def _as_on_one_host(trials: Sequence[TrialRecord], on: str) -> Sequence[TrialRecord]:
    """The trials as on hosts of the kind `on`.

    Effects are those of the first trials, as in `stated_bursts`, but for kinds of which these say
    nothing. A trial that does not tell its kind is taken to be of the first.
    """
    first = next((t.host_kind for t in trials if t.measurement and t.host_kind), "")
    bursts = [(t.configuration, t.host_kind or first, t.measurement) for t in trials]
    measured = [(c, kind, m) for c, kind, m in bursts if m is not None]
    kinds = {kind for _, kind, _ in measured}
    on = on or first
    if not first or kinds <= {on}:
        return trials
    early = sum(t.measurement is not None for t in trials[: checkpoint(len(trials))])
    effects = dict(host_effects(measured[:early], on))
    if unknown := kinds - {on} - {k for k, e in effects.items() if _known(e)}:
        of_all = host_effects(measured, on)
        effects |= {kind: of_all[kind] for kind in unknown}
    return [
        kept(trial, "as on one host", e, partial(_as_without, trial, e))
        if m is not None and (e := effects.get(kind))
        else trial
        for trial, (_, kind, m) in zip(trials, bursts, strict=True)
    ]


def _known(effects: HostEffects) -> bool:
    return any(effect.configurations for effect in effects.values())


def _as_without(trial: TrialRecord, effects: HostEffects) -> TrialRecord:
    assert trial.measurement is not None
    measurement = without(trial.configuration, trial.measurement, effects)
    return replace(trial, measurement=measurement, host_effects=effects, burst_alone=trial)


def _stated(trial: TrialRecord, stated: StatedBurst | None, metrics: Sequence[str]) -> TrialRecord:
    """Its values and violations follow from what is stated of its metrics."""
    alone = trial.as_measured
    if trial.measurement is None or alone.measurement is None:
        return trial
    if stated is None and trial is alone:
        return trial
    own, measured = trial.measurement.metrics, alone.measurement.metrics
    composed = {} if stated is None else stated.composed
    metrics_now = {**own, **{n: c.total for n, c in composed.items() if n in own}}
    changed = {n for n, e in metrics_now.items() if e.value != measured[n].value}
    violations = dict(trial.violations)
    for text in violations:
        metric, *rest = text.split()
        if metric in changed:
            change = metrics_now[metric].value - measured[metric].value
            violations[text] += change if rest[0] == "<=" else -change
    findings = trial.measurement.findings
    art = composed.get("art_ms")
    if art is not None and art.own_error <= art.network_error:
        # A longer window would have told little: what it left open is the network's part.
        findings = tuple(f for f in findings if CAPPED not in f.what)
    return replace(
        trial,
        values=tuple(
            metrics_now[name].value if name in changed else value
            for name, value in zip(metrics, trial.values, strict=True)
        ),
        violations=violations,
        measurement=replace(trial.measurement, metrics=metrics_now, findings=findings),
        stated=stated,
        burst_alone=alone,
    )


@dataclass(frozen=True)
class FailedTrial:
    """A trial that says nothing about its configuration, and why.

    `record` is what was measured where that was done and could not be trusted.
    """

    number: int
    configuration: Configuration
    reason: str
    record: TrialRecord | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "configuration": dict(self.configuration),
            "reason": self.reason,
            "record": self.record and self.record.to_json(),
        }

    @classmethod
    def from_json(cls, document: object, at: KeyPath = ()) -> FailedTrial:
        """The inverse of `to_json`. Raises WrongTypeError for a record that it cannot read."""
        held = mapping_at(document, at)
        read = typed(cls, {**held, "record": None}, at)
        record = held.get("record")
        if record is None:
            return read
        return replace(read, record=TrialRecord.from_json(record, (*at, "record")))


@dataclass(frozen=True)
class StudyRecord:
    """A study's finished trials, in order, and what is needed to read them.

    `environment` is that of the last run (host, engine, image, model checksum, versions,
    calibration of the load engine), `environments` has those of all runs by a key that their trials
    name. `serving` is the canonical serving section: image, flags, env.
    `precision` is what ART was asked to be known to, as a share of it. `specification` is the whole
    of it (`tuner.spec.fingerprint.to_dict`): load, budget, search and seed too. `warm_start` is
    what the study began with (`tuner.model.warm`), and from which one; empty where it did not.
    `trials` are as `stated_trials` states them, on hosts of the kind `stated_on`; where that is
    empty, of the kind of the first trial.
    """

    name: str
    model: str
    search_space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    serving: Mapping[str, Any]
    environment: Mapping[str, Any]
    trials: tuple[TrialRecord, ...]
    failed: tuple[FailedTrial, ...] = ()
    precision: float = LoadSpec.precision
    specification: Mapping[str, Any] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warm_start: Mapping[str, Any] = field(default_factory=dict)
    prices: Prices | None = None
    stated_on: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        specification: Mapping[str, Any],
        environment: Mapping[str, Any],
        trials: Sequence[TrialRecord],
        failed: Sequence[FailedTrial] = (),
        environments: Mapping[str, Mapping[str, Any]] | None = None,
        warm_start: Mapping[str, Any] | None = None,
        stated_on: str = "",
    ) -> StudyRecord:
        """The study of a whole specification, as `tuner.spec.fingerprint.to_dict` made it.

        Its trials are priced anew, as prices may have changed since they were measured. Trials that
        were read are `checked_trials` first.
        """
        specification = in_todays_words(specification)
        asked = study_of(specification)
        objectives, constraints, prices = asked.objectives, asked.constraints, asked.prices
        priced = [t.as_measured.with_reserved(objectives, constraints, prices) for t in trials]
        return cls(
            name=name,
            model=asked.model.name,
            search_space=asked.search_space,
            objectives=objectives,
            constraints=constraints,
            serving=specification["serving"],
            environment=environment,
            trials=stated_trials(priced, [o.metric for o in objectives], stated_on),
            failed=tuple(failed),
            precision=asked.load.precision,
            specification=specification,
            environments=environments or {},
            warm_start=warm_start or {},
            prices=prices,
            stated_on=stated_on,
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data; a study needs its whole `specification` for that."""
        return {
            "study": self.name,
            "specification": self.specification,
            "environment": self.environment,
            "environments": self.environments,
            "warm_start": self.warm_start,
            "trials": [t.to_json() for t in self.trials],
            "failed": [f.to_json() for f in self.failed],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StudyRecord:
        """The inverse of `to_json`. Raises WrongTypeError for a record that it cannot read."""
        lists = {key: document.get(key) for key in ("trials", "failed")}
        for key, value in lists.items():
            if not isinstance(value, list):
                raise WrongTypeError((key,), f"expected a list, found {short_text(value)}")
        head = typed(_Head, {k: v for k, v in document.items() if k not in lists})
        trials = [TrialRecord.from_json(t, ("trials", i)) for i, t in enumerate(document["trials"])]
        return cls.of(
            head.study,
            head.specification,
            head.environment,
            checked_trials(head.specification, trials),
            [FailedTrial.from_json(f, ("failed", i)) for i, f in enumerate(document["failed"])],
            head.environments,
            head.warm_start,
        )

    @property
    def of_endpoint(self) -> bool:
        """Whether it measured a service that was there already."""
        return self.specification.get("endpoint") is not None

    def host_of(self, trial: TrialRecord) -> str:
        """The one of several hosts that measured a trial; empty where a run had one host."""
        return str(self.environments.get(trial.environment, {}).get("worker", ""))

    @cached_property
    def host_kinds(self) -> Mapping[str, Sequence[TrialRecord]]:
        """The measured trials of each kind of host that trials tell, first come first."""
        kinds: dict[str, list[TrialRecord]] = {}
        for trial in self.trials:
            if trial.measurement is not None and trial.host_kind:
                kinds.setdefault(trial.host_kind, []).append(trial)
        return kinds

    @cached_property
    def answer(self) -> AnswerSpec:
        """What decides which configuration is recommended."""
        return AnswerSpec(**self.specification.get("answer", {}))

    @property
    def settled(self) -> float:
        """The chance from which a recommendation is settled: `search.settled`.

        A study that never ends by it (0) is judged by the usual chance.
        """
        stated: float = self.specification.get("search", {}).get("settled", 0.0)
        return stated or SearchSpec.settled

    @cached_property
    def expected(self) -> Configuration | None:
        """The scenario that the study expects; None where it names none."""
        values = self.answer.expected
        return self.scenario_of(Configuration.of(values)) if values else None

    @cached_property
    def scenario_parameters(self) -> tuple[str, ...]:
        """Those that make a scenario: `search.scenarios`, or all whose role it is."""
        chosen: Sequence[str] = self.specification.get("search", {}).get("scenarios", ())
        return tuple(
            p.name
            for p in self.search_space
            if (p.name in chosen if chosen else p.role == "scenario")
        )

    @property
    def decision_parameters(self) -> tuple[str, ...]:
        """All others, which are decided for a scenario."""
        return tuple(p.name for p in self.search_space if p.name not in self.scenario_parameters)

    def scenario_of(self, configuration: Configuration) -> Configuration:
        """The part of a configuration that makes its scenario; empty where the study has none."""
        return configuration.only(self.scenario_parameters)

    def decision_of(self, configuration: Configuration) -> Configuration:
        """The rest of it: what is decided for that scenario."""
        return configuration.only(self.decision_parameters)

    def with_trial(self, trial: TrialRecord) -> StudyRecord:
        """The study with one trial more, which says something about the earlier ones too."""
        metrics = [o.metric for o in self.objectives]
        # Of several hosts one may end a trial before another ends an earlier one.
        trials = sorted((*self.trials, trial), key=lambda t: t.number)
        return replace(self, trials=stated_trials(trials, metrics, self.stated_on))

    def on(self, host_kind: str) -> StudyRecord:
        """The study as stated on hosts of that kind."""
        metrics = [o.metric for o in self.objectives]
        trials = stated_trials(self.trials, metrics, host_kind)
        return replace(self, trials=trials, stated_on=host_kind)

    def trial(self, number: int) -> TrialRecord | None:
        return next((t for t in self.trials if t.number == number), None)

    @property
    def baseline(self) -> TrialRecord | None:
        """The first measured trial of the default configuration: trial 0, unless that broke."""
        defaults = self.search_space.baseline()
        return next((t for t in self.trials if t.measurement and t.configuration == defaults), None)

    @cached_property
    def repeatability(self) -> Mapping[str, Repeatability]:
        """How far bursts of one configuration differ; empty before enough repeats.

        By the metrics of objectives and constraints, but for those that no burst measures.
        """
        return {
            name: repeats
            for name, bursts in self._repeated_bursts.items()
            if (repeats := bursts.repeatability()) is not None
        }

    def repeatability_in(self, scenario: Configuration) -> Mapping[str, Repeatability]:
        """How far bursts of one configuration differ in that scenario; else as `repeatability`.

        Until bursts of the scenario itself were repeated, it is that of the whole study.
        """
        return self._repeatability_by_scenario.get(scenario, self.repeatability)

    @cached_property
    def _repeatability_by_scenario(self) -> Mapping[Configuration, Mapping[str, Repeatability]]:
        of_group = [self.scenario_of(configuration) for configuration in self._bursts]
        scenarios = list(dict.fromkeys(of_group))
        numbers = np.array([scenarios.index(scenario) for scenario in of_group], dtype=np.intp)
        by_scenario = {scenario: dict(self.repeatability) for scenario in scenarios}
        for name, bursts in self._repeated_bursts.items():
            for number, repeats in bursts.repeatabilities(numbers[bursts.groups]).items():
                by_scenario[scenarios[number]][name] = repeats
        return by_scenario

    @cached_property
    def _repeated_bursts(self) -> Mapping[str, RepeatedBursts]:
        """By the metrics of objectives and constraints; groups are in the order of `_bursts`."""
        judged = [o.metric for o in self.objectives] + [c.metric for c in self.constraints]
        return {
            name: RepeatedBursts.of(
                ([e for t in own if (e := t.own_estimate(name))] for own in self._bursts.values()),
                link_of(name),
            )
            for name in dict.fromkeys(judged)
            if name not in RESERVED
        }

    @cached_property
    def _bursts(self) -> Mapping[Configuration, Sequence[TrialRecord]]:
        """The measured trials of each configuration."""
        groups: dict[Configuration, list[TrialRecord]] = {}
        for trial in self.trials:
            if trial.measurement is not None:
                groups.setdefault(trial.configuration, []).append(trial)
        return groups

    def estimate(self, trial: TrialRecord, metric: str) -> Estimate | None:
        """A trial's value of a metric; None where it was not measured.

        The interval also covers how far bursts of one configuration differ. That is known for
        objectives and constraints only, and only once enough configurations were measured again.
        """
        measured, composed = trial.metric(metric), trial.composed(metric)
        if measured is None:
            return None
        share = composed.share if composed else 1.0
        repeats = self.repeatability_in(self.scenario_of(trial.configuration)).get(metric)
        return widened(measured, repeats, share, link_of(metric))

    @cached_property
    def drifts(self) -> tuple[Drift, ...]:
        """When the host was not what it was for most of the study, by the baseline's repeats."""
        defaults = self.search_space.baseline()
        names = [o.metric for o in self.objectives]
        baselines = [
            Baseline(t.number, {n: t.measurement.metrics[n] for n in names})
            for t in self.trials
            if t.measurement is not None and t.configuration == defaults
        ]
        return drifts(baselines, self.precision)

    def drift(self, trial: TrialRecord) -> Drift | None:
        """The drift that puts this trial in doubt, if any does."""
        return next((d for d in self.drifts if trial.number in d), None)


@dataclass(frozen=True)
class _Head:
    """A StudyRecord as plain data, without its trials."""

    study: str
    specification: Mapping[str, Any]
    environment: Annotated[Mapping[str, Any], holding(EnvironmentFacts)]
    environments: Mapping[str, Mapping[str, Any]] | None = None
    warm_start: Annotated[Mapping[str, Any], holding(WarmFacts)] | None = None
