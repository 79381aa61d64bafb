"""Figures whose texts cannot do anything, whoever wrote them.

Plotly reads a little HTML in every text that it draws (`<b>`, `<a href>`, `<span style>`).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import plotly.graph_objects as go

from tuner.render.legible import legible

_ALLOWED = re.compile(r"</?(?:b|i|sub|sup|extra)>|<br ?/?>")
"""Without attributes: no link, no style."""


def inert_figure(figure: go.Figure) -> dict[str, Any]:
    """The JSON of `figure` for plotly.js, with NumPy arrays as typed arrays.

    None of its texts can become a link.
    """
    inert: dict[str, Any] = _inert(figure.to_dict())
    return inert


def _inert(value: Any) -> Any:  # noqa: ANN401 -- any part of a figure
    match value:
        case str():
            return inert_text(value)
        case dict():
            return {key: _inert(part) for key, part in value.items()}
        case list() | tuple():
            return [_inert(part) for part in value]
        case np.ndarray() if value.dtype.kind in "OUS":
            return _inert(value.tolist())
    return value


def inert_text(value: str) -> str:
    """`value` with the markup that figures use, and every other `<` as the sign that it is."""
    value = legible(value)
    if "<" not in value:
        return value
    pieces, end = [], 0
    for allowed in _ALLOWED.finditer(value):
        pieces += [value[end : allowed.start()].replace("<", "&lt;"), allowed.group()]
        end = allowed.end()
    return "".join((*pieces, value[end:].replace("<", "&lt;")))
