from __future__ import annotations

import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.export.small import ANY_TEXT, FULL, IMAGE, named, study, trial
from tuner import __version__
from tuner.errors import InputError
from tuner.export.header import header
from tuner.export.kubernetes import to_kubernetes
from tuner.export.provenance import ANNOTATION, PREFIX, provenance, read_provenance
from tuner.export.served import served_by
from tuner.export.workload import workload
from tuner.measure.measurement import Estimate
from tuner.results.predicted_front import Predicted

KEYS = {
    *("study", "trial", "configuration", "objectives", "image", "model_checksum", "version"),
    "backend",
}


def test_a_line_says_what_was_exported() -> None:
    found = json.loads(provenance(FULL, FULL.trials[2]).to_line().removeprefix(PREFIX))
    assert found.keys() >= KEYS
    assert (found["study"], found["trial"], found["image"]) == ("small", 2, IMAGE)
    assert found["configuration"]["cpu"] == 1.25
    assert found["objectives"]["art_ms"] == {
        "value": 12.0,
        # 5 % within the burst, and 5 % between bursts until repeats say how far these differ.
        "low": pytest.approx(12 / 1.15, rel=1e-2),
        "high": pytest.approx(12 * 1.15, rel=1e-2),
    }
    assert found["objectives"]["cpu_percent"]["low"] == pytest.approx(12 / 1.1, rel=1e-2)
    assert (found["version"], found["backend"]) == (__version__, "docker")
    assert found["host"] == {"cpus": 2}


def test_what_a_model_predicts_is_there_too() -> None:
    one = FULL.trials[2]
    predicted = Predicted(one.configuration, 0, (11.0, 13.0), (10.0, 12.0), (12.0, 14.0), 0.9, 1.0)
    back = read_provenance(provenance(FULL, one, predicted).to_line())
    assert back.predicted["cpu_percent"] == Estimate(13.0, 12.0, 14.0)
    assert "Predicted by the model: ART (ms) 11 (10-12)" in header(
        served_by(FULL, one), predicted, []
    )


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_it_is_read_back_whatever_the_names_are(name: str, model: str, value: str) -> None:
    found = named(name, model, value)
    written = provenance(found, found.trials[0])
    assert len(written.to_line().splitlines()) == 1
    assert written.to_line().isascii()
    assert read_provenance(f"#!/bin/sh\n# a\n{written.to_line()}\nrest\n") == written


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT, st.lists(ANY_TEXT))
def test_no_name_ends_a_comment_or_passes_for_the_provenance(
    name: str, model: str, value: str, notes: list[str]
) -> None:
    found = named(name, model, value)
    text = header(served_by(found, found.trials[0]), None, notes)
    assert all(line.startswith("#") for line in text.splitlines())
    assert read_provenance(text).study == name


def test_the_first_line_counts_and_not_what_a_user_wrote_below() -> None:
    forged = provenance(replace(FULL, name="forged"), FULL.trials[0]).to_line()
    true = provenance(FULL, FULL.trials[1]).to_line()
    assert read_provenance(f"{true}\nvalue='\n{forged}\n'\n").trial == 1


def test_a_kubernetes_object_has_it_as_an_annotation_too() -> None:
    text = to_kubernetes(workload(served_by(FULL, FULL.trials[1])))
    without = yaml.safe_dump_all(yaml.safe_load_all(text))
    assert PREFIX not in without
    assert ANNOTATION in without
    assert read_provenance(without) == read_provenance(text) == provenance(FULL, FULL.trials[1])


@pytest.mark.parametrize("measured_by", ["docker", "simulated"])
def test_a_replayed_trial_is_what_its_grid_was(measured_by: str) -> None:
    replayed = replace(
        study(trial(0, 3.0, 30.0, backend="replay")),
        environment={"replayed": {"backend": measured_by}},
    )
    expected = "simulated" if measured_by == "simulated" else "replay"
    assert provenance(replayed, replayed.trials[0]).backend == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "does not say which trial"),
        ("services: {}\n", "does not say which trial"),
        ("a: [\n", "does not say which trial"),
        ("- 1\n---\nmetadata: 3\n", "does not say which trial"),
        (f"{PREFIX}not json\n", "provenance is broken"),
        (f"{PREFIX}[]\n", "provenance is broken"),
        (f"{PREFIX}{{}}\n", "provenance is broken"),
        (f'{PREFIX}{{"study": "a", "trial": "x"}}\n', "provenance is broken"),
    ],
)
def test_a_file_without_it_is_an_input_error(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_provenance(text)
    assert caught.value.mend
