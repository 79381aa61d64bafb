from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.study.small import FEASIBLE, run, specification
from tuner.errors import InputError
from tuner.measure.record import FailedTrial, StudyRecord
from tuner.results.study_file import FinishedStudy, is_study_file, read_study, write_study
from tuner.spec.fingerprint import to_dict
from tuner.spec.load import results_directory
from tuner.study.storage import default_url, finished_study, open_storage, study_record


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a simulated study was run."""
    directory = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        run(specification(FEASIBLE))
    return directory


@pytest.fixture
def finished(ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FinishedStudy:
    """That study, as it is in a storage of the test's own."""
    shutil.copytree(ran, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    spec = specification(FEASIBLE)
    results = results_directory(spec)
    storage = open_storage(default_url(results, "simulated"), create=False)
    return finished_study(spec.name, storage, results)


def test_a_study_file_gives_back_the_study_and_its_samples(finished: FinishedStudy) -> None:
    path = Path("small.study.zip")
    assert is_study_file(str(path))
    write_study(path, finished)
    back = read_study(path)
    assert back.record == finished.record
    assert back.record.specification["seed"] == 3
    recorded = 0
    for trial in finished.record.trials:
        before, after = finished.recording(trial), back.recording(trial)
        assert (before is None) == (after is None)
        if before is not None and after is not None:
            recorded += len(before.samples)
            assert after.window_start_ns == before.window_start_ns
            assert (after.samples.duration_ns == before.samples.duration_ns).all()
    assert recorded > 0


def test_a_study_file_needs_neither_the_database_nor_the_samples_directory(
    finished: FinishedStudy, tmp_path: Path
) -> None:
    write_study(tmp_path / "small.study.zip", finished)
    (tmp_path / "studies").rename(tmp_path / "gone")
    back = read_study(tmp_path / "small.study.zip")
    assert back.recording(back.record.trials[0]) is not None
    assert finished.recording(finished.record.trials[0]) is None


def test_the_same_study_gives_the_same_bytes(finished: FinishedStudy) -> None:
    for name in ("a.study.zip", "b.study.zip"):
        write_study(Path(name), finished)
    written = Path("a.study.zip").read_bytes()
    assert written == Path("b.study.zip").read_bytes()
    write_study(Path("c.study.zip"), read_study(Path("a.study.zip")))
    assert written == Path("c.study.zip").read_bytes()


def test_failed_trials_are_kept_with_what_was_measured(finished: FinishedStudy) -> None:
    record = finished.record
    one = record.trials[1]
    failed = (
        FailedTrial(8, one.configuration, "INVALID twice", one),
        FailedTrial(9, one.configuration, "its process was killed"),
    )
    study = StudyRecord.of(
        record.name, record.specification, record.environment, record.trials, failed
    )
    write_study(Path("f.study.zip"), FinishedStudy(study, finished.sample_file))
    assert read_study(Path("f.study.zip")).record.failed == failed


def test_a_record_says_what_its_specification_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = specification(FEASIBLE)
    record = study_record(run(spec, more=1))
    assert record.specification == json.loads(json.dumps(to_dict(spec)))
    assert record.objectives == spec.objectives
    assert record.constraints == spec.constraints
    assert record.search_space == spec.search_space


def archive(**members: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for name, text in members.items():
            file.writestr(name.replace("_", "."), text)
    return held.getvalue()


def with_damaged_name() -> bytes:
    """The header before the member says that its name is UTF-8, and it is not."""
    held = bytearray(archive(study_json="{}"))
    held[7] |= 0x08
    held[30] = 0xFF
    return bytes(held)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (None, "No such file"),
        (b"PK no archive", "not a readable study file"),
        (archive(other_json="{}"), "not a readable study file"),
        (with_damaged_name(), "not a readable study file"),
        (archive(study_json="{"), "not a readable study file"),
        (archive(study_json="[]"), "format none, expected 2"),
        (archive(study_json='{"format": 7}'), "format 7, expected 2"),
        (archive(study_json='{"format": 1, "study": "x"}'), "not a whole study"),
        (archive(study_json='{"format": 1, "trials": 3}'), "not a whole study"),
        (archive(study_json="[" * 100_000), "not a readable study file"),
        (archive(study_json="{}").replace(b"\x00\x00", b"\x01\x00"), "not a readable study file"),
    ],
    ids=[
        *["absent", "no archive", "no document", "damaged name", "no JSON", "a list", "newer"],
        *["half", "other", "deep", "encrypted"],
    ],
)
def test_another_file_is_refused(tmp_path: Path, held: bytes | None, expected: str) -> None:
    path = tmp_path / "bad.study.zip"
    if held is not None:
        path.write_bytes(held)
    with pytest.raises(InputError, match=expected) as refused:
        read_study(path)
    assert str(path) in refused.value.message


