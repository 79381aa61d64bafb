"""Constraints written as text: `p95_ms <= 80`."""

from __future__ import annotations

import math
import re

from tuner.spec.metrics import METRICS
from tuner.spec.problems import UnexpectedError, nearest
from tuner.spec.study import Constraint

EXPECTED = "a constraint such as 'p95_ms <= 80' (a metric, <= or >=, a number)"

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_FORM = re.compile(rf"\s*([A-Za-z]\w*)\s*(<=|>=)\s*({_NUMBER})\s*")


def parse(text: str) -> Constraint:
    """The constraint that `text` states; the bound is in the metric's own unit.

    Raises UnexpectedError (an InputError) where the form or the metric is unknown.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UnexpectedError(EXPECTED, text)
    metric, sign, bound = match.groups()
    check_metric(metric)
    number = float(bound)
    if not math.isfinite(number):
        raise UnexpectedError("a finite number as bound", text)
    return Constraint(metric, "<=" if sign == "<=" else ">=", number)


def check_metric(name: str) -> str:
    """The name itself, where it is a metric; UnexpectedError otherwise."""
    if name not in METRICS:
        hint = nearest(name, METRICS) or f"; the metrics are {', '.join(METRICS)}"
        raise UnexpectedError("the name of a metric", name, hint)
    return name
