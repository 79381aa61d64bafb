"""An interrupt at each stage of a run: the answer so far, exit code 130, and a study to resume."""

from __future__ import annotations

import pkgutil
import signal
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from tests.cli.command import Tune
from tests.cli.small_study import small_study
from tuner import Study
from tuner.cli.live import LiveView
from tuner.study.loop import Event, Finished, Started

SMALL = ("--study", "small", "--backend", "simulated")
TRIALS = 8

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EVENTS: dict[str, Callable[[object], bool]] = {
    "a trial begins": lambda event: isinstance(event, Started),
    "deploying": lambda event: event == "deploy",
    "the burst": lambda event: event == "burst",
    "tearing down": lambda event: event == "tear down",
    "between trials": lambda event: isinstance(event, Finished),
}

FUNCTIONS = {
    "opening the study": "tuner.study.start.start_or_resume",
    "entering the backend": "tuner.backends.backend.DeployingBackend.__enter__",
    "waiting for a quiet host": "tuner.backends.quiet.Quiet.wait",
    "calibrating": "tuner.backends.backend.DeployingBackend.calibrate",
    "keeping samples": "tuner.study.loop.keep_samples",
    "telling": "tuner.study.loop.tell",
}


@pytest.fixture(autouse=True)
def _study() -> None:
    path = Path("studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    once = "search: {sampler: random, confirm: 0}\nbaseline_every: 0"  # no repeats
    text = small_study(trials=TRIALS, replicas="[1, 2]")
    path.write_text(text.replace("search: {sampler: random}", once))


def opened() -> Study:
    return Study.open("small", backend="simulated")


def pressing(function: Callable[..., Any], how: signal.Signals) -> Callable[..., Any]:
    """`function`, at whose first call the signal arrives."""
    pressed = False

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 -- whatever it takes
        nonlocal pressed
        if not pressed:
            pressed = True
            signal.raise_signal(how)
        return function(*arguments, **options)

    return wrapped


def press_in(name: str, how: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """Let the signal arrive at the next call of that function."""
    owner, _, attribute = name.rpartition(".")
    patch.setattr(name, pressing(getattr(pkgutil.resolve_name(owner), attribute), how))


def press_at(stage: str, how: signal.Signals, patch: pytest.MonkeyPatch) -> None:
    """Let the signal arrive when the run tells that it is there."""
    observe, press = LiveView.observe, pressing(lambda: None, how)

    def observed(view: LiveView, event: Event) -> None:
        observe(view, event)
        if EVENTS[stage](event):
            press()

    patch.setattr(LiveView, "observe", observed)


def states() -> list[TrialState]:
    return [trial.state for trial in opened().optuna.get_trials()]


def test_an_interrupt_at_each_stage_loses_nothing(
    tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [(partial(press_in, name), stage) for stage, name in FUNCTIONS.items()]
    kinds += [(partial(press_at, stage), stage) for stage in EVENTS]
    for index, (press, stage) in enumerate(kinds):
        with monkeypatch.context() as patch:
            press(SIGNALS[index % len(SIGNALS)], patch)
            ended = tune("run", *SMALL)
        assert ended.code == 130, (stage, ended)
        assert "; nothing is left running." in ended.out, stage
        assert "Resume with:\n    tune run --study small --backend simulated\n" in ended.out
        assert "Traceback" not in ended.out + ended.err
        if index:  # at the first stage there is no study yet
            assert TrialState.RUNNING not in states(), stage
    ended = tune("run", *SMALL)
    assert ended.code == 0, ended
    assert states().count(TrialState.COMPLETE) == TRIALS
    assert {TrialState.RUNNING, TrialState.WAITING}.isdisjoint(states())
    configurations = [trial.configuration for trial in opened().record.trials]
    assert len(set(configurations)) == TRIALS


@pytest.mark.parametrize(
    "stage",
    ["tuner.backends.backend.DeployingBackend.__exit__", "tuner.pages.study_page.end_blocks"],
)
def test_an_interrupt_when_all_is_measured(
    tune: Tune, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    press_in(stage, signal.SIGINT, monkeypatch)
    ended = tune("run", *SMALL, "--trials", "1")
    assert ended.code == 130, ended
    assert "nothing is left running" in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert states() == [TrialState.COMPLETE]


@pytest.mark.parametrize(
    "again", ["tuner.study.loop.fail", "tuner.backends.backend.DeployingBackend.__exit__"]
)
def test_pressed_again_while_it_cleans_up(
    tune: Tune, again: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    press_at("the burst", signal.SIGINT, monkeypatch)
    press_in(again, signal.SIGINT, monkeypatch)
    ended = tune("run", *SMALL)
    assert ended.code == 130, ended
    assert "Interrupted after 0 trials; nothing is left running." in ended.out
    assert states() == [TrialState.FAIL, TrialState.WAITING]


def test_an_interrupted_measurement_by_hand(tune: Tune, monkeypatch: pytest.MonkeyPatch) -> None:
    press_in("tuner.backends.backend.run_trial", signal.SIGTERM, monkeypatch)
    ended = tune("measure", *SMALL)
    assert (ended.code, ended.err) == (130, "tune: interrupted; nothing is left running\n")


def test_a_notebook_can_run_a_study_again_after_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    for stage in ("tuner.study.loop.tell", "tuner.backends.backend.run_trial"):
        with monkeypatch.context() as patch:
            press_in(stage, signal.SIGINT, patch)
            with pytest.raises(KeyboardInterrupt):
                opened().run(1)
        assert [signal.getsignal(number) for number in SIGNALS] == before
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:  # also in the cell that handles it
        opened().run(2)
    assert len(opened().record.trials) == 3
