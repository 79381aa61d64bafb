"""What proposes is what explains: the sampler's model of a study is that of all who read it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.study.small import opened, run, specification, url_of
from tuner.export.findings_document import document
from tuner.model.chances import chances
from tuner.model.study_model import model_of
from tuner.model.surrogate import Surrogate
from tuner.results.findings import find
from tuner.results.predicted_front import rows_of
from tuner.results.study_file import FinishedStudy, read_study, write_study
from tuner.results.summary import summarise
from tuner.search.bayes import ServingSampler
from tuner.search.make_sampler import WHY, make_sampler
from tuner.search.study_sampler import ask
from tuner.spec.space import Configuration
from tuner.spec.study import SearchSpec, StudySpec
from tuner.study.start import warm_of, warm_start
from tuner.study.storage import study_record

LOSSY = ("choices: [0], default: 0", "choices: [0, 1], default: 0")
"""The change that makes two scenario parameters matter."""


def bayes(*, scenarios: tuple[str, ...] = ()) -> StudySpec:
    search = SearchSpec(scenarios=scenarios, confirm=0, cut_short=False, settled=0)
    return replace(specification(LOSSY), search=search)


def proposing(spec: StudySpec, *, warm: bool) -> tuple[ServingSampler, Surrogate]:
    """After a study of fourteen trials: its sampler, and the model that it just proposed by."""
    if warm:
        other = specification(LOSSY, name="other")
        run(other, more=14)
        warm_start(opened(spec), f"{url_of(other)}#other", lambda name: name)
    run(spec, more=14)
    study = opened(spec)
    host = study_record(study).environment["host"]
    sampler = make_sampler(
        *("bayes", spec.search_space, spec.seed),
        startup=2,
        search=spec.search,
        host_cpus=host["cpus"],
        warm=warm_of(study),
    )
    assert isinstance(sampler, ServingSampler)
    model = sampler.model(study)
    study.sampler = sampler
    ask(study, spec.search_space)
    return sampler, model


@pytest.mark.parametrize(
    ("scenarios", "warm"),
    [((), True), pytest.param(("concurrency",), False, marks=pytest.mark.thorough)],
)
def test_the_probabilities_that_are_shown_are_the_samplers_own(
    scenarios: tuple[str, ...], warm: bool
) -> None:
    spec = bayes(scenarios=scenarios)
    _, model = proposing(spec, warm=warm)
    study = study_record(opened(spec))
    found = find(study)
    assert found is not None
    assert bool(study.warm_start) == warm
    expected = 2 if scenarios else 4
    assert len(found.scenarios) == len(model.candidates.scenarios) == expected
    # As measured, the scenarios are the same.
    assert {s.scenario for s in summarise(study).scenarios} == {f.scenario for f in found.scenarios}
    shown = {None: found.overall, **{f.scenario: f for f in found.scenarios}}
    compared = 0
    for scenario, front in shown.items():
        own = chances(model, rows_of(model, scenario))
        for predicted in (*front.predicted_front, *front.measured.values()):
            row = model.candidates.index(predicted.configuration)
            assert row == predicted.row
            assert predicted.on_front == own.of(row)
            assert predicted.feasible == model.feasible[row]
            compared += 1
    assert compared > 20
    told = json.loads(json.dumps(document(study)))["findings"]
    for scenario in (told["overall"], *told["scenarios"]):
        where = scenario["scenario"]
        own = chances(model, rows_of(model, where and Configuration.of(where)))
        for said in (*scenario["predicted_front"], *scenario["measured"]):
            row = model.candidates.index(said["configuration"])
            assert row is not None
            assert said["on_front"] == own.of(row)


@pytest.mark.parametrize(
    ("scenarios", "warm"),
    [pytest.param((), True, marks=pytest.mark.thorough), (("concurrency",), False)],
)
def test_what_was_expected_of_a_proposal_is_what_is_predicted_for_it(
    scenarios: tuple[str, ...], warm: bool
) -> None:
    spec = bayes(scenarios=scenarios)
    proposing(spec, warm=warm)
    study = opened(spec)
    asked = study.get_trials()[-1]
    model = model_of(study_record(study))
    assert model is not None
    row = model.candidates.index(Configuration.of(asked.params))
    assert row is not None
    posterior = model.posterior([row])
    why = asked.user_attrs[WHY]
    assert why["mean"] == np.exp(posterior.mean[0]).tolist()
    assert why["sd"] == posterior.sd[0].tolist()
    assert why["feasible"] == posterior.feasible[0]


@pytest.mark.thorough
def test_what_another_study_knew_is_in_the_file_of_a_study(tmp_path: Path) -> None:
    spec = bayes()
    proposing(spec, warm=True)
    study = study_record(opened(spec))
    write_study(tmp_path / "small.study.zip", FinishedStudy(study, lambda _: None))
    read = read_study(tmp_path / "small.study.zip").record
    assert read.warm_start == study.warm_start
    assert read.warm_start["from"].endswith("#other")
    there, here = model_of(read), model_of(study)
    assert there is not None
    assert here is not None
    np.testing.assert_array_equal(there.posterior().mean, here.posterior().mean)
    cold = model_of(replace(study, warm_start={}))
    assert cold is not None
    assert (cold.posterior().mean != here.posterior().mean).any()
