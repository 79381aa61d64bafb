from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.search_contenders import CONTENDERS, observed, run
from benchmarks.search_figure import by_cost, by_trials, write_figure
from benchmarks.search_judge import marks
from benchmarks.search_peers import evaluator
from benchmarks.search_problems import problem
from benchmarks.search_runs import Outcome, Source, Task, from_line, outcome, outcomes, to_line
from benchmarks.search_tables import grouped, overall_table, scenarios_table, trials_to
from benchmarks.search_timing import timed
from tests.search.small_problem import SMALL, answer


def test_a_search_is_reproducible_and_tells_what_it_measured() -> None:
    at = problem("T2")
    one, other = (run(CONTENDERS["random"], at, 3, 30) for _ in range(2))
    np.testing.assert_array_equal(one.rows, other.rows)
    np.testing.assert_array_equal(one.values, other.values)
    assert len(set(one.rows.tolist())) == 30
    able = np.isfinite(one.values).all(axis=1)
    np.testing.assert_array_equal(able, at.feasible[one.rows])
    assert 0 < able.sum() < 30
    seen = observed(at, one)
    assert [o.values is not None for o in seen] == able.tolist()
    assert [o.relative_sd == () for o in seen] == (~able).tolist()
    assert len(observed(at, one, 7)) == 7
    assert at.lattice.index(at.space.baseline()) == one.rows[0]
    assert np.isnan(one.proposal_seconds[:10]).all()
    assert (one.proposal_seconds[10:] > 0).all()


def test_the_noise_does_not_depend_on_who_searches() -> None:
    at = problem("T1")
    one, other = (run(CONTENDERS[name], at, 5, 12) for name in ("random", "qmc"))
    np.testing.assert_array_equal(one.rows[:4], other.rows[:4])
    np.testing.assert_array_equal(one.values[:4], other.values[:4])


def test_a_proposal_can_be_timed_when_there_are_more_trials_than_configurations() -> None:
    found = timed(CONTENDERS["random"], SMALL, 20, proposals=2)
    assert found.first > 0
    assert found.later > 0


def made(seed: int, share: tuple[float, ...], seconds: tuple[float, ...]) -> Outcome:
    known = marks(SMALL, [answer(0.0, 1, 2)])
    return Outcome(
        "small", "random", seed, share, share, seconds, known, {2: known}, 0.25, 0.0, 1.5
    )


def test_an_outcome_survives_its_line_of_json() -> None:
    found = made(1, (0.5, 0.96, 1.0), (7.0, 9.0, 16.0))
    assert from_line(to_line(found)) == found


def test_the_median_of_what_was_not_reached_by_most_is_infinite() -> None:
    runs = [made(seed, share, (7.0, 14.0)) for seed, share in enumerate([(0.1, 0.96), (0.2, 0.9)])]
    assert math.isinf(trials_to(runs, 0.95))
    assert trials_to([*runs, made(2, (0.96, 1.0), (7.0, 14.0))], 0.95) == 2
    text = overall_table([SMALL], ["random", "absent"], grouped(runs))
    (line,) = (line for line in text.splitlines() if line.startswith("random"))
    assert line.split()[1:4] == [">2", ">2", ">2"]
    assert "absent" not in text


def test_the_second_table_has_the_grid_beside_the_searches() -> None:
    runs = [made(seed, (0.5, 1.0), (7.0, 9.0)) for seed in range(2)]
    lines = scenarios_table(
        [SMALL], ["random"], grouped(runs), 2, {"small": [runs[0].raw]}
    ).splitlines()
    heads = [line[:40].strip() for line in lines]
    assert heads[3:] == [
        "best six",
        "full grid, measured once",
        "full grid, measured twice",
        "full grid, once, smoothed",
        "random: 2 trials",
        "random: raw values",
    ]
    assert lines[7].split()[-2:] == ["9", "25.0%"]
    dependent = replace(SMALL, independent=False)
    assert "twice" not in scenarios_table([dependent], ["random"], grouped(runs), 2, {})


def test_bands_are_quartiles_along_trials_and_what_was_finished_by_then_along_cost() -> None:
    runs = [made(seed, (0.1 * seed, 0.5, 1.0), (10.0, 20.0, 30.0)) for seed in range(5)]
    trials = by_trials(runs)
    assert trials.x.tolist() == [1, 2, 3]
    np.testing.assert_allclose([trials.low[0], trials.middle[0], trials.high[0]], [0.1, 0.2, 0.3])
    cost = by_cost(runs, 60.0)
    assert cost.x[-1] == pytest.approx(50.0)
    assert cost.middle[0] == 0.0
    assert cost.middle[np.searchsorted(cost.x, 25.0)] == pytest.approx(0.2)
    assert cost.middle[-1] == 1.0


def test_the_figure_is_one_page_with_every_contender(tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    runs = [made(seed, (0.5, 1.0), (7.0, 9.0)) for seed in range(3)]
    path = tmp_path / "figure.html"
    write_figure(path, [SMALL], ["random"], grouped(runs))
    text = path.read_text()
    assert '"name":"random"' in text
    assert "cdn" not in text.split("<body>")[0]


def test_searches_run_in_processes_and_a_broken_one_is_told_and_does_not_stop_them() -> None:
    good = Task(Source("T1"), "random", 1, 15, (15,), "python")
    broken = replace(good, contender="nobody")
    found = list(outcomes([broken, good], jobs=1))
    (told,) = (o for o in found if isinstance(o, str))
    (one,) = (o for o in found if isinstance(o, Outcome))
    assert "nobody" in told
    assert one == replace(outcome(good), proposal_ms=one.proposal_ms)
    assert one.share[-1] == pytest.approx(problem("T1").hypervolume(_rows(good)))
    assert list(one.model) == [15]
    assert 0 < one.model[15].hypervolume <= 1


def _rows(task: Task) -> npt.NDArray[np.intp]:
    return run(CONTENDERS[task.contender], task.source.problem(), task.seed, task.trials).rows


def test_peers_are_told_line_by_line_until_the_lines_end() -> None:
    outgoing = io.StringIO()
    evaluate = evaluator(io.StringIO("[1.5, 2.0]\nnull\n"), outgoing)
    assert evaluate([0, 2]) == [1.5, 2.0]
    assert evaluate([1, 1]) is None
    with pytest.raises(EOFError):
        evaluate([1, 0])
    assert [json.loads(line) for line in outgoing.getvalue().splitlines()] == [
        [0, 2],
        [1, 1],
        [1, 0],
    ]
