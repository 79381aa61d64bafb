"""The plot of `tune show`: what it shows, how wide it is, and what is left of it in a pipe."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.command import Tune
from tests.cli.small_study import small_study
from tests.study.bursts import OBJECTIVES, burst, lost, study
from tuner.cli import tables
from tuner.cli.front_plot import HEIGHT, NARROWEST, WIDEST, Axis, drawn, show_plot
from tuner.measure.record import StudyRecord
from tuner.results.summary import summarise

ESCAPE = re.compile("\x1b\\[[0-9;]*m")
RECORD = study(
    burst(0, 1.0, 80.0),
    burst(1, 4.0, 20.0, cpu=0.5),
    burst(2, 9.0, 60.0, cpu=0.25),
    burst(3, 30.0, 1.0, replicas=2),
    lost(4, {"replicas": 3}),
)


def shown(
    record: StudyRecord,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int = 180,
) -> str:
    monkeypatch.setattr(tables.console, "width", width)
    capsys.readouterr()
    show_plot(record, summarise(record))
    return capsys.readouterr().out


def test_every_measured_configuration_is_in_the_plot_and_the_front_stands_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shown(RECORD, capsys, monkeypatch)
    first, *lines = out.splitlines()
    assert first == "CPU usage (% of host)   o front   . others"
    assert lines[-1].strip() == "ART (ms)"
    canvas = [line.split("│")[1] for line in lines if line.count("│") == 2]
    canvas += [line.split("┤")[1].split("│")[0] for line in lines if "┤" in line]
    assert sum(line.count("o") for line in canvas) == 3
    assert sum(line.count(".") for line in canvas) == 1


def test_it_fits_and_is_plain_where_nobody_sees_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in (NARROWEST, 80, 200):
        out = shown(RECORD, capsys, monkeypatch, width)
        assert "\x1b" not in out
        assert max(map(len, out.splitlines())) <= min(width, WIDEST)
        assert len(out.splitlines()) == HEIGHT + 1
        assert not any(line.endswith(" ") for line in out.splitlines())
    assert shown(RECORD, capsys, monkeypatch, NARROWEST - 1) == ""


def test_a_wide_span_is_drawn_on_a_logarithmic_axis() -> None:
    wide, narrow = Axis.of([1.0, 30.0]), Axis.of([1.0, 10.0])
    assert wide.logarithmic
    assert not narrow.logarithmic
    assert not Axis.of([0.0, 30.0]).logarithmic
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
def test_whatever_was_measured_it_is_drawn_or_left_out(
    record: StudyRecord, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if len(record.objectives) == 1:
        assert shown(record, capsys, monkeypatch) == ""
        return
    out = shown(record, capsys, monkeypatch)
    front = len(summarise(record).front)
    assert bool(out) == bool(front)
    assert out.count("o") >= front


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=6))
def test_an_axis_holds_its_values_and_a_few_round_ticks(values: list[float]) -> None:
    axis = Axis.of(values)
    assert all(axis.low <= value <= axis.high for value in values)
    ticks = axis.ticks()
    assert len(ticks) <= 8
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert all(math.isfinite(axis.place(tick)) for tick in ticks)
    text = ESCAPE.sub("", drawn([], [(value, value) for value in values], "x", 70))
    assert max(map(len, text.splitlines())) <= 70


def test_show_has_the_plot_and_a_pipe_gets_no_escape_codes(tune: Tune) -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(small_study())
    small = ("--study", "small", "--backend", "simulated")
    assert tune("run", *small).code == 0
    piped = subprocess.run(
        [sys.executable, "-m", "tuner", "show", *small], capture_output=True, text=True, check=True
    )
    assert "CPU usage (% of host)   o front" in piped.stdout
    assert "\x1b" not in piped.stdout + piped.stderr
    program = (
        "import os, pty, sys\n"
        "words = [sys.executable, '-m', 'tuner', 'show', *sys.argv[1:]]\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn(words)))\n"
    )
    told = {}
    for name, setting in (("colour", {}), ("plain", {"NO_COLOR": "1"})):
        ended = subprocess.run(
            [sys.executable, "-c", program, *small],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", **setting},
        )
        told[name] = ended.stdout
    coloured = re.compile("\x1b\\[[0-9;]*3[0-9][0-9;]*mo")
    assert coloured.search(told["colour"])
    assert not coloured.search(told["plain"])
    plot = [line for line in told["plain"].splitlines() if "│" in line]
    assert plot
    assert max(len(ESCAPE.sub("", line)) for line in plot) <= 80
