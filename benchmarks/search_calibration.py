"""How honest the model of a study is: intervals that hold, probabilities that come true.

    python benchmarks/search_calibration.py [--problems A B C D] [--seeds 5] [--figure DIRECTORY]

A search of 60 trials on problems whose truth is known (`search_problems.py`; `V100`, `V101`, ...
are more of them, made by chance). After 30 trials and after 60 the model of that study is asked
twice: as it is, and with the most probable hyperparameters alone and objectives that are wrong
independently of each other, as it was before ADR 37.

Coverage is the share of all feasible configurations whose true value is inside the interval. P is
the probability of being on a scenario's front; it is honest where as many are there as it says.
"""

# ruff: noqa: E402 -- the number of NumPy's threads is read when it is imported

from __future__ import annotations

import argparse
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np
import optuna
from scipy.stats import norm

from benchmarks.search_contenders import CONTENDERS, modelled, observed, run
from benchmarks.search_judge import Marks, answers_from_model, marks
from benchmarks.search_problems import JUDGED, problem
from benchmarks.search_truth import Problem
from tuner.arrays import Floats, Mask
from tuner.model.chances import chances, tolerated
from tuner.model.surrogate import Surrogate

MODEL_AT = (30, 60)
LEVELS = (0.5, 0.8, 0.95)
BINS = (0.02, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.01)
"""Ends of the classes of P. What is surely not on a front is left out."""
BEFORE, AFTER = "one process", "ensemble"


@dataclass(frozen=True, eq=False)
class Reliability:
    """Probabilities that were stated, shape (n,), and what was true."""

    stated: Floats
    true: Mask

    @classmethod
    def of(cls, truth: Problem, model: Surrogate) -> Reliability:
        """Of every configuration, about the front of its scenario."""
        stated, true = np.zeros(len(truth.truth)), np.zeros(len(truth.truth), np.bool_)
        for number in range(len(truth.scenarios)):
            rows = np.flatnonzero(truth.scenario == number)
            drawn = chances(model, rows)
            stated[drawn.rows] = drawn.on_front
            true[rows] = tolerated(truth.logs[rows][None])[0]
        return cls(stated, true)

    def classes(self) -> Iterator[tuple[float, float, int]]:
        """For each of `BINS` that is not empty: mean P, share that is on the front, how many."""
        for low, high in itertools.pairwise(BINS):
            within = (self.stated >= low) & (self.stated < high)
            if within.any():
                yield (
                    float(self.stated[within].mean()),
                    float(self.true[within].mean()),
                    int(within.sum()),
                )

    @property
    def brier(self) -> float:
        """Mean square of P less the truth: less is better."""
        return float(np.mean((self.stated - self.true) ** 2))


@dataclass(frozen=True, eq=False)
class Judged:
    """One model: `coverage`, shape (levels, m), `score`, the mean logarithmic loss of its normal
    distributions (less is better), P, and what its six recommendations per scenario are worth.
    """

    problem: str
    trials: int
    coverage: Floats
    score: float
    reliability: Reliability
    six: Marks

    @classmethod
    def of(cls, truth: Problem, trials: int, model: Surrogate) -> Judged:
        posterior = model.posterior()
        mean, sd = posterior.mean[truth.feasible], posterior.sd[truth.feasible]
        off = (truth.logs[truth.feasible] - mean) / sd
        inside = [(np.abs(off) < norm.ppf(0.5 + level / 2)).mean(axis=0) for level in LEVELS]
        return cls(
            truth.name,
            trials,
            np.array(inside),
            float(np.mean(off**2 / 2 + np.log(sd))),
            Reliability.of(truth, model),
            marks(truth, answers_from_model(truth, model)),
        )


def judged(names: Sequence[str], seeds: int) -> Iterator[tuple[str, Judged]]:
    """Each model that is judged, and whether it is `BEFORE` or `AFTER`."""
    for problem_name in names:
        truth = problem(problem_name)
        for seed in range(seeds):
            search = run(CONTENDERS["bayes, per-scenario"], truth, seed, max(MODEL_AT))
            for trials in MODEL_AT:
                model = modelled(truth, observed(truth, search, trials))
                yield BEFORE, Judged.of(truth, trials, model.likeliest())
                yield AFTER, Judged.of(truth, trials, model)


def pooled(models: Sequence[Judged]) -> Reliability:
    return Reliability(
        np.concatenate([m.reliability.stated for m in models]),
        np.concatenate([m.reliability.true for m in models]),
    )


