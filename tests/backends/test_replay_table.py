"""What a recorded grid knows of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.backends.grids import BURST_SECONDS, DEPLOY_SECONDS, TEAR_DOWN_SECONDS, grid_of
from tests.study.small import specification
from tuner.spec.space import Configuration


def test_every_pass_that_is_whole_is_counted() -> None:
    table = grid_of(specification(), passes=3)
    assert table.passes == (0, 1, 2)
    assert len(table.by_configuration) == 36
    assert all(
        [t.pass_number for t in group] == [0, 1, 2] for group in table.by_configuration.values()
    )
    assert replace(table, trials=table.trials[:-1]).passes == (0, 1)
    assert replace(table, trials=()).passes == ()


def test_a_pass_costs_its_bursts_and_each_deployment_once() -> None:
    spec = specification()
    table = grid_of(spec)
    deployments = {spec.search_space.deployment_of(c) for c in spec.search_space.grid()}
    assert len(deployments) == 18
    once = 36 * BURST_SECONDS + 18 * (DEPLOY_SECONDS + TEAR_DOWN_SECONDS)
    assert table.ordered_seconds == pytest.approx(once)
    # The same where every trial had a deployment of its own.
    afresh = [
        replace(t, stayed=False, deploy_seconds=DEPLOY_SECONDS, tear_down_seconds=TEAR_DOWN_SECONDS)
        for t in table.trials
    ]
    assert replace(table, trials=tuple(afresh)).ordered_seconds == pytest.approx(once)


def test_a_deployment_costs_what_those_made_afresh_took() -> None:
    table = grid_of(specification())
    first = table.trials[0]
    assert table.deployment_seconds(first.configuration) == DEPLOY_SECONDS + TEAR_DOWN_SECONDS
    slow = [
        replace(t, deploy_seconds=9.0) if t.configuration == first.configuration else t
        for t in table.trials
    ]
    assert replace(table, trials=tuple(slow)).deployment_seconds(first.configuration) == 10.0
    # One that only ever stayed costs what others did on average; one that was spared cost nothing.
    stayed = [replace(t, stayed=True) if t.number < 2 else t for t in table.trials[:36]]
    assert replace(table, trials=tuple(stayed)).deployment_seconds(first.configuration) == 6.0
    spared = [replace(t, same_as=0, deploy_seconds=0.0) if t.number else t for t in table.trials]
    assert replace(table, trials=tuple(spared)).deployment_seconds(first.configuration) == 6.0


def test_what_was_cut_short_is_not_among_the_measurements_of_its_configuration() -> None:
    table = grid_of(specification())
    cut = (replace(table.trials[0], cut_short="dominated"), *table.trials[1:])
    found = replace(table, trials=cut).by_configuration[table.trials[0].configuration]
    assert [t.pass_number for t in found] == [1]


def test_a_part_of_the_grid_is_what_a_smaller_space_has() -> None:
    table = grid_of(specification())
    small = specification(("[0.25, 0.5, 1]", "[0.5, 1]"), ("[8, 64, 256]", "[256]"))
    part = table.inside(small.search_space)
    assert set(part.by_configuration) == set(small.search_space.grid())
    assert part.passes == (0, 1)
    other = specification(("[0.25, 0.5, 1]", "[0.75, 1]"))
    assert {c["cpu"] for c in table.inside(other.search_space).by_configuration} == {1.0}
    continuous = specification(("choices: [0.25, 0.5, 1]", "low: 0.1, high: 2"))
    assert len(table.inside(continuous.search_space).by_configuration) == 36


def test_an_empty_grid_costs_nothing() -> None:
    table = replace(grid_of(specification()), trials=())
    assert table.ordered_seconds == 0
    assert table.deployment_seconds(Configuration.of({"cpu": 1.0})) == 0
    assert table.recorded is None
