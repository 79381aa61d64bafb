"""Which candidate to measure next, worth against cost, and why, in figures and words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from tuner.arrays import Floats, Indices, Mask
from tuner.model.acquisition import Interest, overall_gain, robust_interest, scenario_interest
from tuner.model.feasibility import LIKELY
from tuner.model.learning import Learning
from tuner.model.observations import Observation
from tuner.model.pareto import in_units
from tuner.model.surrogate import Surrogate
from tuner.spec.space import Parameter, Value, as_text
from tuner.spec.study import SearchTarget

DEPLOYMENTS = 6
"""So many deployments are looked at closely for what several bursts on each would tell."""

BURSTS = 5

_DEPLOY_SECONDS = 4.0
_BURST_SECONDS = 4.0
"""What is expected while nothing is known."""

_DOUBTED = 0.85
"""What is less likely feasible than this is measured to learn whether it is, too."""


@dataclass(frozen=True)
class Costs:
    """Seconds of a new deployment, and of a burst with all else that each trial takes."""

    deploy: float
    burst: float

    @classmethod
    def of(cls, observations: Sequence[Observation]) -> Costs:
        """Medians of what the trials took; those that stayed on a deployment say nothing of it."""
        deploys = [o.deploy_seconds for o in observations]
        bursts = [o.burst_seconds for o in observations]
        return cls(
            _median([s for s in deploys if s], _DEPLOY_SECONDS),
            max(_median([s for s in bursts if s is not None], _BURST_SECONDS), 1e-3),
        )


def _median(seconds: Sequence[float], default: float) -> float:
    return median(seconds) if seconds else default


@dataclass(frozen=True, eq=False)
class Sought:
    """What is sought, and what there is.

    `measured` are the rows of candidates whose front is to be improved (target `overall`). `up` is
    the number of the deployment that is up, None for none. With `costs` a second is what worth is
    divided by, without it a trial. `burst_sd`, shape (m,), is the sd of a burst's logarithms.
    """

    target: SearchTarget
    measured: Indices
    up: int | None
    costs: Costs | None
    burst_sd: Floats


@dataclass(frozen=True, eq=False)
class Selection:
    """A row of the candidates, its `gain` (`acquisition`), and the seconds that the trial will take
    (None where nobody asked). `about` has the worth of what it will tell of each scenario.
    """

    row: int
    gain: float
    seconds: float | None
    stays: bool
    about: Floats


def interest_of(surrogate: Surrogate, sought: Sought) -> Interest:
    if sought.target == "robust":
        return robust_interest(surrogate)
    return scenario_interest(surrogate)


def select(surrogate: Surrogate, free: Indices, sought: Sought) -> Selection:
    """The best of the rows `free`, of which there is one at least."""
    candidates, costs = surrogate.candidates, sought.costs
    deployment = candidates.deployment[free]
    stays = deployment == (-1 if sought.up is None else sought.up)
    seconds = None
    if costs is not None:
        seconds = np.where(stays, costs.burst, costs.burst + costs.deploy)
    if sought.target == "overall":
        gain = overall_gain(surrogate, sought.measured)[free]
        best = int(np.argmax(gain if seconds is None else gain / seconds))
        about = np.zeros(len(candidates.scenarios))
        about[candidates.scenario[free[best]]] = gain[best]
    else:
        learning = Learning.of(surrogate, interest_of(surrogate, sought), free, sought.burst_sd)
        gain = learning.gain()
        best = int(np.argmax(gain))
        if costs is not None:
            best = _best_rate(surrogate, learning, gain, deployment, stays, costs)
        about = np.zeros(len(candidates.scenarios))
        np.add.at(about, candidates.scenario[learning.interest.rows], learning.told(best))
        about[candidates.scenario[free[best]]] += learning.interest.serving[free[best]]
    return Selection(
        int(free[best]),
        float(gain[best]),
        None if seconds is None else float(seconds[best]),
        bool(stays[best]),
        about,
    )


def balanced(surrogate: Surrogate, free: Indices, observations: Sequence[Observation]) -> Indices:
    """Those of the rows `free` that are in scenarios with too few trials, or all of them.

    Too few are fewer than half of an equal share of the trials, and none at all: worth per second
    alone may starve a scenario whose front looks simple from afar. Only what likely serves is
    called for.
    """
    candidates = surrogate.candidates
    count = len(candidates.scenarios)
    numbers = {scenario: number for number, scenario in enumerate(candidates.scenarios)}
    trials = np.zeros(count)
    for o in observations:
        number = numbers.get(o.configuration.only(candidates.scenario_parameters))
        if number is not None:
            trials[number] += 1
    short = trials < max(1.0, trials.sum() / (2 * count))
    called: Indices = free[short[candidates.scenario[free]] & (surrogate.feasible[free] > LIKELY)]
    return called if len(called) else free


def best_gain(surrogate: Surrogate, free: Indices, sought: Sought) -> float:
    """By what share the best of the rows `free` is expected to enlarge what is sought, whatever it
    costs: the hypervolume, averaged over scenarios where those are sought.

    Of each scenario the point counts of which it tells most: what is learned of several points of
    one front does not add up.
    """
    if sought.target == "overall":
        return float(overall_gain(surrogate, sought.measured)[free].max())
    interest = interest_of(surrogate, sought)
    learning = Learning.of(surrogate, interest, free, sought.burst_sd)
    best = int(np.argmax(learning.gain()))
    scenario = surrogate.candidates.scenario
    most = np.zeros(len(surrogate.candidates.scenarios))
    np.maximum.at(most, scenario[interest.rows], learning.share(best) * interest.improvement)
    np.maximum.at(most, scenario[free[best]], interest.serving[free[best]])
    return float(most.sum())


def _best_rate(
    surrogate: Surrogate,
    learning: Learning,
    gain: Floats,
    deployment: Indices,
    stays: Mask,
    costs: Costs,
) -> int:
    """The first burst of the series on one deployment that tells most per second."""
    best, rate = int(np.argmax(gain)), -1.0
    if stays.any():
        best = int(np.flatnonzero(stays)[np.argmax(gain[stays])])
        rate = float(gain[best]) / costs.burst
    for number in _promising(gain, deployment):
        columns = np.flatnonzero(deployment == number)
        if stays[columns[0]]:
            continue
        order, gains = learning.sequence(surrogate, columns, BURSTS)
        rates = np.cumsum(gains) / (costs.deploy + costs.burst * np.arange(1, len(gains) + 1))
        if rates.max() > rate:
            best, rate = order[0], float(rates.max())
    return best


def _promising(gain: Floats, deployment: Indices) -> Sequence[int]:
    """The deployments with the largest sums of their three best gains."""
    order = np.lexsort((-gain, deployment))
    start = np.flatnonzero(np.r_[True, np.diff(deployment[order]) != 0])
    rank = np.arange(len(order)) - np.repeat(start, np.diff(np.r_[start, len(order)]))
    top = np.add.reduceat(np.where(rank < 3, gain[order], 0.0), start)
    best = np.argsort(-top, kind="stable")[:DEPLOYMENTS]
    return [int(d) for d in deployment[order][start[best]]]


def reasons_of_initial() -> Mapping[str, Any]:
    """Of a trial that was proposed before there was a model."""
    return {"reason": "one of the first configurations: ends of the ranges, then spread evenly"}


def reasons_of(surrogate: Surrogate, selection: Selection, sought: Sought) -> Mapping[str, Any]:
    """Its gain (`acquisition`), predicted `mean` in the metrics' units, `sd` of their logarithms,
    P(`feasible`), whether it stays on the deployment, and the reason.
    """
    posterior = surrogate.posterior([selection.row])
    mean = in_units(posterior.mean[0], surrogate.metrics, surrogate.directions)
    return {
        "acquisition": selection.gain,
        "mean": mean.tolist(),
        "sd": posterior.sd[0].tolist(),
        "feasible": float(posterior.feasible[0]),
        "stays": selection.stays,
        "reason": "; ".join(_reasons(surrogate, selection, sought)),
    }


def _reasons(surrogate: Surrogate, selection: Selection, sought: Sought) -> list[str]:
    reasons = [_aim(surrogate, selection, sought)]
    feasible = float(surrogate.posterior([selection.row]).feasible[0])
    configuration = surrogate.candidates.configurations[selection.row]
    if feasible < _DOUBTED:
        memory = next((p for p in surrogate.candidates.space if p.name == "memory"), None)
        claim = "it can serve and holds the constraints"
        if memory is not None and "memory" in configuration:
            claim = f"{_with_unit(memory, configuration['memory'])} is enough"
        reasons.append(f"to learn whether {claim} (probability {feasible:.0%})")
    costs = sought.costs
    if selection.stays and costs is not None:
        away = costs.burst + costs.deploy
        reasons.append(f"stays on the deployment: {costs.burst:.1f} s instead of {away:.1f} s")
    return reasons


def _aim(surrogate: Surrogate, selection: Selection, sought: Sought) -> str:
    per_second = " per second" if sought.costs is not None else ""
    if sought.target == "overall":
        return f"expected to enlarge the front most{per_second}"
    scenario = surrogate.candidates.scenarios[int(np.argmax(selection.about))]
    share = selection.about.max() / max(selection.about.sum(), 1e-300)
    about = f"{scenario}" if share > 0.5 else f"{scenario} and others"
    if sought.target == "robust":
        return f"tells most{per_second} about which decision is least behind, by {about}"
    return f"tells most{per_second} about the front of {about}"


def _with_unit(parameter: Parameter, value: Value) -> str:
    number = f"{value:g}" if isinstance(value, float) else as_text(value)
    return f"{number} {parameter.unit or 'MiB'}"
