"""What a study would take: the answer of `tune plan`."""

from __future__ import annotations

from collections.abc import Iterator

from tuner.pages.blocks import Cell, Facts
from tuner.pages.searched import parameter_values
from tuner.results.wording import counted, duration
from tuner.spec.study import StudySpec
from tuner.study.plan import SETTLE_EACH, Plan


def plan_blocks(spec: StudySpec, plan: Plan, selecting: str) -> Iterator[Facts]:
    """The search space, what the full grid would take, and what the budget will take.

    `selecting` are the options that select the study, its backend and its storage.
    """
    space = [
        (f"{p.name} ({p.role}{_when(p.when)})", parameter_values(p)) for p in spec.search_space
    ]
    yield Facts(tuple(space), f"Search space of study {spec.name}")
    yield Facts(tuple(_grid(plan, selecting)), "The full grid: every combination of these values")
    yield Facts(tuple(_budget(spec, plan)), "The budget: what tune run will do")


def _when(condition: object) -> str:
    return "" if condition is None else f", when {condition}"


def _grid(plan: Plan, selecting: str) -> Iterator[tuple[str, Cell]]:
    grid = "endless, as a parameter is continuous" if plan.grid is None else f"{plan.grid:,}"
    yield "configurations in the full grid", grid
    if plan.deployments is not None:
        yield "deployments in the full grid", f"{plan.deployments:,}"
    if plan.scenarios:
        yield "scenarios", str(plan.scenarios)
    yield "time of one trial", f"{plan.trial_seconds:.1f} s ({plan.evidence})"
    if plan.grid_seconds is not None:
        yield "time of the full grid", duration(plan.grid_seconds)
    if plan.ordered_seconds is not None:
        yield (
            "... ordered by deployment",
            f"{duration(plan.ordered_seconds)} (tune run --sampler grid does this)",
        )
    if plan.grid_is_cheaper and plan.search_seconds is not None:
        text = (
            f"yes: the search takes {duration(plan.search_seconds)}, the full grid"
            f" {duration(plan.ordered_seconds or 0)} and leaves nothing out:"
            f" tune run {selecting} --sampler grid"
        )
        yield "cheaper than the search", text


def _budget(spec: StudySpec, plan: Plan) -> Iterator[tuple[str, Cell]]:
    limits = [] if plan.trials is None else [counted(plan.trials, "trial")]
    limits += [] if plan.seconds is None else [duration(plan.seconds)]
    yield "budget", " or ".join(limits)
    yield "finished so far", counted(plan.done, "trial")
    if plan.budget_seconds is not None:
        yield "time until the budget is used up", f"at most {duration(plan.budget_seconds)}"
    if plan.settle_trials is not None:
        yield "trials until answers are settled", _settled(plan, plan.settle_trials)
    if plan.percentiles is not None:
        yield "requests for percentiles", str(plan.percentiles)
    yield (
        "initial design",
        f"{counted(plan.start, 'trial')}: the baseline, corners of the space, Sobol points",
    )
    yield "sampler", f"{spec.search.sampler}, seed {spec.seed}"


def _settled(plan: Plan, trials: int) -> str:
    """How many trials settle what is recommended, why so many, and whether the budget has them."""
    text = (
        f"about {trials}, an estimate: {plan.start} to begin with, then {SETTLE_EACH} for each of"
        f" {counted(plan.scenarios or 0, 'scenario')} (what is recommended, and its rivals)"
    )
    if plan.trials is not None and plan.trials < trials:
        return f"{text}. The budget has fewer: some answers may stay open"
    return text
