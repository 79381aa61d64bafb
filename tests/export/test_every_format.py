"""Every format with every kind of pick, from a study that was simulated and one that is nasty."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import get_args

import kubernetes_validate
import pytest
import yaml

from tests.export.small import FULL, NASTY
from tests.study.small import EXPECTED, FEASIBLE, run, specification
from tuner.errors import InputError
from tuner.export.provenance import PREFIX, read_provenance
from tuner.export.render import Exported, ExportFormat, ExportOptions, render
from tuner.measure.record import StudyRecord
from tuner.results.summary import summarise
from tuner.results.wording import chance
from tuner.serving.version_files import directory_checksum
from tuner.study.storage import study_record

ONE_EACH = ("compose", "stack", "kubernetes", "docker-run", "env", "kserve", "helm", "kustomize")
FIRST_WORDS: dict[str, dict[str, str]] = {
    "helm": {"apiVersion": "v2", "type": "application"},
    "kserve": {"kind": "InferenceService"},
    "kustomize": {"kind": "Kustomization"},
}
PICKS = (
    ("knee", None),
    ("min-art", None),
    ("min-cpu", "concurrency=4,loss=0"),
    ("min p99_ms where cpu_percent <= 1000 and error_rate <= 0.5", "concurrency=1"),
    ("0", None),
    ("all", None),
    ("0,1", None),
    ("all", "concurrency=4"),
)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """Trials of a computed host, enough for a model."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(tmp_path_factory.mktemp("simulated"))
        spec = specification(FEASIBLE, EXPECTED, ("{trials: 8}", "{trials: 12}"))
        return study_record(run(spec))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the versions of a model are."""
    found = tmp_path_factory.mktemp("model")
    (found / "3").mkdir()
    (found / "3/saved_model.pb").write_bytes(b"a model")
    return found


def asked(form: ExportFormat, choice: str, when: str | None, model: Path) -> ExportOptions:
    deployed = form in ("compose", "stack", "docker-run")
    return ExportOptions(choice, when, model_path=model if deployed else None)


def entry(exported: Exported) -> str:
    """The text of an export, or that of the first file of a directory."""
    return exported.text or next(iter(exported.files.values()))


def check(form: ExportFormat, text: str, count: int) -> None:
    """`text` is what its reader takes, of `count` trials."""
    if form == "csv":
        assert len(list(csv.DictReader(io.StringIO(text)))) == count
    elif form == "json":
        assert len(json.loads(text)["trials"]) == count
    elif form == "yaml":
        assert len(yaml.safe_load(text)["trials"]) == count
        assert text.count(PREFIX) == count
    elif form == "compose":
        assert list(yaml.safe_load(text)) == ["services"]
    elif form == "stack":
        assert list(yaml.safe_load(text)) == ["version", "services", "networks"]
    elif form == "kubernetes":
        for found in yaml.safe_load_all(text):
            kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)
    elif form in FIRST_WORDS:
        assert yaml.safe_load(text).items() >= FIRST_WORDS[form].items()
    elif form == "docker-run":
        assert subprocess.run(["sh", "-n"], input=text.encode(), check=False).returncode == 0
    else:
        assert "\nTUNE_IMAGE=tune-serving:" in text


@pytest.mark.parametrize(("choice", "when"), PICKS)
@pytest.mark.parametrize("form", get_args(ExportFormat))
def test_a_format_holds_what_was_picked_or_says_why_not(
    simulated: StudyRecord, model: Path, form: ExportFormat, choice: str, when: str | None
) -> None:
    summary = summarise(simulated)
    fronts = {t.number for s in summary.scenarios for t in s.front}
    inside = {t.number for t in summary.scenarios[1].front}
    if form in ONE_EACH and choice in ("all", "0,1"):
        with pytest.raises(InputError, match="exactly one configuration"):
            render(simulated, form, asked(form, choice, when, model))
        return
    exported = render(simulated, form, asked(form, choice, when, model))
    expected = {t.number for t in summary.front} | fronts if when is None else inside
    check(form, entry(exported), {"all": len(expected), "0,1": 2}.get(choice, 1))
    if form in (*ONE_EACH, "yaml"):
        found = read_provenance(entry(exported))
        assert (found.study, found.backend) == ("small", "simulated")
        assert found.objectives.keys() == {"art_ms", "cpu_percent"}
        assert found.predicted.keys() == found.objectives.keys()
    if form in ONE_EACH:
        assert "WARNING: SIMULATED" in entry(exported)


@pytest.mark.parametrize("form", get_args(ExportFormat))
def test_names_and_values_of_users_stay_inert(form: ExportFormat, model: Path) -> None:
    bad = "".join(NASTY).replace(":", "")
    nasty = replace(FULL, name=bad, model="m", serving={"flags": {}, "env": {}})
    nasty = replace(nasty, environment={"host": {"name": bad, "cpus": bad}})
    exported = render(nasty, form, asked(form, "knee", None, model))
    check(form, entry(exported), 1)
    if form in ONE_EACH:
        assert read_provenance(entry(exported)).study == bad
        assert read_provenance(entry(exported)).host["name"] == bad


def test_a_study_of_few_trials_is_exported_without_predictions() -> None:
    found = read_provenance(render(FULL, "kubernetes", ExportOptions()).text)
    assert found.predicted == {}


@pytest.mark.parametrize(
    ("form", "more", "words"),
    [
        ("csv", ExportOptions(balancer="nginx:1"), "the format csv does not take --balancer"),
        ("compose", ExportOptions(claim="a"), "the format compose does not take --claim"),
        ("env", ExportOptions(port=1), "the format env does not take --port"),
        ("env", ExportOptions(grpc_port=1), "the format env does not take --grpc-port"),
        ("json", ExportOptions(image="a:1"), "the format json does not take --image"),
        ("env", ExportOptions(name="a"), "the format env does not take --name"),
        ("compose", ExportOptions(namespace="a"), "the format compose does not take --namespace"),
        ("helm", ExportOptions(namespace="a"), "the format helm does not take --namespace"),
        ("compose", ExportOptions(model_source="s3://a"), "compose does not take --model-source"),
        ("compose", ExportOptions(init_image="a:1"), "compose does not take --init-image"),
        ("compose", ExportOptions(autoscale=1.0), "compose does not take --autoscale"),
        (
            "kubernetes",
            ExportOptions(model_path=Path()),
            "the format kubernetes does not take --model-path",
        ),
    ],
)
def test_an_option_of_another_format_is_refused(
    form: ExportFormat, more: ExportOptions, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        render(FULL, form, more)


def test_a_model_that_is_not_here_is_said_with_the_mend(tmp_path: Path) -> None:
    unknown = replace(FULL, model="unknown")
    with pytest.raises(InputError, match="'unknown' is not on this machine") as caught:
        render(unknown, "compose", ExportOptions())
    assert "--model-path DIR" in caught.value.mend
    with pytest.raises(InputError, match="no version of a model"):
        render(unknown, "docker-run", ExportOptions(model_path=tmp_path))


def test_a_model_that_is_not_built_or_not_the_measured_one_is_remarked(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = replace(FULL, model="mnist")
    *_, unbuilt = render(known, "compose", ExportOptions("2", when="loss=0")).remarks
    assert "mnist is not built here" in unbuilt
    measured = {**FULL.environment, "model_checksum": directory_checksum(model / "3")}
    same = replace(FULL, environment=measured)
    about_model = [
        r
        for r in render(same, "compose", ExportOptions("2", model_path=model)).remarks
        if "mnist" in r or "model" in r
    ]
    assert about_model == []
    other = replace(FULL, environment={**measured, "model_checksum": "0" * 64})
    *_, remark = render(other, "compose", ExportOptions("2", model_path=model)).remarks
    assert "is not the one that was measured" in remark


def test_a_pick_across_scenarios_says_which_one_it_is_of() -> None:
    (remark, *_) = render(FULL, "json", ExportOptions("knee")).remarks
    assert "trial 2 is for concurrency=1 loss=0, one of 2 scenarios" in remark
    assert "--when concurrency=8,loss=1" in remark
    named = render(FULL, "json", ExportOptions("knee", "loss=0")).remarks
    assert not any("scenarios" in remark for remark in named)


def test_what_is_not_recommended_is_named_beside_what_is_and_how_sure_that_is(
    simulated: StudyRecord,
) -> None:
    summary = summarise(simulated)
    for own in summary.pooled.values():
        if not own.eligible:
            continue
        number = own.representative.number
        remarks = " ".join(render(simulated, "json", ExportOptions(str(number))).remarks)
        best = summary.recommendations[simulated.scenario_of(own.configuration)]
        other = f"trial {number} is not what is recommended there"
        assert (other in remarks) == (own is not best.pooled)
        sure = f"{chance(best.chance)} that nothing else is better by more than 5 %"
        assert (sure in remarks) == (own is not best.pooled or not best.settled)
