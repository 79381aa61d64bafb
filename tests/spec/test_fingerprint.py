from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tuner.spec.fingerprint import comparable, fingerprint, to_dict
from tuner.spec.host import Host
from tuner.spec.load import load_study
from tuner.spec.space import Parameter, SearchSpace
from tuner.spec.study import Budget, Constraint, Objective, SearchSpec, StudySpec


@pytest.fixture
def study(tmp_path: Path) -> StudySpec:
    return load_study("mnist", Host(cpus=4, memory_mib=8192), tmp_path)


def with_cpu(study: StudySpec, **changes: object) -> StudySpec:
    def changed(parameter: Parameter) -> Parameter:
        same = parameter.name != "cpu"
        return parameter if same else replace(parameter, **changes)  # type: ignore[arg-type] # test

    return replace(study, search_space=SearchSpace(tuple(map(changed, study.search_space))))


def test_stays_when_only_the_run_changes(study: StudySpec) -> None:
    for other in (
        replace(study, budget=Budget(trials=1)),
        replace(study, search=SearchSpec(sampler="random"), seed=7, baseline_every=0),
        replace(study, description="other", path=Path("/elsewhere")),
        replace(study, model=replace(study.model, directory=Path("/elsewhere"), tolerance=0.1)),
        replace(study, load=replace(study.load, max_foreign_percent=60.0, senders=4)),
        with_cpu(study, role="scenario", description="other"),
    ):
        assert fingerprint(other) == fingerprint(study)
        assert comparable(other) == comparable(study)


def test_changes_with_what_is_measured(study: StudySpec) -> None:
    others = [
        with_cpu(study, choices=(0.25, 0.5)),
        with_cpu(study, default=0.5),
        replace(study, serving=replace(study.serving, image="tensorflow/serving:2.19.1")),
        replace(study, serving=replace(study.serving, flags={"a": "1"})),
        replace(study, load=replace(study.load, max_seconds=9.0)),
        replace(study, load=replace(study.load, arrivals="poisson")),
        replace(study, load=replace(study.load, cpu_placement="apart")),
        replace(study, objectives=(Objective("p95_ms", "minimize"), *study.objectives[1:])),
        replace(study, constraints=(Constraint("p95_ms", "<=", 80),)),
        replace(study, model=replace(study.model, name="other")),
    ]
    assert len({fingerprint(other) for other in [study, *others]}) == len(others) + 1


def test_recorded_requests_count_by_their_content(study: StudySpec, tmp_path: Path) -> None:
    def recorded(requests: str, template: str = "") -> str:
        load = replace(study.load, requests=requests, template=template)
        return fingerprint(replace(study, path=tmp_path / "study.yaml", load=load))

    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    one.write_text('{"instances": [1]}\n')
    other.write_text('{"instances": [1]}\n')
    before = recorded("one.jsonl")
    assert recorded("other.jsonl") == before != fingerprint(study)
    one.write_text('{"instances": [2]}\n')
    assert recorded("one.jsonl") != before
    (tmp_path / "bodies").mkdir()
    (tmp_path / "bodies" / "a").write_text("1")
    directory = recorded("bodies")
    (tmp_path / "bodies" / "b").write_text("2")
    assert recorded("bodies") != directory
    (tmp_path / "template.json").write_text('["{a}"]')
    in_a_file = recorded("one.jsonl", "template.json")
    (tmp_path / "template.json").write_text('["{b}"]')
    assert recorded("one.jsonl", "template.json") != in_a_file
    assert recorded("one.jsonl", '["{a}"]') != recorded("one.jsonl", '["{b}"]')
    assert recorded("nowhere.jsonl"), "what cannot be read is refused by who reads it"


def test_is_the_same_for_the_same_file_loaded_again(study: StudySpec, tmp_path: Path) -> None:
    again = load_study("mnist", Host(cpus=4, memory_mib=8192), tmp_path / "other")
    assert fingerprint(again) == fingerprint(study)


def test_dictionary_survives_json_and_names_no_path(study: StudySpec, tmp_path: Path) -> None:
    data = to_dict(study)
    text = json.dumps(data)
    assert json.loads(text) == data
    assert str(tmp_path) not in text
    assert data["search_space"]["cpu"]["choices"] == [0.25, 0.5, 1.0, 2.0, 4.0]
    assert data["budget"] == {"trials": 80, "seconds": 900.0}
