"""The section on the first requests of a burst: how cold they are, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tuner.measure.record import TrialRecord
from tuner.pages import theme
from tuner.pages.blocks import Block, Figure, Section, Table, View, Words
from tuner.pages.cold import NTH, bursts_of, over_the_study
from tuner.pages.panels import Panel, light, panels, scale
from tuner.pages.sources import Sources
from tuner.pages.theme import Trace
from tuner.results.first_requests import POINTS, SLOW, Sent, thinned
from tuner.results.wording import figure as number

NAME, TITLE = "requests", "The first requests"

_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "star", "hexagon", "bowtie")
_LEFT_OUT = ("none", "the first", "the first two")
"""How many of each replica's first requests a view leaves out."""


@dataclass(frozen=True, eq=False)
class _Shown:
    """A trial whose burst is drawn; `role` is `baseline` or `recommended`."""

    role: str
    trial: TrialRecord
    replicas: tuple[Sent, ...]

    @property
    def label(self) -> str:
        return f"{self.role}, trial {self.trial.number}"


def requests(sources: Sources) -> Section:
    """Response time by the order of sending, as in the document that the project grew from."""
    shown, missing = _shown(sources)
    blocks: list[Block] = list(_words(shown))
    blocks += [Words(text, "doubt") for text in missing]
    if shown:
        blocks.append(_in_order(shown))
    blocks += over_the_study(sources)
    return Section(NAME, TITLE, tuple(blocks))


def _shown(sources: Sources) -> tuple[list[_Shown], list[str]]:
    """The bursts to draw, and the reasons why others are missing.

    A fresh deployment is preferred to one that stayed up.
    """
    shown: list[_Shown] = []
    missing: list[str] = []
    headline = sources.summary.headline
    recommended = None if headline is None else headline.pooled.representative
    roles = {"baseline": sources.record.baseline, "recommended": recommended}
    for role, trial in roles.items():
        if trial is None:
            missing.append(f"There is no {role} trial: nothing was measured for it.")
            continue
        if any(trial.configuration == s.trial.configuration for s in shown):
            continue
        alike = [t for t in sources.record.trials if t.configuration == trial.configuration]
        burst = next(bursts_of(sources, sorted(alike, key=lambda t: t.stayed)), None)
        if burst is None:
            missing.append(f"No samples are kept of the {role} (trial {trial.number}): no figure.")
        else:
            shown.append(_Shown(role, *burst))
    return shown, missing


def _words(shown: Sequence[_Shown]) -> Iterator[Block]:
    for of in shown:
        if text := _told(of):
            yield Words(text, "plain" if of.trial.stayed else "lead")
        if of.trial.stayed:
            yield Words(
                f"Trial {of.trial.number} was measured on the deployment of an earlier trial, so"
                " its first requests are not cold: no burst of this configuration on a fresh"
                " deployment has its samples kept.",
                "doubt",
            )
    if not shown:
        return
    warmups = " and ".join(
        f"{of.trial.measurement.warmup_requests:,} ({of.label})"
        for of in shown
        if of.trial.measurement is not None
    )
    yield Words(
        f"The warm-up took so many requests: {warmups}. It ends when response times no longer"
        " drift, so nobody has to guess how many requests to exclude. They are recorded, and drawn"
        " here, but never counted: ART and every other metric begin with the measured window."
    )
    docker = any(of.trial.backend == "docker" for of in shown)
    yield Words(
        "Requests are numbered for each replica by itself, in order of sending, since it is a"
        " replica that is cold; connections are open before. Where several connections share a"
        " replica, its first requests are sent at the same moment and also wait for one another."
        + (
            " Each replica has answered a few golden requests before, by which it is checked, so"
            " the very first inference of its server is not among these."
            if docker
            else ""
        )
    )


