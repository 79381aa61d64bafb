"""What the model says about one parameter, in plain words: each statement with its probability.

Every rule looks at joint draws from the posterior and counts in how many of them it is true; that
share is its probability. What is less probable than `STATED` is not stated: the matter is said
not to be settled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tuner.arrays import Floats
from tuner.results.dependence import Effect
from tuner.results.laws import Law, law_of
from tuner.results.wording import amount, bare, chance, change, figure, label, plain, reading
from tuner.spec.metrics import METRICS
from tuner.spec.space import Value

Truths = npt.NDArray[np.bool_]

STATED = 0.8
"""What is less probable than this is not stated."""

UNNOTICED = 0.03
"""A change by less than this share is none."""

Kind = Literal[
    "no effect",
    "rises",
    "falls",
    "plateau",
    "onset",
    "optimum",
    "ranking",
    "infeasible",
    "partly feasible",
    "interaction",
    "not settled",
]


_BOTH: tuple[tuple[Kind, str, float], ...] = (
    ("falls", "falling", -1.0),
    ("rises", "rising", 1.0),
)


@dataclass(frozen=True)
class Statement:
    """One sentence. `metric` is None where it is about feasibility.

    `parameters` are those that it speaks of; of one that is not settled, `probability` is that of
    the best guess.
    """

    kind: Kind
    parameters: tuple[str, ...]
    metric: str | None
    probability: float
    text: str

    def __str__(self) -> str:
        return f"{self.text} ({chance(self.probability)})"


def readings(effects: Mapping[str, Effect]) -> tuple[Statement, ...]:
    """One per metric, of the effects of one parameter; with what others still do on a plateau."""
    return tuple(
        _statement(e, [o for m, o in effects.items() if m != metric])
        for metric, e in effects.items()
    )


def _statement(effect: Effect, others: Sequence[Effect] = ()) -> Statement:
    if not effect.parameter.ordered:
        return _flat(effect) or _ranking(effect) or _not_settled(effect)
    return (
        _flat(effect)
        or _plateau(effect, others)
        or _onset(effect)
        or _monotone(effect)
        or _optimum(effect)
        or _not_settled(effect)
    )


def _flat(effect: Effect) -> Statement | None:
    probability = _share(level(effect.for_ratios))
    if probability < STATED:
        return None
    p = effect.parameter
    values = [plain(v) for v in effect.values]
    over = (
        f"from {values[0]} to {bare(p, effect.values[-1])}"
        if p.ordered
        else f"between {', '.join(values[:-1])} and {values[-1]}"
    )
    text = f"{p.name} hardly changes {label(effect.metric)}: by less than 3 % {over}"
    return _made("no effect", effect, probability, text)


def _plateau(effect: Effect, others: Iterable[Effect]) -> Statement | None:
    """It falls (or rises) up to a value and is level from there on."""
    draws = effect.for_ratios
    for k in range(1, len(effect.values) - 1):
        for _, doing, sign in _BOTH:
            true = moves(draws[:, : k + 1], sign) & level(draws[:, k:])
            if (probability := _share(true)) < STATED:
                continue
            of = amount(effect.parameter, effect.values[k])
            text = f"beyond {of} {label(effect.metric)} stops {doing}: {_course(effect, k)}"
            for other in others:
                more, both = _still(other, effect.values[k:], true)
                if more:
                    text, probability = text + more, _share(both)
                    true = both
            return _made("plateau", effect, probability, text)
    return None


def _still(other: Effect, tail: Sequence[Value], true: Truths) -> tuple[str, Truths]:
    """What another metric does along a plateau, where it moves there; and when both are true."""
    if not set(tail) <= set(other.values):
        return "", true
    at = [other.values.index(v) for v in tail]
    draws = other.for_ratios[:, at]
    for does, _, sign in _BOTH:
        both = true & moves(draws, sign)
        if _share(both) < STATED:
            continue
        law = _law(other, tail, draws)
        size = (
            f": {law.text(other.parameter, other.metric)}"
            if law
            else f", {change(draws[:, -1] / draws[:, 0])} at {bare(other.parameter, tail[-1])}"
        )
        return f"; {label(other.metric)} still {does}{size}", both
    return "", true


def _onset(effect: Effect) -> Statement | None:
    """It is level up to a value and rises (or falls) from there on."""
    draws = effect.for_ratios
    for k in range(len(effect.values) - 2, 0, -1):
        for does, _, sign in _BOTH:
            true = level(draws[:, : k + 1]) & moves(draws[:, k:], sign)
            if (probability := _share(true)) >= STATED:
                of = amount(effect.parameter, effect.values[k])
                text = f"up to {of} {label(effect.metric)} hardly changes, beyond it {does}"
                return _made("onset", effect, probability, f"{text}: {_course(effect, k)}")
    return None


def _monotone(effect: Effect) -> Statement | None:
    for does, _, sign in _BOTH:
        if (probability := _share(moves(effect.for_ratios, sign))) < STATED:
            continue
        law = _law(effect, effect.values, effect.for_ratios)
        size = (
            law.text(effect.parameter, effect.metric)
            if law
            else f"in all {change(effect.for_ratios[:, -1] / effect.for_ratios[:, 0])}"
        )
        text = f"{label(effect.metric)} {does} with {effect.parameter.name}: {_course(effect)}"
        return _made(does, effect, probability, f"{text}; {size}")
    return None


def _optimum(effect: Effect) -> Statement | None:
    """It is best at a value, or within a range of values, and worse towards both ends."""
    cost = _cost(effect)
    best = cost.min(axis=1)
    inside = (cost[:, 0] > best * (1 + UNNOTICED)) & (cost[:, -1] > best * (1 + UNNOTICED))
    if _share(inside) < STATED:
        return None
    near = (cost <= best[:, None] * (1 + UNNOTICED)) & inside[:, None]
    last = len(effect.values) - 1
    for width in range(last - 1):
        shares = [_share(near[:, k : k + width + 1].any(axis=1)) for k in range(1, last - width)]
        k = 1 + int(np.argmax(shares))
        if shares[k - 1] < STATED:
            continue
        where = amount(effect.parameter, effect.values[k + width])
        where = f"at {where}" if width == 0 else f"between {plain(effect.values[k])} and {where}"
        lowest = _lowest(effect)
        text = f"{label(effect.metric)} is {lowest} {where}: {_course(effect, k)}"
        return _made("optimum", effect, shares[k - 1], text)
    return None


def _ranking(effect: Effect) -> Statement | None:
    """Categories, the best first, where one of them is surely the best."""
    cost = _cost(effect)
    order = np.argsort(cost.mean(axis=0))
    probability = _share(cost.argmin(axis=1) == order[0])
    if probability < STATED:
        return None
    means, draws = effect.typical.mean(axis=0), effect.for_ratios
    first, *rest = order
    behind = ", ".join(
        f"{change(draws[:, i] / draws[:, first])} with {plain(effect.values[i])}" for i in rest
    )
    text = (
        f"{label(effect.metric)} is {_lowest(effect)} with {effect.parameter.name}"
        f" {plain(effect.values[first])}: {reading(effect.metric, means[first])}; {behind}"
    )
    return _made("ranking", effect, probability, text)


def _not_settled(effect: Effect) -> Statement:
    p, draws = effect.parameter, effect.for_ratios
    metric, ratio = label(effect.metric), draws[:, -1] / draws[:, 0]
    size = f"{change(ratio)} from {plain(effect.values[0])} to {bare(p, effect.values[-1])}"
    for does, _, sign in _BOTH if p.ordered else ():
        if (probability := _share(sign * np.log(ratio) > np.log1p(UNNOTICED))) >= STATED:
            text = (
                f"{metric} {does} with {p.name} from end to end: {size}; whether it {does} at every"
                " step between is not settled"
            )
            return _made("not settled", effect, probability, text)
    guesses = {"that there is none": _share(level(draws))}
    if p.ordered:
        guesses |= {f"that {metric} {does}": _share(moves(draws, sign)) for does, _, sign in _BOTH}
    guess = max(guesses, key=lambda g: guesses[g])
    text = f"the effect of {p.name} on {metric} is not settled, most likely {guess}: {size}"
    return _made("not settled", effect, guesses[guess], text)


def level(draws: Floats) -> Truths:
    """Which curves, shape (draws, V), change by less than `UNNOTICED` from end to end."""
    flat: Truths = draws.max(axis=1) <= (1 + UNNOTICED) * draws.min(axis=1)
    return flat


def moves(draws: Floats, sign: float) -> Truths:
    """Which curves rise (sign 1) or fall (-1) by more than `UNNOTICED`, and never go back by it."""
    logs = sign * np.log(draws)
    allowed = np.log1p(UNNOTICED)
    back = (np.maximum.accumulate(logs, axis=1) - logs).max(axis=1)
    moving: Truths = (logs[:, -1] - logs[:, 0] > allowed) & (back <= allowed)
    return moving


def _law(effect: Effect, values: Sequence[Value], draws: Floats) -> Law | None:
    in_percent = "%" in METRICS[effect.metric].unit
    return law_of([float(v) for v in values], draws, sums=not in_percent)


def _cost(effect: Effect) -> Floats:
    return (
        effect.for_ratios if METRICS[effect.metric].better == "minimize" else 1 / effect.for_ratios
    )


def _lowest(effect: Effect) -> str:
    return "least" if METRICS[effect.metric].better == "minimize" else "highest"


def _course(effect: Effect, turn: int | None = None) -> str:
    """Where it goes, as `20 ms at 1, 14 at 3, 13.6 at 4 connections`."""
    p, last = effect.parameter, len(effect.values) - 1
    means = effect.typical.mean(axis=0)
    stops = sorted({0, last if turn is None else turn, last})
    return ", ".join(
        f"{reading(effect.metric, means[i]) if i == 0 else figure(means[i])}"
        f" at {bare(p, effect.values[i]) if i == last else plain(effect.values[i])}"
        for i in stops
    )


def _share(true: Truths) -> float:
    return float(true.mean())


def _made(kind: Kind, effect: Effect, probability: float, text: str) -> Statement:
    condition = effect.parameter.when
    where = f", where {condition}" if condition is not None else ""
    return Statement(kind, (effect.parameter.name,), effect.metric, probability, text + where)
