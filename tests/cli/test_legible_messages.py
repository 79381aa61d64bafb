"""What a command says of a name cannot steer the terminal."""

from __future__ import annotations

from tests.cli.command import Tune
from tuner.render.legible import legible


def test_an_error_that_quotes_a_name_steers_nothing(tune: Tune) -> None:
    ended = tune("show", "--study", "studies/\x1b[31mred\r\u202e/study.yaml")
    assert ended.code == 2
    assert legible(ended.err) == ended.err
    assert "red" in ended.err
