from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import InputError
from tuner.spec.host import Host
from tuner.spec.load import load_model, load_search_space, load_study
from tuner.spec.memory_choices import (
    SERVER_MIB,
    ReplicaNeed,
    estimated_working_set,
    memory_choices,
    memory_parameter,
    replica_need,
)
from tuner.spec.scaffold import scaffold

HOST = Host(cpus=2, memory_mib=65536)


def test_choices_begin_barely_above_the_working_set() -> None:
    assert memory_choices(68) == (80, 112, 144, 208, 272)


@given(st.floats(1, 1e5))
def test_choices_are_enough_distinct_and_ascending(working_set: float) -> None:
    choices = memory_choices(working_set)
    assert list(choices) == sorted(set(choices))
    assert choices[0] >= 1.1 * working_set
    assert all(choice % 16 == 0 for choice in choices)
    assert choices[-1] < 4 * working_set + 16


@pytest.mark.parametrize("mib", [0, 200])
def test_a_new_search_space_has_memory_for_its_model(mib: int, tmp_path: Path) -> None:
    model = replace(load_model("mnist", tmp_path), built=tmp_path / "built")
    assert estimated_working_set(model) is None
    assert "[128, 256, 512, 768, 1024]" in memory_parameter(model)
    for version, size in ((2, 1), (10, mib * 2**20)):
        directory = model.versions / str(version) / "variables"
        directory.mkdir(parents=True)
        (directory / "data").write_bytes(b"")
        with (directory / "data").open("r+b") as file:
            file.truncate(size)  # sparse: nothing is written
    assert estimated_working_set(model) == SERVER_MIB + 1.5 * mib, "of the highest version"
    expected = memory_choices(SERVER_MIB + 1.5 * mib)
    assert f"choices: {list(expected)}" in memory_parameter(model)


def test_what_its_first_run_used_wins_over_the_size_of_its_files(tmp_path: Path) -> None:
    model = replace(load_model("mnist", tmp_path), built=tmp_path / "built")
    (model.versions / "1").mkdir(parents=True)
    card = tmp_path / "built" / "card.json"
    card.write_text('{"replica": {"memory_mib": 240.0, "start_cpu_seconds": 6.0}}')
    assert replica_need(model) == ReplicaNeed(240.0, 6.0)
    assert f"choices: {list(memory_choices(240))}" in memory_parameter(model)
    assert "in its first run a replica of mnist used 240 MiB" in memory_parameter(model)


@pytest.mark.parametrize("text", ["{", "[]", '{"replica": {"memory_mib": -1}}', '{"replica": 3}'])
def test_a_card_that_cannot_be_read_is_told_with_its_file(text: str, tmp_path: Path) -> None:
    model = replace(load_model("mnist", tmp_path), built=tmp_path)
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(InputError, match=r"card\.json cannot be read"):
        replica_need(model)


@pytest.mark.parametrize(("start", "seconds"), [(0.5, 20), (6.0, 50)])
def test_a_slow_start_is_given_time(
    start: float, seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 s of CPU time take 24 s of a quarter of a core."""
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "models" / "mine"
    (model / "built").mkdir(parents=True)
    (model / "model.yaml").write_text("description: d\nserver: mlserver\n")
    need = f'{{"memory_mib": 240, "start_cpu_seconds": {start}}}'
    (model / "built" / "card.json").write_text(f'{{"replica": {need}}}')
    scaffold("mine", tmp_path, "mine")
    study = load_study("mine", HOST, tmp_path)
    assert study.serving.ready_seconds == seconds
    text = (tmp_path / "studies/mine/study.yaml").read_text()
    assert "the image that tune builds of the server mlserver" in text
    assert "TensorFlow Serving" not in text


def test_a_scaffold_never_has_the_memory_choices_of_its_template(tmp_path: Path) -> None:
    scaffold("mine", tmp_path)
    memory = load_search_space("mine", HOST, tmp_path)["memory"]
    values = memory.values()
    assert values is not None
    assert values != load_search_space("mnist", HOST, tmp_path)["memory"].values()
    assert memory.default in values
    assert 48 not in values
