"""`tuner.samplers.BayesSampler` on three of Optuna's own example objectives, beside its samplers.

    python benchmarks/optuna_objectives.py [--seeds 5] [--samplers bayes tpe gp]

- quadratic: Optuna's first example, `x**2 + y` of a float x and a categorical y.
- constrained: Binh and Korn's two objectives with two constraints, Optuna's example of constrained
  optimisation.
- classifier: which classifier of scikit-learn, and its int and float parameters: Optuna's example
  for scikit-learn, on its digits instead of its irises, where every sampler finds the best at once.

What is left to improve after the last trial is a median over the seeds: of one objective the best
value's distance from the best that is known, of two the share of the hypervolume that is missing.
`gp` needs PyTorch and `classifier` scikit-learn; where they are not installed they are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.study import Study
from optuna.trial import Trial

from tuner.model.pareto import hypervolume
from tuner.samplers import BayesSampler

REFERENCE = (210.0, 55.0)
"""Behind the front of `constrained`, whose ends are (0, 50) and (200, 0)."""


@dataclass(frozen=True)
class Example:
    """An objective, its budget of trials, and what is left to improve in a study of it."""

    objective: Callable[[Trial], float | tuple[float, ...]]
    trials: int
    left: Callable[[Study], float]
    objectives: int = 1
    needs: str | None = None


def quadratic(trial: Trial) -> float:
    x = trial.suggest_float("x", -100, 100)
    y = trial.suggest_categorical("y", [-1, 0, 1])
    return float(x**2 + y)


def constrained(trial: Trial) -> tuple[float, float]:
    x, y = trial.suggest_float("x", -15, 30), trial.suggest_float("y", -15, 30)
    for name, violation in violations(x, y).items():
        trial.set_constraint(name, violation)
    return costs(x, y)


def costs(x: float, y: float) -> tuple[float, float]:
    return 4 * x**2 + 4 * y**2, (x - 5) ** 2 + (y - 5) ** 2


def violations(x: float, y: float) -> Mapping[str, float]:
    return {
        "near one point": (x - 5) ** 2 + y**2 - 25,
        "far from another": 7.7 - (x - 8) ** 2 - (y + 3) ** 2,
    }


def classifier(trial: Trial) -> float:
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415 -- it may be missing
    from sklearn.model_selection import cross_val_score  # noqa: PLC0415
    from sklearn.svm import SVC  # noqa: PLC0415

    if trial.suggest_categorical("classifier", ["SVC", "RandomForest"]) == "SVC":
        model = SVC(C=trial.suggest_float("svc_c", 1e-10, 1e10, log=True), gamma="auto")
    else:
        depth = trial.suggest_int("rf_max_depth", 2, 32, log=True)
        model = RandomForestClassifier(max_depth=depth, n_estimators=10, random_state=0)
    features, classes = digits()
    return 1.0 - float(cross_val_score(model, features, classes, cv=3).mean())


@cache
def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits  # noqa: PLC0415

    features, classes = load_digits(return_X_y=True)
    return features / 16.0, classes


def missing_volume(study: Study) -> float:
    points = [t.values for t in study.best_trials]
    return 1.0 - hypervolume(np.array(points or [REFERENCE]), REFERENCE) / whole_volume()


@cache
def whole_volume() -> float:
    """That of the front, which goes from (0, 0) along x = y to (5, 5)."""
    return hypervolume(np.array([costs(v, v) for v in np.linspace(0, 5, 5001)]), REFERENCE)


EXAMPLES: Mapping[str, Example] = {
    "quadratic": Example(quadratic, 40, lambda study: study.best_value + 1.0),
    "constrained": Example(constrained, 60, missing_volume, objectives=2),
    "classifier": Example(classifier, 40, lambda study: study.best_value, needs="sklearn"),
}

SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "bayes": lambda seed: BayesSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed, warn_independent_sampling=False),
}


def left_to_improve(
    example: Example, make_sampler: Callable[[int], BaseSampler], seeds: int
) -> list[float]:
    """Of each seed."""
    left = []
    for seed in range(seeds):
        study = optuna.create_study(
            sampler=make_sampler(seed), directions=["minimize"] * example.objectives
        )
        study.optimize(example.objective, n_trials=example.trials)
        left.append(example.left(study))
    return left


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samplers", nargs="+", choices=SAMPLERS, default=list(SAMPLERS))
    parser.add_argument("--objectives", nargs="+", choices=EXAMPLES, default=list(EXAMPLES))
    chosen = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    print(f"{'objective':12} {'sampler':8} {'left (median)':>14} {'worst':>9} {'of bayes':>9}")
    for name in chosen.objectives:
        example = EXAMPLES[name]
        if example.needs and importlib.util.find_spec(example.needs) is None:
            print(f"{name:12} left out: it needs {example.needs}")
            continue
        ours: float | None = None
        for sampler in chosen.samplers:
            if sampler == "gp" and importlib.util.find_spec("torch") is None:
                print(f"{name:12} {sampler:8} left out: it needs torch")
                continue
            left = left_to_improve(example, SAMPLERS[sampler], chosen.seeds)
            median = statistics.median(left)
            ours = median if sampler == "bayes" else ours
            ratio = "" if ours is None else f"{median / max(ours, 1e-12):.3g}"
            print(f"{name:12} {sampler:8} {median:14.3g} {max(left):9.3g} {ratio:>9}", flush=True)


if __name__ == "__main__":
    main()