def _told(of: _Shown) -> str:
    replicas = [s for s in of.replicas if s.usual_ms]
    if not replicas:
        return ""
    several = len(replicas) > 1
    parts = []
    for k, nth in enumerate(NTH[:2]):
        ratios = [r for s in replicas if len(s.ratios) > k and np.isfinite(r := float(s.ratios[k]))]
        if ratios:
            times = _range(number(min(ratios)), number(max(ratios)))
            parts.append(f"{times} times" if k == 0 else f"the {nth} {times} times")
    if not parts:
        return ""
    usual = sorted(s.usual_ms for s in replicas if s.usual_ms)
    slow = sorted(s.slow for s in replicas)
    whose = f"its {len(replicas)} replicas' first requests" if several else "its first request"
    return (
        f"{of.role.capitalize()} (trial {of.trial.number}): {whose} took"
        f" {' and '.join(parts)} the usual"
        f" {_range(*(number(v) for v in (usual[0], usual[-1])))} ms (the median of the measured"
        f" window). Counted from the first, {_range(str(slow[0]), str(slow[-1]))} in a row took at"
        f" least {SLOW:g} times as long as usual."
    )


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _in_order(shown: Sequence[_Shown]) -> Figure:
    """Response times in order of sending, with views that leave out each replica's first ones."""
    every = [sent for of in shown for sent in of.replicas if len(sent)]
    xaxis = {"type": scale([np.arange(1, len(sent) + 1) for sent in every])}
    yaxis = {"type": scale([sent.ms for sent in every])}
    x, y = "request, in order of sending", "response time (ms)"
    drawn: list[list[Trace]] = [[] for _ in shown]
    for skip in range(len(_LEFT_OUT)):
        named: set[int] = set()
        for traces, of in zip(drawn, shown, strict=True):
            traces += [{**t, "visible": skip == 0, "meta": skip} for t in _traces(of, skip, named)]
    plot = panels(
        [
            Panel(x, y, traces, xaxis, yaxis, title=of.label)
            for of, traces in zip(shown, drawn, strict=True)
        ],
        shapes=[*_warmups(shown)],
        meta={"log_switch": ["x", "y"]},
    )
    views = [
        {i for i, trace in enumerate(plot.data) if trace.meta == skip}
        for skip in range(len(_LEFT_OUT))
    ]
    return Figure(
        "requests-in-order",
        "Response time by request",
        "Response time of each request by its number in order of sending; the warm-up, up to the"
        " dotted line, is included. Crosses failed. Of long bursts the least and the greatest of"
        " each run of neighbours are drawn.",
        plot,
        Table(
            (
                *("trial", "replica", "left out", "requests", "of these warm-up", "failed"),
                *("first drawn (ms)", "median (ms)", "p95 (ms)", "slowest (ms)"),
            ),
            tuple(
                _row(of, sent, skip)
                for of in shown
                for sent in of.replicas
                for skip in range(len(_LEFT_OUT))
                if len(sent) > skip
            ),
        ),
        views=tuple(
            View(name, frozenset(traces)) for name, traces in zip(_LEFT_OUT, views, strict=True)
        ),
        choice="First requests left out",
    )


def _traces(of: _Shown, skip: int, named: set[int]) -> Iterator[Trace]:
    """The marks of each replica. Replicas in `named` are in the legend already."""
    for sent in of.replicas:
        kept = thinned(sent.ms, skip, max(POINTS // len(of.replicas), 100))
        for succeeded in (True, False):
            at = kept[sent.ok[kept] == succeeded]
            if len(at):
                yield _marks(sent, at, succeeded=succeeded, named=sent.replica not in named)
                named.add(sent.replica)


def _marks(sent: Sent, at: np.ndarray, *, succeeded: bool, named: bool) -> Trace:
    return {
        "type": "scatter",
        "x": (at + 1).astype(np.uint32),
        "y": light(sent.ms[at]),
        "mode": "markers",
        "name": f"replica {sent.replica}",
        "legendgroup": f"replica {sent.replica}",
        "showlegend": named,
        "marker": {
            "size": 5 if succeeded else 8,
            "opacity": 0.7,
            "color": theme.SERIES[sent.replica % len(theme.SERIES)],
            "symbol": _SYMBOLS[sent.replica % len(_SYMBOLS)] if succeeded else "x-thin-open",
        },
        "hovertemplate": "request %{x}: %{y:.3g} ms" + ("" if succeeded else ", failed"),
    }


def _warmups(shown: Sequence[_Shown]) -> Iterator[dict[str, Any]]:
    """In each panel, a line where the warm-up ended."""
    for k, of in enumerate(shown):
        if warmup := max((sent.warmup for sent in of.replicas), default=0):
            name = str(k + 1) if k else ""
            yield {
                "type": "line",
                "x0": warmup + 0.5,
                "x1": warmup + 0.5,
                "y0": 0,
                "y1": 1,
                "xref": f"x{name}",
                "yref": f"y{name} domain",
                "line": {"dash": "dot", "width": 1.5, "color": theme.GREY},
            }


def _row(of: _Shown, sent: Sent, skip: int) -> tuple[str, ...]:
    ms = sent.ms[skip:]
    p95 = float(np.quantile(ms, 0.95))
    return (
        *(of.label, str(sent.replica), _LEFT_OUT[skip]),
        *(f"{len(ms):,}", f"{max(0, sent.warmup - skip):,}"),
        f"{int(np.count_nonzero(~sent.ok[skip:])):,}",
        *(number(float(v)) for v in (ms[0], np.median(ms), p95, ms.max())),
    )
