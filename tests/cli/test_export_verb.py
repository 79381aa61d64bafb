from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.command import Tune
from tests.cli.test_cli import SMALL, write_study
from tests.study.small import EXPECTED, FEASIBLE, run, specification
from tuner.export.provenance import read_provenance
from tuner.results.study_file import FinishedStudy, read_study
from tuner.results.study_file import write_study as write_study_file
from tuner.study.storage import study_record


@pytest.fixture
def small(tune: Tune) -> Tune:
    """The command, in a directory with a simulated study."""
    write_study(trials=9)
    assert tune("run", *SMALL).code == 0
    return tune


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study file."""
    directory = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(directory)
        spec = specification(FEASIBLE, EXPECTED)
        record = study_record(run(spec))
    file = directory / "small.study.zip"
    write_study_file(file, FinishedStudy(record, lambda _: None))
    return file


def test_files_that_deploy_and_notes_beside_them(small: Tune, tmp_path: Path) -> None:
    ended = small("export", *SMALL, "--format", "compose", "--output", "compose.yaml")
    assert ended.code == 0, ended.err
    assert "wrote compose.yaml" in ended.err
    assert "note: the model mnist is not built here" in ended.err
    assert "services" in yaml.safe_load(Path("compose.yaml").read_text())

    (tmp_path / "versions/1").mkdir(parents=True)
    (tmp_path / "versions/1/saved_model.pb").touch()
    script = small(
        *("export", *SMALL, "-f", "docker-run", "--model-path", "versions", "--port", "9100"),
        *("--pick", "min-cpu", "--when", "concurrency=4"),
    )
    assert script.code == 0, script.err
    assert script.out.startswith("#!/bin/sh\n")
    assert "127.0.0.1:9100:8501" in script.out
    assert f"source={tmp_path}/versions" in script.out
    assert read_provenance(script.out).configuration["concurrency"] == 4
    assert "not built" not in script.err

    objects = small("export", *SMALL, "-f", "kubernetes", "--claim", "models", "--pick", "min-art")
    assert objects.code == 0, objects.err
    assert "claimName: models" in objects.out
    placed = small(
        *("export", *SMALL, "-f", "kserve", "--name", "digits", "--namespace", "ml"),
        *("--model-source", "s3://bucket/digits", "--image", "registry.example/serving:1"),
    )
    assert placed.code == 0, placed.err
    service = yaml.safe_load(placed.out)
    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == ("digits", "ml")
    assert "image: registry.example/serving:1" in placed.out
    env = small("export", *SMALL, "-f", "env", "--pick", "0")
    assert env.code == 0, env.err
    assert "\nTUNE_CONFIG_CPU=1.0\n" in env.out


def test_a_directory_is_written_again_but_not_over_files_of_others(small: Tune) -> None:
    for form, entry in (("helm", "Chart.yaml"), ("kustomize", "kustomization.yaml")):
        ended = small("export", *SMALL, "-f", form, "--output", "made", "--name", "digits")
        assert (ended.code, ended.out) == (0, ""), ended.err
        assert "wrote made" in ended.err
        assert read_provenance(Path("made", entry).read_text()).study == "small"
    Path("made/mine").touch()
    refused = small("export", *SMALL, "-f", "helm", "--output", "made")
    assert (refused.code, refused.out) == (2, "")
    assert "would remove: mine" in refused.err
    assert Path("made/kustomization.yaml").exists()


def test_a_study_file_holds_all_and_is_exported_from_in_turn(small: Tune) -> None:
    ended = small("export", *SMALL, "--format", "study", "--output", "small.study.zip")
    assert ended.code == 0, ended.err
    assert len(read_study(Path("small.study.zip")).record.trials) == 9
    before = small("export", *SMALL, "--pick", "all")
    Path("studies").rename("gone")
    after = small("export", "--study", "small.study.zip", "--pick", "all")
    assert after.code == 0, after.err
    assert json.loads(after.out) == json.loads(before.out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--format", "study"), "give --output small.study.zip"),
        (("--format", "study", "--output", "small"), "ends in .zip"),
        (("--format", "replay"), "a study file has no full grid"),
        (("--format", "compose", "--pick", "all"), "exactly one configuration"),
        (("--pick", "best"), "expected knee, recommended, robust, all, trial numbers"),
        (("--pick", "min art_ms where cpu_percent <= 0"), "the nearest is trial"),
        (("--when", "cpu=1"), "cpu is a decision"),
        (("--format", "csv", "--claim", "a"), "the format csv does not take --claim"),
        (("--format", "compose", "--port", "70000"), "are not all within 1 to 65535"),
        (("--format", "compose", "--port", "1"), "are not all within 1 to 65535"),
        (("--format", "compose", "--grpc-port", "8501"), "overlap"),
        (("--format", "compose", "--name", "Mnist"), "is not a DNS-1123 label"),
        (("--format", "compose", "--image", "--rm"), "is not an image reference"),
        (("--format", "helm"), "give --output DIRECTORY"),
        (("--format", "kserve", "--autoscale", "100"), "needs capacity_rps, which trial"),
        (("--format", "kubernetes", "--model-source", "s3://a"), "add --init-image"),
    ],
)
def test_what_cannot_be_exported(
    tune: Tune, whole: Path, arguments: tuple[str, ...], words: str
) -> None:
    ended = tune("export", "--study", str(whole), *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert "Traceback" not in ended.err
