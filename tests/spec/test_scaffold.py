from __future__ import annotations

import re
from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.spec.built_in import BUILT_INS
from tuner.spec.host import Host
from tuner.spec.load import load_search_space, load_study
from tuner.spec.scaffold import RecordedLoad, ServiceLevel, scaffold
from tuner.spec.study import StudySpec
from tuner.spec.yaml_documents import LoadDocument

HOST = Host(cpus=2, memory_mib=8192)


def test_scaffolded_study_loads_at_once(tmp_path: Path) -> None:
    paths = scaffold("digits", tmp_path)
    assert paths == [tmp_path / "studies/digits/study.yaml", tmp_path / "search_spaces/digits.yaml"]
    study = load_study("digits", HOST, tmp_path)
    assert (study.name, study.model.name, study.path) == ("digits", "mnist", paths[0])
    assert "digits" in study.description
    # The space is the one written, not the shipped one.
    paths[1].write_text(paths[1].read_text().replace("[1, 4, 16]", "[4]"))
    assert load_study("digits", HOST, tmp_path).search_space["concurrency"].values() == (4,)


@pytest.mark.parametrize("occupied", ["studies", "studies/digits", "search_spaces"])
def test_a_scaffold_is_written_whole_or_not_at_all(occupied: str, tmp_path: Path) -> None:
    (tmp_path / occupied).parent.mkdir(exist_ok=True)
    (tmp_path / occupied).touch()  # a file where a directory is needed
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="cannot be written") as caught:
        scaffold("digits", tmp_path)
    assert caught.value.mend
    assert sorted(tmp_path.rglob("*")) == before


def test_scaffold_teaches(tmp_path: Path) -> None:
    study, space = (path.read_text() for path in scaffold("digits", tmp_path))
    needed = [name for name, rule in BUILT_INS.items() if rule.required]
    assert all(f"  {name}:\n    description:" in space for name in [*needed, "loss"])
    assert all(f"  {key}: " in study for key in LoadDocument.model_fields)
    assert study.count("#") > 20
    assert "yaml-language-server" not in study + space, "there is no schema beside a user's study"


@pytest.mark.parametrize("direction", ["loss_in", "loss_out"])
def test_what_a_scaffold_has_in_comments_loads_without_the_signs(
    direction: str, tmp_path: Path
) -> None:
    study, space = scaffold("digits", tmp_path)
    text = re.sub(r"(?m)^  # (?= *\w+:( |$))", "  ", space.read_text())
    text = re.sub(rf"(?m)^  {direction}: .*\n", "", text)
    space.write_text(text)
    names = {parameter.name for parameter in load_search_space("digits", HOST, tmp_path)}
    assert names == {*BUILT_INS, "intra_op_threads"} - {direction}
    with pytest.raises(InputError, match=r"load\.arrivals: expected constant or poisson"):
        load_study("digits", HOST, tmp_path)
    study.write_text(study.read_text().replace("arrivals: closed ", "arrivals: poisson"))
    assert load_study("digits", HOST, tmp_path).load.arrivals == "poisson"


def test_scaffold_serves_the_model_asked_for(tmp_path: Path) -> None:
    (tmp_path / "models/speech").mkdir(parents=True)
    (tmp_path / "models/speech/model.yaml").write_text("description: audio in, text out\n")
    scaffold("talk", tmp_path, model="speech")
    assert load_study("talk", HOST, tmp_path).model.name == "speech"


@pytest.mark.parametrize("existing", ["studies/digits/study.yaml", "search_spaces/digits.yaml"])
def test_scaffold_overwrites_nothing(existing: str, tmp_path: Path) -> None:
    path = tmp_path / existing
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        scaffold("digits", tmp_path)
    assert path.read_text() == "mine"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize(("name", "model"), [("../x", "mnist"), ("x", "none"), ("X", "mnist")])