def table(models: Sequence[tuple[str, Judged]]) -> str:
    """A line for each problem, number of trials, and kind of model; and for all problems."""
    heads = ("50 %", "80 %", "95 %", "least", "score", "Brier", "HV of six", "precision")
    lines = [f"{'coverage of intervals':30}" + "".join(f"{h:>10}" for h in heads)]
    for name in [*dict.fromkeys(m.problem for _, m in models), "all"]:
        for trials in MODEL_AT:
            for kind in (BEFORE, AFTER):
                group = [
                    m
                    for k, m in models
                    if k == kind and m.trials == trials and name in (m.problem, "all")
                ]
                coverage = np.mean([m.coverage for m in group], axis=0)
                cells = (
                    *coverage.mean(axis=1),
                    coverage[-1].min(),
                    np.mean([m.score for m in group]),
                    pooled(group).brier,
                    np.mean([m.six.hypervolume for m in group]),
                    np.mean([m.six.precision for m in group]),
                )
                label = f"{name}, {trials} trials, {kind}"
                lines.append(f"{label:30}" + "".join(f"{c:>10.3f}" for c in cells))
    return "\n".join(lines)


def reliability_table(models: Sequence[tuple[str, Judged]]) -> str:
    """Stated and true probabilities, all problems together."""
    lines = []
    for trials in MODEL_AT:
        for kind in (BEFORE, AFTER):
            group = [m for k, m in models if k == kind and m.trials == trials]
            cells = "  ".join(f"{p:.2f}>{t:.2f} ({n:,})" for p, t, n in pooled(group).classes())
            lines.append(f"{f'{trials} trials, {kind}':24} {cells}")
    return "\n".join(lines)


def write_reliability(models: Sequence[tuple[str, Judged]], directory: Path) -> None:
    """`reliability.png`: stated against true, a panel for each number of trials; needs Chromium."""
    from plotly import graph_objects  # noqa: PLC0415 -- only who draws needs it
    from plotly.subplots import make_subplots  # noqa: PLC0415

    from tuner.pages import theme  # noqa: PLC0415
    from tuner.pages.blocks import Figure, Page, Section, Table  # noqa: PLC0415
    from tuner.render.images import write_figures  # noqa: PLC0415

    plot = make_subplots(cols=len(MODEL_AT), subplot_titles=[f"after {n} trials" for n in MODEL_AT])
    for column, trials in enumerate(MODEL_AT, start=1):
        first = column == 1
        ideal = {"color": theme.GREY, "dash": "dot"}
        plot.add_trace(
            graph_objects.Scatter(
                x=[0, 1], y=[0, 1], mode="lines", line=ideal, name="honest", showlegend=first
            ),
            row=1,
            col=column,
        )
        for kind, colour, symbol in (
            (BEFORE, theme.ORANGE, "square-open"),
            (AFTER, theme.BLUE, "circle"),
        ):
            group = [m for k, m in models if k == kind and m.trials == trials]
            stated, true, _ = zip(*pooled(group).classes(), strict=True)
            plot.add_trace(
                graph_objects.Scatter(
                    x=stated,
                    y=true,
                    mode="lines+markers",
                    name=kind,
                    line={"color": colour},
                    marker={"symbol": symbol, "size": 8},
                    showlegend=first,
                ),
                row=1,
                col=column,
            )
        plot.update_xaxes(title_text="P(on the front), stated", range=[0, 1], row=1, col=column)
        plot.update_yaxes(range=[0, 1.02], row=1, col=column)
    plot.update_yaxes(title_text="share on the front", row=1, col=1)
    plot.update_layout(
        template="none",
        height=380,
        font={"family": "system-ui, sans-serif", "size": 13},
        margin={"l": 64, "r": 16, "t": 48, "b": 56},
        legend={"x": 0.02, "y": 0.98},
    )
    figure = Figure("reliability", "", "", plot, Table((), ()))
    write_figures(Page("", "", (Section("", "", (figure,)),)), directory, "png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", nargs="+", default=list(JUDGED))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path, help="directory for reliability.png")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    models = list(judged(options.problems, options.seeds))
    print(table(models))
    print("\nP(on the front): stated>true (how many)")
    print(reliability_table(models))
    if options.figure:
        write_reliability(models, options.figure)


if __name__ == "__main__":
    main()
