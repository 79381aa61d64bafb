"""What `run` refuses, `check` finds before: each here is refused by both, in the same words."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.study.small import FEASIBLE, checked, run, specification
from tuner import Study
from tuner.errors import InputError, SetupError
from tuner.load.engine_place import PORTS, allow_files, require_ports

WIDE = ("  concurrency: {role: scenario, type: int, choices: [1, 4], default: 4}",
        "  concurrency: {role: scenario, type: int, choices: [1, 99999], default: 1}")  # fmt: skip


@pytest.fixture(autouse=True)
def _no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def refused_by_run(**options: str) -> InputError:
    with pytest.raises(InputError) as caught:
        Study.open("small", backend="simulated", **options).run(1)  # type: ignore[arg-type]
    return caught.value


def test_what_a_simulated_run_needs_is_looked_for_and_nothing_else() -> None:
    found = checked(specification(FEASIBLE), backend="simulated")
    assert all(check.ok for check in found.values()), found
    assert {"engine", "image", "network", "model", "connections"}.isdisjoint(found)
    assert {"metrics", "sampler", "results", "storage"} < found.keys()


def test_a_metric_that_the_backend_cannot_measure() -> None:
    spec = specification(("[art_ms, cpu_percent]", "[energy_j_per_request, art_ms]"))
    metrics = checked(spec, backend="simulated")["metrics"]
    refused = refused_by_run()
    assert not metrics.ok
    assert (metrics.found, metrics.mend) == (refused.message, refused.mend)


def test_a_sampler_that_the_space_does_not_allow() -> None:
    spec = specification(
        ("choices: [0.25, 0.5, 1]", "low: 0.1, high: 2"), ("sampler: tpe", "sampler: grid")
    )
    sampler = checked(spec, backend="simulated")["sampler"]
    refused = refused_by_run()
    assert not sampler.ok
    assert (sampler.found, sampler.mend) == (refused.message, refused.mend)


def test_results_that_cannot_be_written() -> None:
    spec = specification(FEASIBLE)
    Path("studies/small/results").write_text("no directory")
    found = checked(spec, backend="simulated")["results"]
    refused = refused_by_run()
    assert not found.ok
    assert (found.found, found.mend) == (refused.message, refused.mend)
    assert "results cannot be written: Not a directory" in found.found


def test_a_database_in_a_directory_that_cannot_be_written() -> None:
    specification(FEASIBLE)
    # Nobody may make files there, root neither.
    study = Study.open("small", backend="simulated", storage="sqlite:////proc/new/trials.db")
    (missing,) = [check for check in study.check() if not check.ok]
    refused = refused_by_run(storage="sqlite:////proc/new/trials.db")
    assert (missing.name, missing.found) == ("results", refused.message)
    assert "/proc/new cannot be written" in refused.message


def test_a_study_that_was_started_with_other_settings() -> None:
    run(specification(FEASIBLE), more=1)
    spec = specification(FEASIBLE, ("max_seconds: 1", "max_seconds: 2"))
    storage = checked(spec, backend="simulated")["storage"]
    refused = refused_by_run()
    assert not storage.ok
    assert (storage.found, storage.mend) == (refused.message, refused.mend)


def test_a_database_of_another_backend() -> None:
    spec = specification(FEASIBLE)
    run(spec, more=1)
    storage = checked(spec)["storage"]
    assert not storage.ok
    assert "was made by backend 'simulated'" in storage.found


def test_more_connections_than_the_host_has_ports() -> None:
    low, high = map(int, PORTS.read_text().split())
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = checked(specification(WIDE, FEASIBLE))["connections"]
    assert not connections.ok

    def open_all() -> None:
        allow_files(99_999)
        require_ports(99_999, 1)

    with pytest.raises(SetupError) as refused:
        open_all()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert connections.found == refused.value.message
    assert "concurrency 99999 needs" in connections.found
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before
    require_ports(high - low + 1, 1)
    require_ports(2 * (high - low + 1), 2)
    with pytest.raises(SetupError):
        require_ports(2 * (high - low + 1) + 1, 2)