def test_scaffold_refuses_bad_names(name: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        scaffold(name, tmp_path, model)
    assert not list(tmp_path.iterdir())


def asking(
    root: Path, *texts: str, rate: float | None = None, concurrency: int | None = None
) -> StudySpec:
    level = ServiceLevel.parse(texts, rate, concurrency)
    scaffold("held", root, service_level=level)
    return load_study("held", HOST, root)


def test_a_service_level_at_a_rate_is_an_open_loop_at_that_rate(tmp_path: Path) -> None:
    study = asking(tmp_path, "p95_ms <= 15.25", rate=100)
    assert [str(c) for c in study.constraints] == ["p95_ms <= 15.25", "error_rate <= 0.01"]
    assert [o.metric for o in study.objectives] == ["reserved_cores", "reserved_mib"]
    assert study.load.arrivals == "poisson"
    space = study.search_space
    assert space["rate"].values() == (100,)
    assert space["concurrency"].values() == (32,)
    assert space["loss"].values() == (0,)
    assert {p.name for p in space.with_role("decision")} == {"cpu", "memory", "replicas"}
    assert study.search.scenarios == ("rate", "concurrency", "loss")
    assert study.description == "The cheapest way to hold p95_ms <= 15.25 at 100 requests/s"


def test_a_service_level_for_clients_is_a_closed_loop(tmp_path: Path) -> None:
    study = asking(
        tmp_path, "error_rate <= 0.001", "throughput_rps >= 300", "p99_ms<=40", concurrency=8
    )
    bounds = [str(c) for c in study.constraints]
    assert bounds == ["error_rate <= 0.001", "throughput_rps >= 300", "p99_ms <= 40"]
    assert study.load.arrivals == "closed"
    assert study.search_space["concurrency"].values() == (8,)
    assert study.search_space.size() == 80
    assert study.search.scenarios == ("concurrency", "loss")


@pytest.mark.parametrize(
    ("rate", "bound", "connections"), [(0.5, 15, 16), (2000, 15, 1024), (100, 900, 512)]
)
def test_an_open_loop_has_connections_for_slow_answers(
    rate: float, bound: float, connections: int, tmp_path: Path
) -> None:
    study = asking(tmp_path, f"p95_ms <= {bound}", rate=rate)
    assert study.search_space["concurrency"].default == connections


@pytest.mark.parametrize(
    ("texts", "rate", "concurrency", "message"),
    [
        (["p95_ms < 15"], 100, None, "expected a constraint such as"),
        (["p96_ms <= 15"], 100, None, "expected the name of a metric, found 'p96_ms'"),
        (["p95_ms <= 15"], None, None, "holds for one load"),
        (["p95_ms <= 15"], 100, 8, "holds for one load"),
        ([], 100, None, "a rate or a concurrency is the load of a service level"),
        (["p95_ms <= 15"], 0.0, None, "--rate: expected a number of at least 0.1, found 0"),
        (["p95_ms <= 15"], float("inf"), None, "--rate: expected a number"),
        (["p95_ms <= 15"], None, 0, "--concurrency: expected a number of at least 1"),
        (["p95_ms <= 15", "p95_ms <= 20"], 100, None, "the same metric on the same side"),
    ],
)
def test_what_is_no_service_level_is_refused(
    texts: list[str], rate: float | None, concurrency: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ServiceLevel.parse(texts, rate, concurrency)


@pytest.mark.parametrize("level", [None, ServiceLevel.parse(["p95_ms <= 15"], 50, None)])
def test_a_scaffold_sends_recorded_requests_when_they_came(
    level: ServiceLevel | None, tmp_path: Path
) -> None:
    template = r'{"instances": [["{a}\n: \\1"]]}'
    recorded = RecordedLoad(tmp_path / "logs" / "t 1.csv", template, timed=True)
    scaffold("digits", tmp_path, service_level=level, recorded=recorded)
    study = load_study("digits", HOST, tmp_path)
    assert (study.load.arrivals, study.load.template) == ("trace", template)
    assert (study.path.parent / study.load.requests).resolve() == recorded.path


def test_clients_that_wait_send_recorded_requests_as_they_can(tmp_path: Path) -> None:
    level = ServiceLevel.parse(["p95_ms <= 15"], None, 4)
    recorded = RecordedLoad(tmp_path / "t.jsonl", "", timed=True)
    scaffold("digits", tmp_path, service_level=level, recorded=recorded)
    assert load_study("digits", HOST, tmp_path).load.arrivals == "closed"
