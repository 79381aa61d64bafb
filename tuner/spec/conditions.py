"""Conditions written as text: `batching == true`, `mode != fast`, `cpu in [1, 2]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

from tuner.errors import InputError
from tuner.spec import yaml
from tuner.spec.problems import UnexpectedError
from tuner.spec.space import Comparison, Condition, Value

EXPECTED = "a condition such as 'batching == true', 'mode != fast' or 'cpu in [1, 2]'"

_FORM = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(==|!=|\bin\b)\s*(\S.*?)\s*", re.DOTALL)


def parse(text: str) -> Condition:
    """The condition that `text` states: a parameter, a comparison, and what it is compared with.

    `==` and `!=` take a value, `in` a list of values in brackets, each written as a YAML file holds
    it: 1, 1e-3, true, fast, "1". Raises UnexpectedError (an InputError) for any other form.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise UnexpectedError(EXPECTED, text)
    name, comparison, right = match.groups()
    try:
        read = yaml.parse(right, Path("when")).data
    except InputError as error:
        raise UnexpectedError(EXPECTED, text) from error
    in_brackets = right.startswith("[")
    values = read if in_brackets else [read]
    if in_brackets != (comparison == "in") or not values or not all(map(_is_value, values)):
        raise UnexpectedError(EXPECTED, text)
    return Condition(name, cast("Comparison", comparison), tuple(cast("list[Value]", values)))


def _is_value(found: object) -> bool:
    return isinstance(found, (bool, int, float, str))
