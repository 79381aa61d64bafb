"""A page as one HTML file: no network, no clock, nothing of it can run but our own scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from tuner.pages.blocks import (
    Block,
    Commands,
    Facts,
    Figure,
    Log,
    Page,
    Points,
    Table,
    Words,
    figures,
)
from tuner.render import columns, inert
from tuner.render.legible import legible

MANY = 50
"""A table of more rows is folded away."""

WIDE = 9
"""A table of more columns is set in smaller type where it must fit its column."""

_SHORT = 12
"""Characters of a column's name that stand in one line with its unit."""

_INTERVAL = re.compile(r"\([-+\d][^()<>&]*\)")

_FIRST = "document.documentElement.classList.add('js');"
"""Before anything is shown: what needs no script hides what needs one, and the other way round."""

_DEFAULT_HEIGHT = 450
"""Of a figure that names none: Plotly's own, in pixels."""


def to_html(page: Page) -> str:
    """`page` as a document that works from a file, offline; the same page gives the same text.

    A link to what the page does not hold is text. Raises ValueError for a name that stands for two
    things.
    """
    names = list(_names(page))
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(f"names that are not unique on the page: {', '.join(twice)}")
    scripts = _FIRST, get_plotlyjs(), _own("page.js")
    template = _environment().get_template("page.html.jinja")
    return template.render(
        page=page,
        targets=frozenset(names),
        many=MANY,
        policy=_policy(scripts),
        style=_own("page.css"),
        first_script=scripts[0],
        plotly=scripts[1],
        script=scripts[2],
    )


def to_fragment(blocks: Sequence[Block]) -> str:
    """`blocks` as HTML for a notebook: text and tables, without style, scripts or figures."""
    macros = _environment().get_template("blocks.html.jinja")
    module = macros.make_module({"targets": frozenset(), "many": MANY})
    shown = (block for block in blocks if not isinstance(block, Figure))
    return "".join(str(module.block(block)) for block in shown)  # type: ignore[attr-defined] # a macro


def _names(page: Page) -> Iterator[str]:
    yield "report"
    yield from (section.name for section in (*page.sections, *page.pages))
    yield from (figure.name for figure in figures(page))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tuner", "render"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        finalize=_readable,
    )
    kinds = {
        "words": Words,
        "facts": Facts,
        "table": Table,
        "log": Log,
        "commands": Commands,
        "points": Points,
    }
    environment.tests |= {name: partial(_is, kind) for name, kind in kinds.items()}  # type: ignore[misc] # any callable
    environment.globals |= {
        "kinds_of": columns.kinds,
        "folded": columns.folded,
        "breakable": _breakable,
        "together": _together,
        "wide": WIDE,
        "drawing": _drawing,
        "asked": _asked,
        "logarithmic": _logarithmic,
        "height": _height,
    }
    return environment


def _readable(text: object) -> object:
    """`text` without what no HTML document may hold."""
    if not isinstance(text, str) or isinstance(text, Markup):
        return text
    return legible(text)


def _breakable(name: str) -> Markup:
    """A column's name in lines: its unit in one of its own, and a break after each underscore."""
    text = Markup("_<wbr>").join(map(Markup.escape, legible(name).split("_")))
    return text.replace(" (", Markup("<br>(")) if len(name) > _SHORT else text


def _together(cell: str) -> Markup:
    """A cell's text, in which no interval goes on in another line."""
    text = str(Markup.escape(legible(cell)))
    return Markup(_INTERVAL.sub(r"<span>\g<0></span>", text))  # noqa: S704 -- escaped above # nosec B704


def _is(kind: type, block: Block) -> bool:
    return isinstance(block, kind)


@cache
def _own(name: str) -> str:
    """A file beside this one."""
    return files("tuner.render").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: tuple[str, ...]) -> str:
    """A Content-Security-Policy: these scripts alone, and no connection whatsoever.

    Plotly writes style rules as it draws, and makes images of figures as `data:` and `blob:`.
    """
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _drawing(figure: Figure) -> Markup:
    """The figure as JSON that can stand in a script element: `<`, `>` and `&` are escaped."""
    return htmlsafe_json_dumps(
        inert.inert_figure(figure.plot),
        dumps=json.dumps,
        cls=PlotlyJSONEncoder,
        sort_keys=True,
        separators=(",", ":"),
    )


def _asked(figure: Figure) -> Markup:
    """The views and bounds of a figure, as `_drawing`."""
    document: dict[str, object] = {"views": [sorted(view.traces) for view in figure.views]}
    if figure.bounds is not None:
        document |= asdict(figure.bounds)
    return htmlsafe_json_dumps(_legible(document), sort_keys=True, separators=(",", ":"))


def _legible(value: Any) -> Any:  # noqa: ANN401 -- any part of a document
    match value:
        case str():
            return legible(value)
        case dict():
            return {legible(key): _legible(part) for key, part in value.items()}
        case list() | tuple():
            return [_legible(part) for part in value]
    return value


def _logarithmic(figure: Figure) -> tuple[str, ...]:
    """The axes (`x`, `y`) that have a switch to a logarithmic scale, by the layout's `meta`."""
    meta = figure.plot.layout.meta
    switches = meta.get("log_switch", ()) if isinstance(meta, dict) else ()
    return tuple(axis for axis in ("x", "y") if axis in switches)


def _height(figure: Figure) -> int:
    return int(figure.plot.layout.height or _DEFAULT_HEIGHT)
