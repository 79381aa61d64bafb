from __future__ import annotations

from dataclasses import replace

import pytest

from tests.study.small import FEASIBLE, opened, run, specification, url_of
from tuner.errors import InputError
from tuner.spec.study import SearchSpec, StudySpec
from tuner.study.start import warm_of, warm_start
from tuner.study.storage import WARM, records


def bayes(spec: StudySpec) -> StudySpec:
    return replace(spec, search=SearchSpec(confirm=0, cut_short=False))


def nowhere(name: str) -> str:
    raise InputError(f"there is no study {name}", "name one")


def test_a_study_notes_what_another_one_knows_and_keeps_it() -> None:
    other = specification(FEASIBLE, name="other")
    run(other)
    spec = specification(FEASIBLE)
    study = opened(spec)
    assert warm_of(study) is None
    warm_start(study, "other", lambda name: url_of(specification(FEASIBLE, name=name)))
    known = warm_of(study)
    assert known is not None
    assert set(known.noise) == {"art_ms", "cpu_percent"}
    assert set(known.length_scales) == {"art_ms", "cpu_percent"}
    assert study.user_attrs[WARM]["from"] == "other"
    run(other, more=2)
    resumed = opened(spec)
    warm_start(resumed, "other", nowhere)
    assert warm_of(resumed) == known, "it was read once"
    with pytest.raises(InputError, match="was begun with what 'other' knew"):
        warm_start(resumed, "third", nowhere)


def test_the_other_study_may_be_in_any_storage() -> None:
    other = specification(FEASIBLE, name="other")
    run(other, database="elsewhere")
    study = opened(specification(FEASIBLE))
    warm_start(study, f"{url_of(other, 'elsewhere')}#other", nowhere)
    assert warm_of(study) is not None


def test_a_warm_study_runs_to_its_budget_and_the_same_again_when_it_is_resumed() -> None:
    other = specification(FEASIBLE, name="other")
    run(other)
    spec = bayes(specification(FEASIBLE))
    # What a trial took is no part of what it should propose again.
    spec = replace(spec, search=replace(spec.search, stay=False))
    found = []
    for database in ("whole", "parts"):
        warm_start(opened(spec, database), f"{url_of(other)}#other", nowhere)
        if database == "parts":
            run(spec, more=5, database=database)
        found.append([t.configuration for t in records(run(spec, database=database))])
    assert found[0] == found[1]
    assert len(found[0]) == 8


def test_a_record_says_why_the_sampler_proposed_it() -> None:
    study = run(bayes(specification(FEASIBLE)))
    told = study.get_trials()
    for trial in records(study):
        assert trial.why == told[trial.number].user_attrs.get("why", {})
    assert records(study)[-1].why["reason"]


@pytest.mark.parametrize("source", ["missing", "sqlite:///missing.db#other", "URL#other"])
def test_a_study_that_cannot_be_read_is_bad_input(source: str) -> None:
    study = opened(specification(FEASIBLE))
    url = source.replace("URL", url_of(specification(FEASIBLE)))
    with pytest.raises(InputError, match="--warm-start"):
        warm_start(study, url, lambda _name: "sqlite:///missing.db")
    assert warm_of(study) is None


def test_a_study_with_too_few_trials_is_bad_input() -> None:
    other = specification(FEASIBLE, name="other")
    run(other, more=1)
    with pytest.raises(InputError, match="too few"):
        warm_start(opened(specification(FEASIBLE)), f"{url_of(other)}#other", nowhere)
