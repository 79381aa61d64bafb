"""What deploys is absent for a while, or for good: no trial is lost, and the user is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, repeat
from typing import Self

import pytest
from optuna.trial import TrialState

from tests.study.small import FEASIBLE, opened, run, specification
from tests.study.worlds import World
from tuner.backends import absence
from tuner.backends.absence import MOST_ABSENCES, Absence, Absent, Returned, StayedAway
from tuner.backends.backend import DeployingBackend
from tuner.backends.simulated import simulated_backend
from tuner.deploy.protocol import Deployer
from tuner.errors import TrialFailed, Unreachable
from tuner.pages.run_page import waiting_line
from tuner.results.wording import duration
from tuner.spec.study import StudySpec
from tuner.study.loop import Event, Failed, Finished, Started
from tuner.study.storage import REASON, records

GONE = "the engine does not answer: Connection refused"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(absence, "LOOK_AGAIN_SECONDS", 0.0)


def losing(
    spec: StudySpec, errors: Iterable[Exception | None], answers: Iterable[bool] = ()
) -> DeployingBackend:
    """A host whose next deployments raise what is next in `errors`, and that answers so."""
    left, said = iter(errors), iter(answers)

    def choose(usual: Deployer, _label: str) -> Deployer:
        if (error := next(left, None)) is not None:
            raise error
        return usual

    backend = replace(simulated_backend(spec), deployer=World(spec, choose))
    return replace(backend, reach=lambda: next(said, True))


def gone() -> Unreachable:
    return Unreachable(GONE, "start it")


def shown(events: Iterable[Event]) -> Iterator[str]:
    return (
        type(e).__name__ for e in events if isinstance(e, Started | Finished | Absent | Returned)
    )


def test_a_trial_whose_engine_goes_is_queued_again_and_the_run_goes_on_when_it_is_back() -> None:
    spec = specification(FEASIBLE, ("trials: 8", "trials: 3"))
    events: list[Event] = []
    backend = losing(spec, [None, gone()], [False, False, True])
    study = run(spec, backend=backend, observe=events.append)
    done = records(study)
    assert len(done) == len({t.configuration for t in done}) == 3
    (failed,) = study.get_trials(states=(TrialState.FAIL,))
    assert failed.user_attrs[REASON] == GONE
    assert list(shown(events)) == [
        "Started", "Finished", "Started", "Absent", "Returned", "Started", "Finished",
        "Started", "Finished",
    ]  # fmt: skip
    (absent,) = [e for e in events if isinstance(e, Absent)]
    assert (absent.what, absent.trial) == (GONE, 1)
    assert not [e for e in events if isinstance(e, Failed)], "it is said once"
    tried = [(e.number, e.configuration) for e in events if isinstance(e, Started)]
    assert tried[1][1] == tried[2][1], "the same configuration is next"


def test_one_that_stays_away_ends_the_run_which_goes_on_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(absence, "MOST_ABSENT_SECONDS", 0.05)
    spec = specification(FEASIBLE, ("trials: 8", "trials: 3"))
    with pytest.raises(StayedAway) as caught:
        run(spec, backend=losing(spec, [None, gone()], repeat(False)))
    assert caught.value.message.startswith(f"{GONE}; waited ")
    assert caught.value.mend == "start it, then run again: the study goes on with 2 trials left"
    caught.value.name_command("tune run --study small")
    assert caught.value.mend == "start it, then `tune run --study small` goes on with 2 trials left"
    study = opened(spec)
    states = [t.state for t in study.get_trials()]
    assert states == [TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING]
    assert len(records(run(spec))) == 3


def test_one_that_goes_with_every_trial_ends_the_run() -> None:
    spec = specification(FEASIBLE)
    with pytest.raises(StayedAway, match=f"^{MOST_ABSENCES + 1} times in a row {GONE}"):
        run(spec, backend=losing(spec, (gone() for _ in repeat(0))))


def test_trials_that_break_between_do_not_make_it_endless() -> None:
    spec = specification(FEASIBLE)
    errors = chain.from_iterable((gone(), TrialFailed("broken")) for _ in repeat(0))
    with pytest.raises(StayedAway):
        run(spec, backend=losing(spec, errors))


def test_trials_that_are_measured_between_make_it_new() -> None:
    spec = specification(FEASIBLE)
    errors = chain.from_iterable((gone(), None) for _ in range(MOST_ABSENCES + 2))
    assert len(records(run(spec, backend=losing(spec, errors)))) == 8


def test_where_none_was_from_the_start_nothing_is_waited_for() -> None:
    spec = specification(FEASIBLE)

    class Nowhere(World):
        def __enter__(self) -> Self:
            raise gone()

    backend = replace(simulated_backend(spec), deployer=Nowhere(spec, lambda usual, _: usual))
    asked: list[None] = []

    def answers() -> bool:
        asked.append(None)
        return True

    with pytest.raises(Unreachable) as caught:
        run(spec, backend=replace(backend, reach=answers))
    assert not isinstance(caught.value, StayedAway)
    assert not asked


def test_the_wait_is_bounded_until_a_trial_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1000))
    monkeypatch.setattr("time.monotonic", lambda: float(next(seconds)))
    waited = Absence(answers=lambda: False, left=20)
    with pytest.raises(Unreachable, match="waited 20 s"):
        waited.wait(gone(), lambda _: None)
    with pytest.raises(Unreachable, match="waited 1 s"):
        waited.wait(gone(), lambda _: None)
    waited.measured()
    assert waited.left == absence.MOST_ABSENT_SECONDS


def test_a_wait_is_said_in_one_line_each() -> None:
    assert waiting_line(Absent(GONE, 7, 120)) == (
        f"{GONE}; trial 7 is queued again; waiting up to 2 min"
    )
    assert waiting_line(Absent(GONE, None, 60)) == f"{GONE}; waiting up to {duration(60)}"
    assert waiting_line(Returned(4)) == "it answers again after 4 s; the run goes on"
