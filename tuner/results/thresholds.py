"""In plain words: at which values of a parameter a configuration is feasible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuner.arrays import Floats
from tuner.results.statements import STATED, Kind, Statement
from tuner.results.wording import amount
from tuner.spec.space import Parameter, Value


def feasibility(
    parameter: Parameter, values: Sequence[Value], table: Floats
) -> tuple[Statement, ...]:
    """At which values hardly anything, or not everything, is feasible.

    `table`, shape (V, S), has the probability for each value in each setting of the others.
    Nothing is said where no value is feasible for the most part.
    """
    mean = table.mean(axis=1)
    if mean.max() < STATED:
        return ()
    statements, best = [], int(mean.argmax())
    low = [k for k in range(len(values)) if mean[k] <= 1 - STATED]
    if parameter.ordered:
        # Of several that are too little, the largest says it all.
        little = [k for k in low if k < best and all(j in low for j in range(k))]
        much = [k for k in low if k > best and all(j in low for j in range(k, len(values)))]
        for which, word, pick in ((little, "little", max), (much, "much", min)):
            if which:
                k = pick(which)
                also = (" or less" if word == "little" else " or more") if len(which) > 1 else ""
                text = f"{amount(parameter, values[k])}{also} is too {word}"
                statements.append(_possible(parameter, "infeasible", 1 - mean[k], text))
        low = [k for k in low if k not in little + much]
    for k in low:
        text = f"{amount(parameter, values[k])} is not feasible"
        statements.append(_possible(parameter, "infeasible", 1 - mean[k], text))
    for k, value in enumerate(values):
        surely, hardly = table[k] >= 0.9, table[k] <= 0.1
        certain = surely | hardly
        sure = (
            float(np.where(surely, table[k], 1 - table[k])[certain].mean())
            if certain.any()
            else 0.0
        )
        if min(surely.mean(), hardly.mean()) >= 0.1 and certain.mean() >= STATED:
            text = (
                f"{amount(parameter, value)} is feasible in some settings of the other parameters"
                f" only (about {100 * mean[k]:.0f} %)"
            )
            statements.append(_possible(parameter, "partly feasible", sure, text))
    return tuple(statements)


def _possible(parameter: Parameter, kind: Kind, probability: float, text: str) -> Statement:
    return Statement(kind, (parameter.name,), None, float(probability), text)
