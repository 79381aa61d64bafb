"""How test processes take turns. Each object here stands for a process: it has its own files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.turns import Turns

SOON = 0.2  # seconds; what is blocked is still blocked after them
PATIENCE = 30.0


class Taking(threading.Thread):
    """Takes the turn in a thread of its own."""

    def __init__(self, turns: Turns, *, alone: bool) -> None:
        super().__init__(daemon=True)
        self._turns, self._alone, self.taken = turns, alone, threading.Event()
        self.start()

    def run(self) -> None:
        self._turns.take(alone=self._alone)
        self.taken.set()


@pytest.fixture
def processes(tmp_path: Path) -> list[Turns]:
    (tmp_path / "turn").touch()
    return [Turns(tmp_path / "turn", tmp_path) for _ in range(3)]


def test_those_who_need_not_be_alone_run_at_once(processes: list[Turns]) -> None:
    for turns in processes:
        turns.take(alone=False)


@pytest.mark.parametrize("first", [True, False])
def test_who_is_alone_has_nobody_beside(processes: list[Turns], first: bool) -> None:
    one, other, _ = processes
    one.take(alone=first)
    waiting = Taking(other, alone=not first)
    assert not waiting.taken.wait(SOON)
    one.give_back()
    assert waiting.taken.wait(PATIENCE)


def test_who_waits_to_be_alone_is_not_overtaken(processes: list[Turns]) -> None:
    one, other, third = processes
    one.take(alone=False)
    alone = Taking(other, alone=True)
    assert not alone.taken.wait(SOON)
    later = Taking(third, alone=False)
    assert not later.taken.wait(SOON)
    one.give_back()
    assert alone.taken.wait(PATIENCE)
    assert not later.taken.wait(SOON)
    other.give_back()
    assert later.taken.wait(PATIENCE)


def test_a_turn_is_kept_until_it_is_given_back(processes: list[Turns]) -> None:
    one, other, _ = processes
    one.take(alone=True)
    one.take(alone=True)
    waiting = Taking(other, alone=True)
    assert not waiting.taken.wait(SOON)
    one.give_back()
    assert waiting.taken.wait(PATIENCE)
