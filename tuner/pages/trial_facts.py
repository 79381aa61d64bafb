"""What a trial's page says in words and tables."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.measure.measurement import Measurement
from tuner.measure.record import StudyRecord, TrialRecord
from tuner.pages.blocks import Block, Cell, Facts, Words
from tuner.pages.sources import Sources
from tuner.results.baseline import changes
from tuner.results.on_fronts import OnFronts
from tuner.results.told import host_told, loss_told, measurement_doubts, trial_doubts, why_proposed
from tuner.results.wording import amount, chance, difference, interval, together
from tuner.spec.metrics import title
from tuner.spec.space import Configuration, Parameter


def described(study: StudyRecord, configuration: Configuration) -> str:
    """A configuration as people say it: `2 replicas, 0.5 cores (cpu), 128 MiB of memory, ...`.

    What one decides stands before what the world chooses.
    """
    space = study.search_space
    parameters: list[Parameter] = [*space.with_role("decision"), *space.with_role("scenario")]
    return ", ".join(
        amount(p, configuration[p.name]) for p in parameters if p.name in configuration
    )


def reference_name(of: OnFronts) -> str:
    """What it is compared with, in a few words; empty where there is nothing."""
    if of.reference is None:
        return ""
    return "the defaults in this scenario" if of.alike else "the baseline"


def reference_burst(of: OnFronts) -> str:
    """The same, with the trial whose burst stands for it in a drawing."""
    if of.reference is None:
        return ""
    return f"{reference_name(of)} (burst of trial {of.reference.representative.number})"


def headline(sources: Sources, of: OnFronts) -> Words:
    """Where it stands, in a sentence."""
    objectives = sources.record.objectives
    values = [
        f"{title(o.metric)} {interval(of.pooled.estimate(i))}" for i, o in enumerate(objectives)
    ]
    return Words(f"{'; '.join(values)}. {_standing(of)}", "lead")


def _standing(of: OnFronts) -> str:
    """Its fronts, and where it is recommended: there may be an equal that reserves more."""
    fronts = f"On {together([_front(f) for f in of.fronts])}." if of.fronts else "On no front."
    if not of.recommends:
        return fronts
    where = together(["this study" if s is None else str(s) for s in of.recommends])
    return f"{fronts} Recommended for {where}."


def _front(scenario: Configuration | None) -> str:
    return "the overall front" if scenario is None else f"the front of {scenario}"


def facts(sources: Sources, of: OnFronts) -> Facts:
    """Objectives with intervals and changes, fronts with probabilities, what it rests on."""
    record, trial = sources.record, of.pooled.representative
    rows: list[tuple[str, Cell]] = []
    for index, objective in enumerate(record.objectives):
        rows.append((title(objective.metric), interval(of.pooled.estimate(index))))
        by = changes(of.pooled, of.reference)[index]
        if by is not None:
            rows.append(("... against " + reference_name(of), difference(by)))
    bursts = of.pooled.bursts
    numbers = ", ".join(str(t.number) for t in bursts)
    rows.append(
        ("rests on", f"trial {numbers}" if len(bursts) == 1 else f"the bursts of trials {numbers}")
    )
    if len(of.pooled.trials) > len(bursts):
        counted = {t.number for t in bursts}
        others = (str(t.number) for t in of.pooled.trials if t.number not in counted)
        rows.append(("not counted", f"trials {', '.join(others)}: cut short, or not measured"))
    rows += [(f"P(on {_front(s)})", chance(p)) for s, p in _chances(sources, of).items()]
    rows += [*host_told(trial), *loss_told(trial)]
    if trial.measurement is not None:
        rows += burst_facts(trial.measurement)
    rows += [("started", trial.started), ("backend", trial.backend)]
    if host := record.host_of(trial):
        rows.append(("host", host))
    return Facts(tuple(rows))


def burst_facts(measured: Measurement) -> Iterator[tuple[str, Cell]]:
    """Verdict, window and warm-up of one burst."""
    yield "verdict", measured.verdict
    yield "window", f"{measured.requests:,} requests in {measured.window_seconds:.1f} s"
    yield "warm-up", f"{measured.warmup_requests:,} requests, not counted"
    yield "why the window ended", measured.stop_reason + _saved(measured.saved_seconds)


def _saved(seconds: float) -> str:
    return f" ({seconds:.1f} s before its cap)" if seconds else ""


def _chances(sources: Sources, of: OnFronts) -> dict[Configuration | None, float]:
    """By front, the model's probability that the configuration is on it."""
    findings = sources.findings
    if findings is None:
        return {}
    by_front = {f.scenario: f.measured for f in (findings.overall, *findings.scenarios)}
    configuration = of.pooled.configuration
    return {
        scenario: by_front[scenario][configuration].on_front
        for scenario in of.fronts
        if scenario in by_front and configuration in by_front[scenario]
    }


def warnings(study: StudyRecord, trial: TrialRecord) -> Iterator[Block]:
    """The reasons to doubt this trial with their remedies, or a sentence that there are none."""
    doubts = [*trial_doubts(study, trial)]
    if trial.measurement is not None:
        doubts = [*measurement_doubts(trial.measurement), *doubts]
    yield from [Words(text, "doubt") for text in doubts] or [
        Words("Nothing speaks against this measurement.")
    ]


def proposal(study: StudyRecord, trial: TrialRecord) -> Iterator[Block]:
    """Why the sampler asked for it."""
    for text in why_proposed(study, trial):
        yield Words(text)
