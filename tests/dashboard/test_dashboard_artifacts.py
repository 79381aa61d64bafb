"""Artifacts are made when they are opened."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from optuna.artifacts.exceptions import ArtifactNotFound

from tests.dashboard.shown import LOG, Shown
from tuner.dashboard.artifacts import Artifacts
from tuner.errors import InputError
from tuner.load.parquet import Recording
from tuner.measure.record import TrialRecord
from tuner.measure.samples import RequestOutcome


def described(shown: Shown, number: int) -> list[dict[str, str]]:
    trial = shown.view.get_all_trials(shown.number)[number]
    attributes = trial.system_attrs.items()
    return [json.loads(value) for key, value in attributes if key.startswith("artifacts:")]


def measured(shown: Shown) -> TrialRecord:
    return next(t for t in shown.record.trials if t.measurement)


def opened(artifacts: Artifacts, described: dict[str, str]) -> bytes:
    with artifacts.open_reader(described["artifact_id"]) as file:
        return file.read()


def is_picture(png: bytes) -> bool:
    pixels = imread(BytesIO(png))
    return len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 2


def test_the_figure_is_a_picture_and_the_log_is_text(shown: Shown) -> None:
    figure, log = described(shown, measured(shown).number)
    assert (figure["filename"], figure["mimetype"]) == ("latency.png", "image/png")
    assert is_picture(opened(shown.artifacts, figure))
    assert (log["filename"], log["mimetype"]) == ("containers.log.txt", "text/plain; charset=utf-8")
    assert opened(shown.artifacts, log).decode() == LOG


def test_each_trial_has_its_own_figure(shown: Shown) -> None:
    found = {opened(shown.artifacts, described(shown, t.number)[0]) for t in some(shown)}
    assert len(found) == len(some(shown))


def some(shown: Shown) -> list[TrialRecord]:
    return [t for t in shown.record.trials if t.measurement][:3]


def nothing(_trial: TrialRecord) -> Recording | None:
    return None


def broken(_trial: TrialRecord) -> Recording | None:
    raise InputError("trial-0000.parquet: not a readable Parquet file: $\\frac", "")


def test_what_cannot_be_drawn_says_so_in_a_picture(shown: Shown) -> None:
    def failing(trial: TrialRecord) -> Recording | None:
        recording = shown.artifacts.recording(trial)
        assert recording is not None
        lost = np.full_like(recording.samples.outcome, RequestOutcome.TIMEOUT)
        return replace(recording, samples=replace(recording.samples, outcome=lost))

    figure = described(shown, measured(shown).number)[0]
    pictures = [
        opened(replace(shown.artifacts, recording=recording), figure)
        for recording in (nothing, broken, failing)
    ]
    assert all(map(is_picture, pictures))
    assert len(set(pictures)) == 3


def test_only_what_was_offered_can_be_opened(shown: Shown, tmp_path: Path) -> None:
    figure = described(shown, measured(shown).number)[0]["artifact_id"]
    other = Artifacts(shown.storage, nothing)
    for artifacts, wrong in (
        (other, figure),
        (shown.artifacts, figure[:-1] + "7"),
        (shown.artifacts, str(tmp_path)),
        (shown.artifacts, ""),
    ):
        with pytest.raises(ArtifactNotFound):
            artifacts.open_reader(wrong)


def test_nothing_is_taken_in_or_lost(shown: Shown) -> None:
    figure = described(shown, measured(shown).number)[0]
    with pytest.raises(PermissionError):
        shown.artifacts.write(figure["artifact_id"], BytesIO(b"x"))
    shown.artifacts.remove(figure["artifact_id"])
    assert is_picture(opened(shown.artifacts, figure))