def test_samples_that_cannot_be_read_are_refused(finished: FinishedStudy) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), table)
    for held in (b"no Parquet", table.getvalue()):
        study = FinishedStudy(finished.record, lambda _, held=held: held)  # type: ignore[misc]
        with pytest.raises(InputError):
            study.recording(finished.record.trials[0])


def test_a_file_that_cannot_be_written_leaves_nothing(finished: FinishedStudy) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_study(Path("nowhere/a.study.zip"), finished)
    assert not Path("nowhere").exists()


def test_a_damaged_study_file_is_read_or_refused(finished: FinishedStudy) -> None:
    path = Path("small.study.zip")
    write_study(path, finished)
    whole = path.read_bytes()
    refused = 0
    for at in [*range(30), *range(30, len(whole), len(whole) // 20)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            study = read_study(path)
            for trial in study.record.trials:
                study.recording(trial)
        except InputError:
            refused += 1
    for at in range(0, len(whole), len(whole) // 10):
        path.write_bytes(whole[:at])
        with pytest.raises(InputError):
            read_study(path)
    assert refused > 20


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("study",), ["small"], "study: expected text, found a list"),
        (("warm_start",), "x", "warm_start: expected a mapping, found 'x'"),
        (("warm_start",), {"queue": 2}, "warm_start.queue: expected a mapping, found 2"),
        (("environment",), "1", "environment: expected a mapping, found '1'"),
        (("environment", "host"), [1], "environment.host: expected a mapping, found a list"),
        (("specification", "seed"), "NaN", "specification.seed: expected a whole number"),
        (("specification", "answer", "margin"), [{}], "specification.answer.margin: expected"),
        (("specification", "answer", "expected"), "x", "specification.answer.expected: expected"),
        (
            ("specification", "search_space", "memory", "log"),
            [0],
            "specification.search_space.memory.log: expected true or false, found a list",
        ),
        (
            ("specification", "search_space", "memory", "choices"),
            [],
            "specification.search_space.memory.choices: expected values",
        ),
        (("trials", 1, "number"), 0, "trials[1].number: expected a number above 0"),
        (("trials", 1, "values", 0), [None], "trials[1].values[0]: expected a number"),
        (("trials", 1, "values"), [], "trials[1].values: expected 2 numbers"),
        (("trials", 1, "attempts"), [1], "trials[1].attempts: expected a whole number"),
        (("trials", 1, "samples"), ["x"], "trials[1].samples: expected text, found a list"),
        (("trials", 1, "violations"), {"serves": None}, "trials[1].violations.serves: expected"),
        (("trials", 1, "configuration"), {}, "trials[1].configuration.concurrency: the key is"),
        (("trials", 1, "configuration", "cpu"), "x", "trials[1].configuration.cpu: expected"),
        (("trials", 1, "measurement", "metrics", "art_ms"), 1, "trials[1].measurement.metrics."),
        (("trials", 1, "stated"), {"network": 1}, ""),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_place(
    finished: FinishedStudy, path: tuple[str | int, ...], value: object, said: str
) -> None:
    document = json.loads(json.dumps({"format": 2, **finished.record.to_json()}))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    Path("t.study.zip").write_bytes(archive(study_json=json.dumps(document)))
    if not said:  # of no meaning there
        assert read_study(Path("t.study.zip")).record == finished.record
        return
    with pytest.raises(InputError) as refused:
        read_study(Path("t.study.zip"))
    assert refused.value.message.startswith(f"t.study.zip: not a whole study: {said}")
    assert refused.value.mend


def test_what_is_far_too_large_is_not_unpacked() -> None:
    with zipfile.ZipFile("bomb.study.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("study.json", b" " * (2**26 + 1))
    with pytest.raises(InputError, match=r"study\.json has more than \d+ bytes"):
        read_study(Path("bomb.study.zip"))
    with zipfile.ZipFile("bomb.study.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("study.json", b"[" + b"[]," * 2_000_000 + b"[]]")
    with pytest.raises(InputError, match=r"study\.json has more than \d+ values"):
        read_study(Path("bomb.study.zip"))


def test_an_archive_with_two_documents_is_refused() -> None:
    with zipfile.ZipFile("two.study.zip", "w") as file:
        file.writestr("study.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("study.json", "{}")
    with pytest.raises(InputError, match=r"study\.json is there twice"):
        read_study(Path("two.study.zip"))
