"""What a dashboard is shown of a storage, and that nothing of it is written."""

from __future__ import annotations

import copy
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState
from optuna_dashboard import get_note, save_note

from tests.dashboard.shown import LOG, Shown, look
from tests.study.small import opened, run
from tests.study.worlds import in_turn, untrusted
from tuner.dashboard.artifacts import Artifacts
from tuner.dashboard.live_note import LiveNote
from tuner.dashboard.storage_view import StudyView


def stored(shown: Shown) -> list[Any]:
    """Everything that is in the storage."""
    trials = shown.storage.get_all_trials(shown.number)
    user = shown.storage.get_study_user_attrs(shown.number)
    system = shown.storage.get_study_system_attrs(shown.number)
    return copy.deepcopy([[vars(trial) for trial in trials], user, system])


def pairs(shown: Shown) -> list[tuple[FrozenTrial, FrozenTrial]]:
    """Each trial as it is stored and as it is shown."""
    real = shown.storage.get_all_trials(shown.number)
    return list(zip(real, shown.view.get_all_trials(shown.number), strict=True))


def test_values_parameters_and_states_are_those_of_the_study(shown: Shown) -> None:
    for real, seen in pairs(shown):
        assert seen.number == real.number
        stand_ins = shown.record.trials[real.number].imputed
        assert seen.state == (TrialState.PRUNED if stand_ins else real.state)
        assert seen.values == (None if stand_ins else real.values)
        assert seen.params == real.params
        assert seen.distributions == real.distributions
        assert seen.datetime_complete == real.datetime_complete


def test_stand_ins_are_never_shown_as_values(shown: Shown) -> None:
    stand_ins = {t.number for t in shown.record.trials if t.imputed}
    assert stand_ins
    complete = shown.view.get_all_trials(shown.number, states=(TrialState.COMPLETE,))
    assert {t.number for t in complete} == {t.number for t in shown.record.trials} - stand_ins
    assert all(t.values for t in complete)


def test_constraints_are_the_list_that_colours_the_infeasible(shown: Shown) -> None:
    shown_infeasible = []
    for real, seen in pairs(shown):
        values = seen.system_attrs["constraints"]
        assert values == list(real.constraints.values())
        if any(value > 0 for value in values):
            shown_infeasible.append(real.number)
    assert shown_infeasible == [t.number for t in shown.record.trials if not t.feasible]
    assert shown_infeasible


def test_attributes_are_short_texts_and_numbers(shown: Shown) -> None:
    for record, (_, seen) in zip(shown.record.trials, pairs(shown), strict=True):
        attributes = seen.user_attrs
        assert all(isinstance(value, str | float) for value in attributes.values())
        assert next(iter(attributes)) == "summary"
        if record.measurement is None:
            assert str(attributes["summary"]).startswith("infeasible, out of memory: ")
            assert "ART (ms)" not in attributes
        else:
            assert record.measurement.verdict in attributes["summary"]
            assert attributes["ART (ms)"] == pytest.approx(record.values[0], rel=1e-3)
            assert attributes["constraints"] == "error_rate <= 0.01 holds"
        assert str(attributes["backend"]).startswith("simulated")
    study = shown.view.get_study_user_attrs(shown.number)
    assert (study["model"], study["backend"], study["seed"]) == ("mnist", "simulated", "3")


def test_the_axes_are_named_with_units(shown: Shown) -> None:
    (study,) = shown.view.get_all_studies()
    for attributes in (study.system_attrs, shown.view.get_study_system_attrs(shown.number)):
        assert attributes["study:metric_names"] == ["ART (ms)", "CPU usage (% of host)"]


def test_a_measured_trial_has_a_figure_and_a_log(shown: Shown) -> None:
    for record, (_, seen) in zip(shown.record.trials, pairs(shown), strict=True):
        names = [value for key, value in seen.system_attrs.items() if key.startswith("artifacts:")]
        assert ["latency.png" in names[0], "log" in names[1]] if names else record.imputed
        assert len(names) == (2 if record.measurement else 0)
        identifier = shown.view.get_trial_id_from_study_id_trial_number(shown.number, seen.number)
        assert shown.view.get_trial_system_attrs(identifier) == seen.system_attrs
    assert {t.log_tail for t in shown.record.trials if t.measurement} == {LOG}


def test_a_trial_that_cannot_be_trusted_says_why() -> None:
    shown = look(2, lambda spec: untrusted(spec, in_turn([True, True])))
    trials = shown.view.get_all_trials(shown.number)
    failed = next(t for t in trials if t.state is TrialState.FAIL)
    assert str(failed.user_attrs["reason"]).startswith("INVALID twice")
    assert "INVALID" in failed.user_attrs["doubts"]


def test_nothing_is_written_by_looking(shown: Shown) -> None:
    before = stored(shown)
    shown.view.get_all_studies()
    shown.view.get_all_trials(shown.number)
    shown.view.get_study_system_attrs(shown.number)
    assert stored(shown) == before


def test_nothing_that_is_shown_can_be_stored_as_if_it_were_real(shown: Shown) -> None:
    before = stored(shown)
    with pytest.raises(TypeError, match="create a study"):
        optuna.create_study(storage=shown.view, study_name="copy")
    with pytest.raises(TypeError, match="create a trial"):
        optuna.load_study(storage=shown.view, study_name="small").ask()
    assert stored(shown) == before


def test_the_note_follows_the_study_until_a_user_writes_one() -> None:
    shown = look(3)
    seen = optuna.load_study(storage=shown.view, study_name="small")
    assert "After 3 trials:" in get_note(seen)
    run(shown.spec, more=2)
    assert "After 5 trials:" in get_note(seen)
    save_note(seen, "mine, " * 1000)
    run(shown.spec, more=1)
    assert get_note(seen) == get_note(shown.study) == "mine, " * 1000
    save_note(seen, "")
    assert "After 6 trials:" in get_note(seen)
    opened(shown.spec).ask()
    assert "1 running" in get_note(seen)
    assert get_note(shown.study) == ""


def test_another_study_in_the_storage_is_shown_as_it_is() -> None:
    storage = InMemoryStorage()
    foreign = optuna.create_study(storage=storage, study_name="foreign")
    foreign.set_user_attr("who", {"ever": 1})
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    number = storage.get_study_id_from_name("foreign")
    nothing = Artifacts(storage, lambda _: None)
    view = StudyView(storage, number + 1, LiveNote(storage, "none"), nothing)
    assert view.get_study_user_attrs(number) == {"who": {"ever": 1}}
    assert view.get_best_trial(number).values == foreign.best_trial.values
    assert get_note(optuna.load_study(storage=view, study_name="foreign")) == ""


def test_a_study_deleted_in_the_dashboard_is_gone_and_the_others_stay() -> None:
    shown = look(2)
    shown.view.get_all_trials(shown.number)
    shown.view.delete_study(shown.number)
    assert shown.view.get_all_studies() == []
