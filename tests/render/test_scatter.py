"""Points drawn with characters, as `tune show` draws a front: what they show, and how wide."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.study.bursts import OBJECTIVES, burst, lost, study
from tuner.measure.record import StudyRecord
from tuner.pages.blocks import Scatter, ScatterSeries
from tuner.pages.front_figure import front_scatter
from tuner.render.scatter import HEIGHT, NARROWEST, WIDEST, PlotAxis, drawn
from tuner.render.terminal import plain_text
from tuner.results.places import front_data
from tuner.results.summary import summarise

ESCAPE = re.compile("\x1b\\[[0-9;]*m")
RECORD = study(
    burst(0, 1.0, 80.0),
    burst(1, 4.0, 20.0, cpu=0.5),
    burst(2, 9.0, 60.0, cpu=0.25),
    burst(3, 30.0, 1.0, replicas=2),
    lost(4, {"replicas": 3}),
)


def shown(record: StudyRecord, width: int | None = None) -> str:
    return plain_text(front_scatter(record, front_data(record, summarise(record))), width)


def test_every_measured_configuration_is_in_the_plot_and_the_front_stands_out() -> None:
    out = shown(RECORD)
    first, *lines = out.splitlines()
    assert first == "CPU usage (% of host)   o front   . others"
    assert lines[-1].strip() == "ART (ms)"
    canvas = [line.split("│")[1] for line in lines if line.count("│") == 2]
    canvas += [line.split("┤")[1].split("│")[0] for line in lines if "┤" in line]
    assert sum(line.count("o") for line in canvas) == 3
    assert sum(line.count(".") for line in canvas) == 1


def test_it_fits_and_is_plain_where_nobody_sees_colours() -> None:
    for width in (NARROWEST, 80, 200):
        out = shown(RECORD, width)
        assert "\x1b" not in out
        assert max(map(len, out.splitlines())) <= min(width, WIDEST)
        assert len(out.splitlines()) == HEIGHT + 1
        assert not any(line.endswith(" ") for line in out.splitlines())
    assert shown(RECORD, NARROWEST - 1) == ""


def test_a_wide_span_is_drawn_on_a_logarithmic_axis() -> None:
    wide, narrow = PlotAxis.of([1.0, 30.0]), PlotAxis.of([1.0, 10.0])
    assert wide.logarithmic
    assert not narrow.logarithmic
    assert not PlotAxis.of([0.0, 30.0]).logarithmic
    assert wide.ticks() == [1, 2, 5, 10, 20]
    assert narrow.ticks() == [2, 4, 6, 8, 10]
    assert wide.place(10.0) - wide.place(1.0) == pytest.approx(1)


@pytest.mark.parametrize(
    "record",
    [
        study(),
        study(lost(0, {})),
        study(burst(0, 1.0, 80.0)),
        study(burst(0, 1.0, 0.0), burst(1, 0.5, 5.0, cpu=0.5)),
        StudyRecord(
            "one",
            "mnist",
            RECORD.search_space,
            OBJECTIVES[:1],
            (),
            {},
            {},
            (replace(burst(0, 1.0, 2.0), values=(1.0,)),),
        ),
    ],
)
def test_whatever_was_measured_it_is_drawn_or_left_out(record: StudyRecord) -> None:
    if len(record.objectives) == 1:
        assert shown(record) == ""
        return
    out = shown(record)
    front = len(summarise(record).front)
    assert bool(out) == bool(front)
    assert out.count("o") >= front


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_an_axis_holds_its_values_and_a_few_round_ticks(values: list[float]) -> None:
    axis = PlotAxis.of(values)
    assert all(axis.low <= value <= axis.high for value in values)
    ticks = axis.ticks()
    assert len(ticks) <= 8
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert all(math.isfinite(axis.place(tick)) for tick in ticks)
    points = tuple((value, value) for value in values)
    scatter = Scatter("x", "y", (ScatterSeries("front", "o", points, "blue"),))
    text = ESCAPE.sub("", drawn(scatter, 70))
    assert max(map(len, text.splitlines())) <= 70
