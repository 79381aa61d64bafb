"""In plain words: what two parameters do together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tuner.results.dependence import compared
from tuner.results.factorial import Crossing
from tuner.results.importance import Interaction
from tuner.results.sample import Sample
from tuner.results.statements import STATED, UNNOTICED, Statement
from tuner.results.wording import amount, bare, change, label, percent, plain
from tuner.spec.space import Parameter, Value

LEAST = 0.01
"""Interactions below this share of the variance are not worth a sentence."""


def joint_statements(
    sample: Sample, interactions: Sequence[Interaction], most: int = 3
) -> tuple[Statement, ...]:
    """Statements about the `most` largest `interactions` of one metric."""
    large = [i for i in interactions if i.share.value >= LEAST][:most]
    statements = (_statement(sample, i, sample.factorial.pairs[i.parameters]) for i in large)
    return tuple(s for s in statements if s is not None)


def _statement(sample: Sample, interaction: Interaction, pair: Crossing) -> Statement | None:
    """How the effect of one parameter differs between the ends of the other.

    None where the model cannot say. If one of the two is a decision, its effect is described.
    """
    space = sample.factorial.space
    crossing = sample.where_served(pair)
    rows, values = crossing.rows, crossing.values
    acting, other = (space[name] for name in crossing.names)
    if acting.role == "scenario" and other.role == "decision":
        acting, other, rows, values = other, acting, rows.swapaxes(0, 1), values[::-1]
    if min(map(len, values)) < 2:
        return None
    # Ends only: a sentence has room for two by two.
    ends = slice(None, None, rows.shape[0] - 1), slice(None, None, rows.shape[1] - 1)
    corners = rows[ends]
    able = sample.feasible[corners] >= 0.5
    kept, settings = compared(able.reshape(4, -1))
    if len(kept) < 4:
        return None
    logs = sample.logs(interaction.metric)[:, corners[:, :, settings]]
    means = np.exp(logs.mean(axis=3))
    low, high = (means[:, 1, j] / means[:, 0, j] for j in (0, 1))
    more = np.log(high / low)
    sign = np.sign(more.mean())
    probability = float((sign * more > np.log1p(UNNOTICED)).mean())
    if probability < STATED:
        return None
    text = (
        f"{acting.name} and {other.name} act together on {label(interaction.metric)}"
        f" ({percent(interaction.share.value)} of its variation); {_way(acting, values[0])}:"
        f" {change(low)} at {amount(other, values[1][0])},"
        f" {change(high)} at {bare(other, values[1][-1])}"
    )
    return Statement(
        "interaction", (acting.name, other.name), interaction.metric, probability, text
    )


def _way(parameter: Parameter, values: Sequence[Value]) -> str:
    return f"{parameter.name} from {plain(values[0])} to {bare(parameter, values[-1])}"
