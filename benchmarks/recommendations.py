"""What a study recommends, against a recorded grid that knows every configuration.

python benchmarks/recommendations.py [--seeds 10] [--trials 60] [--grid FILE]

Each seed runs the study of the grid by replay. Of every scenario's recommendation it is told by how
much another decision would have been the better compromise (`tuner.model.regret`), how much ART
the best decision of no more CPU usage saves and the reverse, and how many replicas are idle. The
same is told of the rule that was used before: the balanced point of the scenario's measured front.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search_replay import replayed
from benchmarks.search_truth import Problem
from tuner import Study
from tuner.arrays import Floats
from tuner.measure.record import StudyRecord
from tuner.model.pareto import logarithms
from tuner.model.regret import off_ideal
from tuner.results.reserving import idle_replicas, reservation
from tuner.results.summary import Summary, summarise
from tuner.spec.space import Configuration

HERE = Path(__file__).parent
GRID = HERE / "data/mnist_grid-grid.parquet"
STUDY = HERE.parent / "studies/mnist_grid/study.yaml"


@dataclass(frozen=True)
class Judged:
    """One recommendation by the truth: shares are logarithms, `chance` what was claimed."""

    regret: float
    art: float
    cpu: float
    idle: int
    replicas: int
    cores: float
    chance: float


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--trials", type=int, default=60)
    options.add_argument("--grid", type=Path, default=GRID)
    asked = options.parse_args()
    problem = replayed(asked.grid, "smoothed")
    now: list[Judged] = []
    before: list[Judged] = []
    for seed in range(asked.seeds):
        record = ran(asked.grid, seed, asked.trials)
        summary = summarise(record)
        chosen = [(r.configuration, r.chance) for r in summary.recommendations.values()]
        now += [judged(problem, record, c, chance) for c, chance in chosen]
        before += [judged(problem, record, c, np.nan) for c in balanced(summary)]
        print(
            f"seed {seed}: {len(record.trials)} trials, {len(chosen)} recommendations", flush=True
        )
    print(
        f"\n{asked.trials} trials, {asked.seeds} seeds,"
        f" {len(problem.configurations)} configurations"
    )
    columns = (
        "rule",
        "regret",
        "ART at equal CPU",
        "CPU at equal ART",
        "idle",
        "replicas",
        "cores",
    )
    print(("{:<26}" + "{:>18}" * 6).format(*columns))
    for name, group in (("before: balanced point", before), ("now: recommended", now)):
        print(line(name, group))
    reliability(now)


def ran(grid: Path, seed: int, trials: int) -> StudyRecord:
    """The study of the grid, by replay, in a directory of its own."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "studies/mnist_grid/study.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(STUDY.read_text().replace("seed: 1", f"seed: {seed}"))
        study = Study.open("mnist_grid", backend="replay", replay=grid, root=place)
        return study.run(trials).record


def balanced(summary: Summary) -> Iterator[Configuration]:
    """The rule of before: on each measured front, the point nearest to the corner of its best
    values, with every objective scaled to the front's own range (of logarithms).
    """
    for scenario in summary.scenarios:
        points = logarithms([summary.pooled[t.number].values for t in scenario.front])
        if len(points):
            low, width = points.min(axis=0), np.ptp(points, axis=0)
            scaled = (points - low) / np.where(width > 0, width, 1.0)
            yield scenario.front[int(np.argmin((scaled**2).sum(axis=1)))].configuration


def judged(
    problem: Problem, study: StudyRecord, configuration: Configuration, chance: float
) -> Judged:
    """A decision against all others of its scenario that have no idle replica."""
    scenario = study.scenario_of(configuration)
    own = problem.logs[problem.lattice.index(configuration)]
    others = problem.logs[
        [
            i
            for i, c in enumerate(problem.configurations)
            if study.scenario_of(c) == scenario
            and problem.feasible[i]
            and not idle_replicas(study, c)
        ]
    ]
    ideal = np.minimum(others.min(axis=0), own)
    regret = float(off_ideal(own[None], ideal)[0] - off_ideal(others, ideal).min())
    reserved = reservation(study, configuration)
    return Judged(
        regret,
        _saved(own, others, 0),
        _saved(own, others, 1),
        idle_replicas(study, configuration),
        reserved.replicas,
        reserved.cores,
        chance,
    )


def _saved(own: Floats, others: Floats, objective: int) -> float:
    """How much lower `objective` could be with no more than the decision's own of the other one."""
    fair = others[others[:, 1 - objective] <= own[1 - objective] + 1e-9, objective]
    return float(max(0.0, own[objective] - fair.min(initial=np.inf)))


def line(name: str, group: Sequence[Judged]) -> str:
    """Medians, with the 90th percentile, as percent; means of what is counted."""

    def shares(values: Sequence[float]) -> str:
        middle, most = 100 * np.expm1(np.quantile(values, [0.5, 0.9]))
        return f"{middle:.1f} % ({most:.0f} %)"

    cells = (
        shares([j.regret for j in group]),
        shares([j.art for j in group]),
        shares([j.cpu for j in group]),
        f"{sum(j.idle > 0 for j in group)} of {len(group)}",
        f"{np.mean([j.replicas for j in group]):.2f}",
        f"{np.mean([j.cores for j in group]):.2f}",
    )
    return ("{:<26}" + "{:>18}" * 6).format(name, *cells)


def reliability(group: Sequence[Judged]) -> None:
    """How often what was recommended with which chance is within 5 % of the best compromise."""
    print("\nP that was claimed, and how often it held")
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        inside = [j for j in group if low <= j.chance < high]
        if inside:
            held = np.mean([j.regret <= np.log(1.05) for j in inside])
            claimed = np.mean([j.chance for j in inside])
            print(f"  {claimed:.2f} claimed, {held:.2f} held, {len(inside)} recommendations")


if __name__ == "__main__":
    main()
