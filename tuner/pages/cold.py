"""How cold first requests are, over all deployments of a study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tuner.measure.record import TrialRecord
from tuner.pages import theme
from tuner.pages.blocks import Block, Figure, Table, Words
from tuner.pages.panels import scale
from tuner.pages.sources import Sources
from tuner.results.first_requests import Sent, Spread, sent, spread_evenly, spreads
from tuner.results.wording import figure as number
from tuner.results.wording import span

NTH = ("first", "second", "third")
_MOST_READ = 100
"""Bursts of each kind whose first requests are compared, evenly over the study."""


def bursts_of(
    sources: Sources, trials: Sequence[TrialRecord]
) -> Iterator[tuple[TrialRecord, tuple[Sent, ...]]]:
    """Of the measured trials whose samples are there."""
    for trial in trials:
        if trial.measurement is None:
            continue
        recording = sources.study.recording(trial)
        if recording is not None and len(recording.samples):
            yield trial, sent(recording)


def over_the_study(sources: Sources) -> Iterator[Block]:
    """How much longer the first requests take than usual, over all deployments of the study."""
    measured = [t for t in sources.record.trials if t.measurement is not None and t.samples]
    kinds = {
        "fresh deployments": [t for t in measured if not t.stayed],
        "deployments that stayed up": [t for t in measured if t.stayed],
    }
    by_kind: dict[str, tuple[Spread, ...]] = {}
    for kind, trials in kinds.items():
        bursts = [b for _, b in bursts_of(sources, spread_evenly(trials, _MOST_READ))]
        if of_kind := spreads(bursts):
            by_kind[f"{kind} ({len(bursts)} of {len(trials)} bursts)"] = of_kind
    if not by_kind:
        return
    for kind, of_kind in by_kind.items():
        listed = "; ".join(
            f"the {NTH[s.nth - 1]} {number(s.median)} ({span(number(s.p25), number(s.p75))})"
            for s in of_kind
        )
        yield Words(
            f"Over the study's {kind}, times the replica's usual response time, as median and"
            f" quartiles over replicas: {listed}."
        )
    if len(by_kind) > 1:
        yield Words(
            "What stayed up had served a burst before, so what its first requests take longer is"
            " not a new server's: for one, all connections send at once as a burst begins. The two"
            " kinds are not of the same scenarios, so their difference is no measure of coldness."
        )
    yield _spread_figure(by_kind)


def _spread_figure(by_kind: dict[str, tuple[Spread, ...]]) -> Figure:
    plot = theme.plot(x="request of a replica", y="times the usual response time")
    for (kind, of_kind), colour in zip(by_kind.items(), (theme.BLUE, theme.GREY), strict=False):
        plot.add_trace(
            {
                "type": "box",
                "x": [NTH[s.nth - 1] for s in of_kind],
                "lowerfence": [s.p5 for s in of_kind],
                "q1": [s.p25 for s in of_kind],
                "median": [s.median for s in of_kind],
                "q3": [s.p75 for s in of_kind],
                "upperfence": [s.p95 for s in of_kind],
                "name": kind,
                "marker": {"color": colour},
            }
        )
    plot.add_hline(y=1, line={"dash": "dot", "width": 1, "color": theme.GREY})
    values = np.array([v for of_kind in by_kind.values() for s in of_kind for v in (s.p5, s.p95)])
    plot.update_yaxes(type=scale([values]))
    plot.update_layout(boxmode="group", meta={"log_switch": ["y"]})
    return Figure(
        "requests-cold",
        "How cold the first requests are",
        "The first, second and third request of each replica over its usual response time (the"
        " median of its measured window). Boxes are quartiles with the median, whiskers reach from"
        " the 5th to the 95th percentile over replicas. 1 is a request like all others.",
        plot,
        Table(
            ("bursts", "request", "replicas", "p5", "p25", "median", "p75", "p95"),
            tuple(
                (
                    *(kind, NTH[s.nth - 1], f"{s.count:,}"),
                    *(number(v) for v in (s.p5, s.p25, s.median, s.p75, s.p95)),
                )
                for kind, of_kind in by_kind.items()
                for s in of_kind
            ),
            "Ratios to the replica's usual response time",
        ),
    )
