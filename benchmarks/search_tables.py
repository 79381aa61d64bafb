"""The benchmark's tables: medians over seeds, as text. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from benchmarks.search_judge import (
    Marks,
    answers_from_values,
    marks,
    measured_grid,
    reached,
    reported_front,
)
from benchmarks.search_runs import Outcome
from benchmarks.search_truth import Problem

Groups = Mapping[tuple[str, str], Sequence[Outcome]]
"""Outcomes by problem and contender, one per seed."""

MARKS = ("HV of six", "precision", "SLO missed", "broken", "ART error")
WIDTH = 11


def grouped(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """By problem and contender, sorted by seed."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in sorted(outcomes, key=lambda o: o.seed):
        groups.setdefault((outcome.problem, outcome.contender), []).append(outcome)
    return groups


def trials_to(outcomes: Sequence[Outcome], share: float, *, levels: bool = False) -> float:
    """Median number of trials until `share` of the front, or of every level's; inf: not reached."""
    curves = [np.array(o.levels if levels else o.share) for o in outcomes]
    return statistics.median(_or_inf(reached(curve, share)) for curve in curves)


def seconds_to(outcomes: Sequence[Outcome], share: float) -> float:
    """Median cost until `share` of the front; inf: not reached."""
    ends = [(o, reached(np.array(o.share), share)) for o in outcomes]
    return statistics.median(math.inf if n is None else o.seconds[n - 1] for o, n in ends)


def overall_table(problems: Sequence[Problem], contenders: Sequence[str], groups: Groups) -> str:
    """Trials, cost and time per proposal until 95 % and 99 % of the overall front."""
    costs = ("s to 95 %", "of grid", "s to 99 %", "of grid")
    heads = ("95 %", "99 %", "L95", *costs, "ms each", "infeasible", "repeats")
    lines = []
    for problem in problems:
        lines += ["", f"{_described(problem)}, overall front", _row("sampler", heads)]
        for name in contenders:
            runs = groups.get((problem.name, name), ())
            if not runs:
                continue
            most = len(runs[0].share)
            spent = [seconds_to(runs, share) for share in (0.95, 0.99)]
            lines.append(
                _row(
                    name,
                    (
                        _count(trials_to(runs, 0.95), most),
                        _count(trials_to(runs, 0.99), most),
                        _count(trials_to(runs, 0.95, levels=True), most),
                        *(cell for cost in spent for cell in _cost(cost, problem.grid_seconds)),
                        f"{statistics.median(o.proposal_ms for o in runs):.1f}",
                        f"{statistics.mean(o.infeasible for o in runs):.0%}",
                        f"{statistics.mean(o.repeats for o in runs):.0%}",
                    ),
                )
            )
    return "\n".join(lines)


def scenarios_table(
    problems: Sequence[Problem],
    contenders: Sequence[str],
    groups: Groups,
    seeds: int,
    smoothed: Mapping[str, Sequence[Marks]],
) -> str:
    """What the recommendations for all scenarios are worth, beside those of a measured grid.

    `smoothed` are, by problem, those of grids that the model has smoothed; it may be empty.
    """
    lines = []
    heads = (*MARKS, "cost s", "of grid")
    for problem in problems:
        lines += ["", f"{_described(problem)}, six points per scenario", _row("", heads)]
        lines.append(_row("best six", _cells([_best(problem)])))
        # Where the truth is the mean of two passes, a grid measured twice would be the truth.
        for passes, words in ((1, "once"), (2, "twice"))[: 1 + problem.independent]:
            cost = passes * problem.grid_seconds
            cells = (*_cells(grid_marks(problem, passes, seeds)), f"{cost:,.0f}", f"{passes:.1%}")
            lines.append(_row(f"full grid, measured {words}", cells))
        if problem.name in smoothed:
            cells = (*_cells(smoothed[problem.name]), f"{problem.grid_seconds:,.0f}", "100.0%")
            lines.append(_row("full grid, once, smoothed", cells))
        for name in contenders:
            runs = groups.get((problem.name, name), ())
            for trials in sorted({n for o in runs for n in o.model}):
                found = [o.model[trials] for o in runs]
                cost = statistics.median(o.seconds[trials - 1] for o in runs)
                cells = (*_cells(found), f"{cost:,.0f}", f"{cost / problem.grid_seconds:.1%}")
                lines.append(_row(f"{name}: {trials} trials", cells))
            if runs:
                lines.append(_row(f"{name}: raw values", _cells([o.raw for o in runs])))
    return "\n".join(lines)


def grid_marks(problem: Problem, passes: int, seeds: int) -> list[Marks]:
    """Of grids measured `passes` times, one per seed."""
    found = []
    for seed in range(seeds):
        rows, values = measured_grid(problem, passes, np.random.default_rng([seed, passes]))
        found.append(marks(problem, answers_from_values(problem, rows, values)))
    return found


def problem_lines(problems: Sequence[Problem], seeds: int) -> str:
    """What each problem is, and how far the front of a grid measured once can be trusted."""
    lines = []
    for problem in problems:
        fronts = []
        for seed in range(seeds):
            rows, values = measured_grid(problem, 1, np.random.default_rng([seed, 1]))
            fronts.append(reported_front(problem, rows, values))
        shares, true = (statistics.median(column) for column in zip(*fronts, strict=True))
        lines.append(
            f"{problem.name}: {len(problem.truth):,} configurations, "
            f"{problem.feasible.mean():.0%} feasible, {len(problem.front())} on the front, "
            f"{len(problem.scenarios)} scenarios, ordered grid {problem.grid_seconds:,.0f} s; "
            f"measured once, its front has {shares:.1%} of the hypervolume and "
            f"{true:.0%} of its points belong there"
        )
    return "\n".join(lines)


def _best(problem: Problem) -> Marks:
    """What six points can have at most, chosen with the truth known."""
    rows = np.arange(len(problem.truth))
    return marks(problem, answers_from_values(problem, rows, problem.truth))


def _cells(found: Sequence[Marks]) -> tuple[str, ...]:
    def middle(get: Callable[[Marks], float]) -> float:
        return statistics.median(map(get, found))

    return (
        f"{middle(lambda m: m.hypervolume):.3f}",
        f"{middle(lambda m: m.precision):.3f}",
        f"{middle(lambda m: m.missed):.1%}",
        f"{middle(lambda m: m.broken):.1%}",
        f"{middle(lambda m: m.art_error):.3f}",
    )


def _described(problem: Problem) -> str:
    return f"{problem.name} ({', '.join(problem.metrics)})"


def _or_inf(number: int | None) -> float:
    return math.inf if number is None else number


def _count(trials: float, most: int) -> str:
    return f">{most}" if math.isinf(trials) else f"{trials:.0f}"


def _cost(seconds: float, grid: float) -> tuple[str, str]:
    if math.isinf(seconds):
        return ">", ">"
    return f"{seconds:,.0f}", f"{seconds / grid:.1%}"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:40}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)
