"""The commands that `tune` prints do what they say, copied as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.command import Ended, Tune
from tests.cli.small_study import small_study
from tuner.study.check_line import Check


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The path, from the working directory, of a study that is not found by its name here."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = Path("../it's there/studies/small/study.yaml")
    path.parent.mkdir(parents=True)
    path.write_text(small_study())
    return str(path)


def printed(ended: Ended) -> list[list[str]]:
    """The command lines of an output, without `tune`."""
    lines = (line.strip() for line in ended.out.splitlines())
    return [shlex.split(line)[1:] for line in lines if line.startswith("tune ")]


def test_a_study_that_is_named_by_its_path_is_named_so_in_every_command(
    tune: Tune, elsewhere: str, tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path}/other name.db"
    ended = tune(*("run", "--study", elsewhere, "--backend", "simulated", "--storage", storage))
    assert ended.code == 0, ended
    for verbs in (["show", "run"], ["show", "export"]):
        commands = printed(ended)
        assert [words[0] for words in commands] == verbs
        for words in commands:
            ended = tune(*words)
            assert ended.code == 0, ended
    assert Path("compose.yaml").exists()


def test_what_can_run_is_run_as_check_says(
    tune: Tune, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tuner.study.check.checks", lambda *_, **__: [Check("model", True, "found")]
    )
    (command,) = printed(tune("check", "--study", elsewhere, "--backend", "simulated"))
    ended = tune(*command)
    assert ended.code == 0, ended


def test_a_study_that_is_found_by_its_name_is_called_by_it(
    tune: Tune, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(elsewhere).parents[2])
    for name in ("small", "studies/small/study.yaml", "./studies/small"):
        ended = tune("run", "--study", name, "--backend", "simulated", "--trials", "1")
        assert printed(ended)[0] == ["show", "--study", "small", "--backend", "simulated"]


def test_a_mend_names_the_study_as_it_was_given(tune: Tune, elsewhere: str) -> None:
    tune("run", "--study", elsewhere, "--backend", "simulated", "--trials", "1")
    ended = tune("measure", "--study", elsewhere, "--backend", "simulated", "--trial", "99")
    assert ended.code == 2
    _, _, command = ended.err.strip().partition("tune show ")
    assert shlex.split(command) == ["--study", elsewhere, "--backend", "simulated"]
