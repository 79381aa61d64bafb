"""What is said of a study as a whole, in sentences: by `tune show`, and by its report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tuner.measure.host_effects import HostEffect
from tuner.measure.measurement import Estimate, Z
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.model.regret import Robust, Serving
from tuner.results.findings import DOUBTFUL, Findings
from tuner.results.settle import MOST_TRIALS, SETTLED
from tuner.results.summary import Summary
from tuner.results.wording import counted, figure, interval, percent, percent_interval
from tuner.spec.metrics import METRICS, title

SIMULATED = "SIMULATED: these numbers come from a queueing model, not from containers."
REPLAYED = "REPLAY: these numbers were recorded before, nothing was run for them."

PREDICTED = (
    "Predicted is what the model expects many bursts to average. P is the probability that no other"
    " configuration of the scenario is better by more than 2 % in every objective."
)
NONE_SERVES = "No decision is sure (0.9) to serve in every scenario."

_SETTLED = f"{100 * SETTLED:.0f} %"
_SCENARIOS = 4
_REMEDIES = 4
_UNLIKE, _LEAST_TOLD = 1.5, 0.01
"""Scenarios are unlike where bursts of one differ so many times as much, and by that share."""
_TOLD = (8, 16, 32, 64, MOST_TRIALS)


def not_measured(study: StudyRecord) -> Iterator[str]:
    """That no container ran for these trials: those of a recorded grid or a computed host."""
    made = {t.backend for t in study.trials} | {study.environment.get("backend")}
    replayed = study.environment.get("replayed", {})
    if "replay" in made:
        yield REPLAYED
    if "simulated" in made or replayed.get("backend") == "simulated":
        yield SIMULATED


def announced(backend: str) -> Iterator[str]:
    """The same of trials that a backend is about to make."""
    if backend == "simulated":
        yield SIMULATED
    if backend == "replay":
        yield REPLAYED


def regret(robust: Robust) -> Iterator[str]:
    """How far the decision of least regret is behind."""
    worst = percent_interval(Estimate(robust.regret, robust.low, robust.high))
    yield f"at worst {worst} behind a scenario's best compromise, in {robust.scenario}"
    yield (
        f"and {percent(robust.behind)} behind a front;"
        f" P(no decision is better by more than 2 %) = {robust.best:.2f}"
    )
    if robust.left_out:
        yield (
            f"{robust.left_out} decisions are left out: they surely serve in some scenarios only"
        )


def regret_sentences(robust: Robust) -> str:
    """The same in sentences."""
    worst, usual, *left_out = regret(robust)
    return " ".join((f"It is {worst}, {usual}.", *(f"{text}." for text in left_out)))


def slo(study: StudyRecord) -> str:
    """What a configuration must hold."""
    return ", ".join(map(str, study.constraints)) or "enough memory"


def wanted(study: StudyRecord) -> str:
    """The objectives as wishes: `least ART (ms), most throughput (requests/s)`."""
    return ", ".join(
        f"{'least' if o.direction == 'minimize' else 'most'} {title(o.metric)}"
        for o in study.objectives
    )


def scenarios_served(serving: Serving) -> Iterator[str]:
    """In how many scenarios the decision that serves most often does."""
    yield (
        f"in {serving.sure} of {serving.scenarios} with probability 0.9 or more"
        f" ({serving.expected:.1f} expected; the least sure has {serving.everywhere:.2f})"
    )
    if serving.fails:
        fails = "; ".join(map(str, serving.fails[:_SCENARIOS]))
        more = len(serving.fails) - _SCENARIOS
        yield f"not sure in: {fails}" + (f" and {more} more" if more > 0 else "")


def serves_most(study: StudyRecord, serving: Serving) -> str:
    """The decision that holds what it must in most scenarios, in a sentence."""
    return (
        f"Meets the SLO in most scenarios ({slo(study)}): {serving.decision},"
        f" {'; '.join(scenarios_served(serving))}."
    )


def still_open(findings: Findings) -> Iterator[str]:
    """What the model does not know, and what more trials are expected to do about it."""
    fronts = findings.scenarios or (findings.overall,)
    between = ", ".join(
        f"{METRICS[name].label} {figure(100 * share)} %" for name, share in findings.between.items()
    )
    if between:
        yield f"the model takes bursts of one configuration to differ by: {between}"
    open_fronts = [f for f in fronts if f.uncertain]
    if open_fronts:
        worst = max(open_fronts, key=lambda f: f.uncertainty)
        where = f" for {worst.scenario}" if worst.scenario is not None else ""
        yield (
            f"{len(open_fronts)} of {len(fronts)} fronts: the standard deviation of their"
            f" hypervolume is above {_SETTLED}; it is {percent(worst.uncertainty)}{where}"
        )
    if findings.doubtful:
        low, high = DOUBTFUL
        yield (
            f"{findings.doubtful} configurations that were measured or are on a predicted front:"
            f" P is between {low:g} and {high:g}"
        )
    yield settled(findings)


def settled(findings: Findings) -> str:
    """How many more trials would settle the fronts."""
    settling, fronts = findings.settling, len(findings.scenarios or (findings.overall,))
    if settling.trials == 0:
        return f"every front is known to {_SETTLED}: more trials would change little"
    if settling.trials is not None:
        return (
            f"about {settling.trials} more trials, each where it says most, are expected to settle"
            " all fronts"
        )
    course = ", ".join(f"{left} after {n}" for n, left in settling.course if n in _TOLD)
    return f"fronts that more trials are expected to leave open, of {fronts}: {course}"


def _by_scenario(study: StudyRecord, metric: str) -> str:
    """Where bursts differ least and most, if scenarios are known to be unlike in that."""
    scenarios = dict.fromkeys(study.scenario_of(t.configuration) for t in study.trials)
    of = {s: study.repeatability_in(s)[metric].relative_sd for s in scenarios}
    least, most = min(of, key=lambda s: of[s]), max(of, key=lambda s: of[s])
    if of[most] < _UNLIKE * of[least] or of[most] < _LEAST_TOLD:
        return ""
    return f", from {100 * of[least]:.1f} % in {least} to {100 * of[most]:.1f} % in {most}"


def doubts(study: StudyRecord) -> Iterator[str]:
    """What a reader of its figures must know: repeatability, drift of the host, failed trials."""
    for metric, repeatability in study.repeatability.items():
        yield (
            f"{title(metric)} of one configuration differs by"
            f" {100 * repeatability.relative_sd:.1f} % between bursts"
            f" ({repeatability.degrees} repeats){_by_scenario(study, metric)};"
            " intervals include it."
        )
    if not study.repeatability and study.trials:
        yield (
            "Intervals hold what varies within a burst only: too few configurations were measured"
            " again to know how far bursts differ."
        )
    yield from hosts_compared(study)
    for drift in study.drifts:
        numbers = [t.number for t in study.trials if t.number in drift]
        if numbers:
            yield (
                f"Drift: {drift.what}. In doubt, marked ~: trials {numbers[0]} to {numbers[-1]}."
                " Measure what matters again (--repeat)."
            )
    if study.failed:
        numbers = [f.number for f in study.failed]
        yield f"Failed, and on no front: {len(numbers)} ({listed(numbers)})"


def hosts_compared(study: StudyRecord) -> Iterator[str]:
    """Of several kinds of hosts: for which one values are stated, and what the others add."""
    kinds = study.host_kinds
    if len(kinds) < 2:
        return
    on = study.stated_on or next(iter(kinds))
    yield f"Values are stated for hosts of the kind {on}."
    for kind, trials in kinds.items():
        if kind == on:
            continue
        where = f"On {kind} (trials {listed([t.number for t in trials])})"
        effects = trials[0].host_effects
        told = {o.metric: e for o in study.objectives if (e := effects.get(o.metric))}
        shared = max((e.configurations for e in told.values()), default=0)
        if not shared:
            yield (
                f"{where} nothing was measured yet that was measured elsewhere too, so its trials"
                " say little: measure the baseline there."
            )
            continue
        times = " and ".join(
            f"{METRICS[metric].label} {interval(_times(effect))}" for metric, effect in told.items()
        )
        yield (
            f"{where} they are another multiple: {times} times, by"
            f" {counted(shared, 'configuration')} that"
            f" {'was' if shared == 1 else 'were'} measured on both. This is taken off those trials,"
            " and intervals include how well it is known."
        )


def _times(effect: HostEffect) -> Estimate:
    low, value, high = (math.exp(effect.log_ratio + k * Z * effect.error) for k in (-1, 0, 1))
    return Estimate(value, low, high)


def verdicts(study: StudyRecord) -> Iterator[str]:
    """How many measurements are in doubt, and what would help most of them."""
    counts = verdict_counts(study)
    total = sum(counts.values())
    doubtful = total - counts.get("VALID", 0)
    if not total:
        return
    listed_counts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(counts.items()))
    yield f"Of {total} measurements {percent(doubtful / total)} are in doubt: {listed_counts}."
    for remedy, count in remedy_counts(study)[:_REMEDIES]:
        yield f"What would help {count} of them: {remedy}"


def verdict_counts(study: StudyRecord) -> Mapping[str, int]:
    """How many measured trials have which verdict, the invalid ones of failed trials too."""
    return Counter(t.measurement.verdict for t in _judged(study) if t.measurement)


def remedy_counts(study: StudyRecord) -> tuple[tuple[str, int], ...]:
    """Each remedy with the number of measurements that it would help, the largest first."""
    counts = Counter(
        remedy
        for t in _judged(study)
        if t.measurement
        for remedy in {f.remedy for f in t.measurement.findings}
    )
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _judged(study: StudyRecord) -> tuple[TrialRecord, ...]:
    failed = [f.record for f in study.failed if f.record is not None]
    return (*(t for t in study.trials if t.measurement), *(t for t in failed if t.measurement))


def unstable(summary: Summary) -> Iterator[str]:
    """The configurations that are on no front because their bursts do not agree."""
    for pooled in summary.unstable:
        yield f"On no front, unstable: trial {pooled.representative.number}: {pooled.unstable}"


def infeasible(trials: Sequence[TrialRecord]) -> Iterator[str]:
    """Why trials are infeasible, and which."""
    reasons: dict[str, list[int]] = {}
    for trial in trials:
        if not trial.feasible:
            broken = [text for text, v in trial.violations.items() if v > 0]
            reasons.setdefault(trial.reason or ", ".join(broken), []).append(trial.number)
    for reason, numbers in reasons.items():
        yield f"Infeasible, {reason}: {len(numbers)} ({listed(numbers)})"


def listed(numbers: Sequence[int], most: int = 12) -> str:
    """The first of some trials' numbers, at most so many."""
    return ", ".join(map(str, numbers[:most])) + (", ..." if len(numbers) > most else "")
