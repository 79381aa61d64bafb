"""Which versions of a model are served, with a loader that stands in for TensorFlow."""

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.serving.server.status import Code, StatusError
from tuner.serving.server.tensorflow_c import SavedModel
from tuner.serving.server.versions import (
    Model,
    ModelConfig,
    Policy,
    State,
    every,
    latest,
    specific,
)


class Loader:
    """Loads what contains no file `corrupt`."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def __call__(self, path: Path) -> SavedModel:
        self.tried.append(path.name)
        if (path / "corrupt").exists():
            raise StatusError(Code.DATA_LOSS, "the file is corrupt")
        return cast("SavedModel", path.name)


def model(base: Path, policy: Policy | None = None, **labels: int) -> tuple[Model, Loader]:
    loader = Loader()
    return Model(ModelConfig("m", base, policy or latest(1), labels), loader), loader


def add(base: Path, *names: str, corrupt: bool = False) -> None:
    for name in names:
        (base / name).mkdir()
        if corrupt:
            (base / name / "corrupt").touch()


def states(found: Model) -> dict[int, tuple[State, Code]]:
    return {status.version: (status.state, status.code) for status in found.status}


def test_the_highest_number_is_served(tmp_path: Path) -> None:
    add(tmp_path, "9", "010", "latest", "2")
    (tmp_path / "99").touch()
    found, loader = model(tmp_path)
    found.refresh()
    assert found.find().version == 10
    assert found.find(10).saved_model == cast("SavedModel", "010")
    assert loader.tried == ["010"]
    assert states(found) == {10: (State.AVAILABLE, Code.OK)}


def test_a_new_version_takes_over(tmp_path: Path) -> None:
    add(tmp_path, "1")
    found, loader = model(tmp_path)
    found.refresh()
    kept = found.find()
    add(tmp_path, "2")
    found.refresh()
    found.refresh()
    assert found.find().version == 2
    assert kept.version == 1  # still usable by whoever has it
    assert loader.tried == ["1", "2"]
    assert states(found) == {1: (State.END, Code.OK), 2: (State.AVAILABLE, Code.OK)}
    with pytest.raises(StatusError, match=r"Servable not found for request: Specific\(m, 1\)"):
        found.find(1)


def test_a_corrupt_version_is_reported_and_does_not_stop_the_good_one(tmp_path: Path) -> None:
    add(tmp_path, "1")
    add(tmp_path, "2", "3", corrupt=True)
    found, loader = model(tmp_path)
    found.refresh()
    found.refresh()
    assert found.find().version == 1
    assert loader.tried == ["3", "2", "1"]  # not again while they stay as they are
    assert states(found) == {
        1: (State.AVAILABLE, Code.OK),
        2: (State.END, Code.DATA_LOSS),
        3: (State.END, Code.DATA_LOSS),
    }
    assert found.status[1].message == "the file is corrupt"


def test_a_corrupt_version_that_is_mended_is_loaded(tmp_path: Path) -> None:
    add(tmp_path, "1")
    add(tmp_path, "2", corrupt=True)
    found, _ = model(tmp_path)
    found.refresh()
    (tmp_path / "2" / "corrupt").unlink()
    found.refresh()
    assert found.find().version == 2


def test_a_version_that_is_taken_away_is_given_up(tmp_path: Path) -> None:
    add(tmp_path, "1", "2")
    found, _ = model(tmp_path)
    found.refresh()
    (tmp_path / "2").rmdir()
    found.refresh()
    assert found.find().version == 1
    (tmp_path / "1").rmdir()
    found.refresh()
    with pytest.raises(StatusError, match=r"Servable not found for request: Latest\(m\)"):
        found.find()


def test_a_directory_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    add(base, "1")
    found, _ = model(base)
    found.refresh()
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(StatusError, match="cannot be read") as caught:
        found.refresh()
    assert caught.value.code is Code.NOT_FOUND
    assert found.find().version == 1


@pytest.mark.parametrize(
    ("policy", "served"),
    [(latest(2), {2, 3}), (every(), {1, 2, 3}), (specific((1, 3, 7)), {1, 3})],
)
def test_the_policy_chooses(policy: Policy, served: set[int], tmp_path: Path) -> None:
    add(tmp_path, "1", "2", "3")
    found, _ = model(tmp_path, policy)
    found.refresh()
    assert set(found.served) == served


def test_labels_stand_for_versions(tmp_path: Path) -> None:
    add(tmp_path, "1", "2")
    found, _ = model(tmp_path, every(), stable=1, canary=2, gone=3)
    found.refresh()
    assert found.find(label="stable").version == 1
    assert found.find(label="canary").version == 2
    with pytest.raises(StatusError) as caught:
        found.find(label="gone")
    assert caught.value.code is Code.NOT_FOUND
    with pytest.raises(StatusError, match="Unrecognized servable version label: none") as caught:
        found.find(label="none")
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.sets(st.integers(0, 50)), st.integers(1, 5))
def test_latest_is_the_highest(versions: set[int], count: int) -> None:
    chosen = latest(count)(versions)
    assert len(chosen) == min(count, len(versions))
    assert all(c > v for c in chosen for v in versions - chosen)
