"""What is written as a directory, over what, and when not at all."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.export.small import study, trial
from tests.study.forking import exit_code, forked
from tuner.errors import InputError
from tuner.export.directory import entry_of, write_exported
from tuner.export.helm import to_helm
from tuner.export.kustomize import to_kustomize
from tuner.export.provenance import read_provenance
from tuner.export.served import served_by
from tuner.export.workload import workload
from tuner.files import directory_written_whole

ONE, TWO = (
    workload(served_by(record, record.trials[0]), name="digits")
    for record in (study(trial(n, 3.0, 30.0, configuration={"replicas": n})) for n in (1, 2))
)
CHART = to_helm(TWO)


def tree(directory: Path) -> dict[str, str]:
    return {
        str(file.relative_to(directory)): file.read_text()
        for file in directory.rglob("*")
        if file.is_file()
    }


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_an_empty_directory_gets_all_files(tmp_path: Path, there: bool) -> None:
    path = tmp_path / "made"
    if there:
        path.mkdir()
    write_exported(path, CHART)
    assert tree(path) == CHART
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == [path]


def test_an_earlier_export_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "made"
    write_exported(path, CHART)
    later = to_helm(ONE)
    assert CHART.keys() - later.keys() == {"templates/poddisruptionbudget.yaml"}
    write_exported(path, later)
    assert tree(path) == later
    write_exported(path, to_kustomize(ONE))
    assert tree(path) == to_kustomize(ONE)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_an_earlier_export_stays_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "made", tmp_path / "link"
    write_exported(path, CHART)
    link.symlink_to(path)
    write_exported(link, to_helm(ONE))
    assert link.is_symlink()
    assert tree(path) == to_helm(ONE)


@pytest.mark.parametrize("name", ["README.md", "templates/ingress.yaml", ".git/config"])
def test_files_of_others_are_named_and_stay(tmp_path: Path, name: str) -> None:
    path = tmp_path / "made"
    write_exported(path, CHART)
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_text("mine")
    with pytest.raises(InputError, match=f"would remove: {name}"):
        write_exported(path, to_helm(ONE))
    assert tree(path) == {**CHART, name: "mine"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_chart_of_others_is_left_alone_though_its_files_have_the_same_names(
    tmp_path: Path,
) -> None:
    path = tmp_path / "made"
    path.mkdir()
    (path / "Chart.yaml").write_text("name: mine\n")
    with pytest.raises(InputError, match="that `tune export` did not write"):
        write_exported(path, CHART)
    assert tree(path) == {"Chart.yaml": "name: mine\n"}


def test_a_file_and_the_working_directory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        write_exported(tmp_path / "file", CHART)
    monkeypatch.chdir(tmp_path)
    for path in (Path(), tmp_path.parent):
        with pytest.raises(InputError, match="working directory"):
            write_exported(path, CHART)
    with pytest.raises(InputError, match="cannot be written: No such file"):
        write_exported(tmp_path / "a/b", CHART)
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_what_fails_halfway_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "made"
    write_exported(path, CHART)

    def failing() -> None:
        with directory_written_whole(path) as directory:
            (directory / "half").write_text("a")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert tree(path) == CHART
    assert list(tmp_path.iterdir()) == [path]


def test_it_says_where_it_comes_from(tmp_path: Path) -> None:
    for files in (CHART, to_kustomize(TWO)):
        write_exported(tmp_path / "made", files)
        entry = entry_of(tmp_path / "made")
        assert entry is not None
        assert read_provenance(entry.read_text()).trial == TWO.served.trial.number
    assert entry_of(tmp_path) is None


def test_what_was_there_comes_back_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made"
    write_exported(path, CHART)
    renamed = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if target == path and (self / "half").exists():
            raise KeyboardInterrupt
        return renamed(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), directory_written_whole(path) as directory:
        (directory / "half").touch()
    assert tree(path) == CHART
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("moment", ["written", "set aside", "replaced"])
def test_what_a_killed_process_left_is_finished_by_the_next_one(
    tmp_path: Path, moment: str
) -> None:
    path, other = tmp_path / "made", tmp_path / ".made.settings"
    write_exported(path, CHART)
    other.mkdir()
    before = path.stat().st_ino

    def killed() -> None:
        renamed = Path.rename

        def kill_at(name: str) -> None:
            if moment == name:
                os.kill(os.getpid(), signal.SIGKILL)

        def rename(self: Path, target: Path) -> Path:
            if target == path:
                kill_at("set aside")
            renamed(self, target)
            kill_at("replaced" if target == path else "")
            return target

        Path.rename = rename  # type: ignore[method-assign, assignment]
        Path.chmod = lambda *_: kill_at("written")  # type: ignore[method-assign]
        write_exported(path, CHART)

    assert exit_code(forked(killed)) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) > 2

    def looks() -> None:
        with directory_written_whole(path):
            assert list(tmp_path.glob(".tune.made.*.old")) == []
            kept = path.stat().st_ino == before
            assert kept is (moment != "replaced")
            raise InterruptedError

    with pytest.raises(InterruptedError):
        looks()
    assert sorted(tmp_path.iterdir()) == [other, path]
    write_exported(path, CHART)
    assert tree(path) == CHART
    assert sorted(tmp_path.iterdir()) == [other, path]


def test_a_directory_that_a_live_process_writes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with directory_written_whole(path) as first:
        (first / "first").touch()
        with directory_written_whole(path) as second:
            (second / "second").touch()
        assert [p.name for p in first.iterdir()] == ["first"]
    assert [p.name for p in path.iterdir()] == ["first"]
    assert list(tmp_path.iterdir()) == [path]
