"""Studies on the hosts of a Dask cluster: real schedulers and workers, computed trials."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.backends import paced
from tests.backends.dask_processes import Cluster, dask_scheduler, tune_process, until
from tests.study.invariants import broken_invariants
from tests.study.postgresql import running, why_no_server
from tests.study.small import FEASIBLE, STUDY
from tuner import Study
from tuner.backends.bench import BenchEvent
from tuner.backends.hosts import HostGone, HostJoined, HostLeftOut, OnHost
from tuner.errors import InputError, SetupError, TuneError
from tuner.load.burst_progress import BurstProgress
from tuner.search.study_sampler import HOST
from tuner.spec.host import Host
from tuner.study.loop import Failed, Finished, Started

TRIALS = 12
HOSTS = ("alpha", "beta", "gamma")
MANY = [FEASIBLE, ("low: 1, high: 2", "low: 1, high: 6"), ("trials: 8", f"trials: {TRIALS}")]
"""36 configurations that can serve."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("small")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """One without workers. What is up on a host is in the directory `up`."""
    paced.install()
    place = tmp_path / "up"
    place.mkdir()
    monkeypatch.setenv("PACED_PLACE", str(place))
    monkeypatch.setenv("PACED_SECONDS", "0.3")
    with dask_scheduler(tmp_path) as made:
        yield made


def write(name: str, *changes: tuple[str, str]) -> None:
    text = STUDY
    for old, new in [*MANY, *changes]:
        assert old in text
        text = text.replace(old, new)
    path = Path(f"studies/{name}/study.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def opened(cluster: Cluster | None, name: str = "small", **options: str) -> Study:
    on = None if cluster is None else cluster.on
    return Study.open(name, backend="paced", on=on, **options)  # type: ignore[arg-type]


def started(cluster: Cluster, *names: str) -> None:
    for name in names:
        cluster.start(name)
    cluster.joined(*names)


@contextmanager
def measuring(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, *names: str
) -> Iterator[subprocess.Popen[str]]:
    """A run whose trials last for minutes, once each of these hosts measures one. It is killed at
    the end, where it still goes on: a test that failed would wait for it.
    """
    monkeypatch.setenv("PACED_SECONDS", "600")
    started(cluster, *names)
    command = ("run", "--study", "small", "--backend", "paced", "--on", cluster.on)
    with tune_process(*command) as process:
        try:
            until(lambda: len(paced.up(Path("up"))) == len(names))
            yield process
        finally:
            process.kill()


def whole(study: Study) -> list[str]:
    """What does not hold of a study whose budget is used up."""
    return broken_invariants(
        study.specification, study.optuna, study.results, Path(study.url.removeprefix("sqlite:///"))
    )


def states(study: Study) -> Counter[TrialState]:
    return Counter(t.state for t in study.optuna.get_trials())


def test_three_hosts_complete_the_budget_together(cluster: Cluster, tmp_path: Path) -> None:
    started(cluster, *HOSTS)
    events: list[object] = []
    study = opened(cluster).run(on_event=events.append)
    assert whole(study) == []
    assert states(study) == {TrialState.COMPLETE: TRIALS}
    by_host = Counter(study.record.host_of(trial) for trial in study.record.trials)
    assert set(by_host) == set(HOSTS), "each has its share"
    for trial in study.optuna.get_trials():
        record = study.record.trial(trial.number)
        assert record is not None
        assert trial.user_attrs[HOST] == study.record.host_of(record)
    assert {e.host for e in events if isinstance(e, HostJoined)} == set(HOSTS)
    ends = [e for e in events if isinstance(e, Finished)]
    assert Counter(e.host for e in ends) == by_host
    begins = [e for e in events if isinstance(e, Started)]
    assert sorted(e.number for e in begins) == list(range(TRIALS))
    seen = {(e.host, type(e.event)) for e in events if isinstance(e, OnHost)}
    assert seen >= {(host, kind) for host in HOSTS for kind in (str, BurstProgress)}
    assert paced.up(tmp_path / "up") == []
    again: list[object] = []
    opened(cluster).run(on_event=again.append)
    assert len(again) == 1, "nothing is left to measure, so no host is made ready"


def test_one_host_stores_what_this_host_would(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACED_SECONDS", "0")
    started(cluster, "alpha")
    there = opened(cluster, storage="sqlite:///there.db").run()
    here = opened(None, storage="sqlite:///here.db").run()

    def stored(study: Study) -> list[object]:
        return [
            (t.number, t.configuration, t.outcome, t.values, t.measurement, t.deployment, t.why)
            for t in study.record.trials
        ]

    assert stored(there) == stored(here)
    assert set(there.record.environment) - set(here.record.environment) == {"worker"}


def test_a_host_that_is_killed_in_a_trial_loses_none(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACED_SECONDS", "1")
    started(cluster, *HOSTS)
    gone: list[HostGone] = []
    killed: list[int | None] = []

    def observe(event: object) -> None:
        at_work = isinstance(event, OnHost) and isinstance(event.event, BurstProgress)
        if at_work and event.host == "beta" and not killed:  # type: ignore[attr-defined]
            killed.append(event.trial)  # type: ignore[attr-defined]
            cluster.end("beta", signal.SIGKILL)
        if isinstance(event, HostGone):
            gone.append(event)

    study = opened(cluster).run(on_event=observe)
    assert whole(study) == []
    assert gone == [HostGone("beta", killed[0])]
    assert states(study) == {TrialState.COMPLETE: TRIALS}, "it is the same trial, elsewhere"
    assert killed[0] is not None
    moved = study.record.trial(killed[0])
    assert moved is not None
    assert study.record.host_of(moved) in {"alpha", "gamma"}
    assert study.optuna.get_trials()[killed[0]].user_attrs[HOST] == study.record.host_of(moved)


@pytest.mark.thorough
def test_a_host_that_ends_politely_removes_what_it_had_up(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACED_SECONDS", "1")
    started(cluster, "alpha", "beta")
    left: list[list[str]] = []

    def observe(event: object) -> None:
        at_work = isinstance(event, OnHost) and isinstance(event.event, BurstProgress)
        if at_work and event.host == "beta" and not left:  # type: ignore[attr-defined]
            pid = cluster.workers["beta"].pid
            cluster.end("beta")
            left.append([name for name in paced.up(tmp_path / "up") if f"{pid}-" in name])

    study = opened(cluster).run(6, on_event=observe)
    assert left == [[]]
    assert states(study) == {TrialState.COMPLETE: 6}


@pytest.mark.thorough
def test_a_host_that_joins_later_measures_and_one_that_differs_does_not(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACED_SECONDS", "0.5")
    started(cluster, "alpha")
    events: list[object] = []

    def observe(event: object) -> None:
        events.append(event)
        if isinstance(event, Finished) and event.record.number == 0:
            cluster.start("beta")
            cluster.start("other", PACED_FAULT="other CPU")
            cluster.joined("beta", "other")

    study = opened(cluster).run(on_event=observe)
    assert whole(study) == []
    assert {study.record.host_of(t) for t in study.record.trials} == {"alpha", "beta"}
    (out,) = [e for e in events if isinstance(e, HostLeftOut)]
    assert out.host == "other"
    assert out.reason.startswith("host other differs from host alpha: CPU model is slow, not ")


@pytest.mark.parametrize(
    ("fault", "cpu", "times"), [("other CPU", "slow", 1), ("more CPUs", "usual", 2)]
)
def test_hosts_with_other_cpus_take_part_where_the_study_says_so(
    cluster: Cluster, fault: str, cpu: str, times: int
) -> None:
    write("small", ("seed: 3", "hosts: any\nseed: 3"))
    # By name the first, with which the others are compared.
    cluster.start("beta")
    cluster.start("alpha", PACED_FAULT=fault)
    cluster.joined("alpha", "beta")
    study = opened(cluster).run()
    assert whole(study) == []
    cpus = Host.this().cpus
    kinds = study.record.host_kinds
    assert kinds.keys() == {f"usual, {cpus} CPUs", f"{cpu}, {times * cpus} CPUs"}
    baseline = study.specification.search_space.baseline()
    for trials in kinds.values():
        assert baseline in {t.configuration for t in trials}


@pytest.mark.thorough
def test_a_host_that_joins_with_fewer_cpus_than_the_run_began_with_is_left_out(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACED_SECONDS", "0.5")
    write("small", ("seed: 3", "hosts: any\nseed: 3"))
    cluster.start("alpha", PACED_FAULT="more CPUs")
    cluster.joined("alpha")
    events: list[object] = []

    def observe(event: object) -> None:
        events.append(event)
        if isinstance(event, Finished) and event.record.number == 0:
            started(cluster, "beta")

    study = opened(cluster).run(on_event=observe)
    assert whole(study) == []
    (out,) = [e for e in events if isinstance(e, HostLeftOut)]
    cpus = Host.this().cpus
    assert out.reason == (
        f"host beta has {cpus} CPUs, fewer than the {2 * cpus} with which the run began"
    )


@pytest.mark.thorough
def test_a_host_on_which_all_breaks_is_left_out(cluster: Cluster) -> None:
    cluster.start("bad", PACED_FAULT="broken")
    cluster.start("good")
    cluster.joined("bad", "good")
    events: list[object] = []
    study = opened(cluster).run(on_event=events.append)
    assert whole(study) == []
    assert {study.record.host_of(t) for t in study.record.trials} == {"good"}
    (out,) = [e for e in events if isinstance(e, HostLeftOut)]
    assert (out.host, out.reason) == (
        "bad",
        "3 trials in a row broke; the last: replica 0 was removed by something else",
    )
    assert sum(isinstance(e, Failed) for e in events) == 3


def test_the_last_host_on_which_all_breaks_ends_the_run(cluster: Cluster) -> None:
    cluster.start("bad", PACED_FAULT="broken")
    cluster.joined("bad")
    with pytest.raises(TuneError, match="3 trials in a row broke") as caught:
        opened(cluster).run()
    assert "run again" in caught.value.mend
    assert states(opened(None)) == {TrialState.FAIL: 3, TrialState.WAITING: 1}


def test_a_host_whose_engine_goes_comes_back(cluster: Cluster) -> None:
    cluster.start("alpha", PACED_FAULT="engine goes")
    cluster.joined("alpha")
    told: list[BenchEvent] = []

    def observe(event: object) -> None:
        if isinstance(event, OnHost):
            told.append(event.event)

    study = opened(cluster).run(3, on_event=observe)
    assert states(study) == {TrialState.COMPLETE: 3, TrialState.FAIL: 1}
    kinds = [type(event).__name__ for event in told]
    assert kinds.index("Absent") < kinds.index("Returned")


@pytest.mark.thorough
def test_an_interrupt_stops_all_hosts_and_the_study_goes_on(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with measuring(cluster, monkeypatch, "alpha", "beta") as process:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "nothing is left running" in output
    assert f"--on {cluster.on}" in output
    assert "Traceback" not in output
    assert paced.up(tmp_path / "up") == []
    assert states(opened(None)) == {TrialState.FAIL: 2, TrialState.WAITING: 2}


def test_hosts_whose_run_is_killed_remove_what_they_had_up(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with measuring(cluster, monkeypatch, "alpha") as process:
        with pytest.raises(SetupError, match="host alpha: this host measures for study 'small'"):
            opened(cluster, storage="sqlite:///another.db").run()
        process.kill()
        process.communicate()
    until(lambda: not paced.up(tmp_path / "up"))
    assert states(opened(None)) == {TrialState.RUNNING: 1}


@pytest.mark.skipif(bool(why_no_server()), reason=why_no_server())
def test_trials_in_postgresql_outlive_the_process_that_asks(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PACED_SECONDS", "0.7")
    started(cluster, "alpha", "beta")
    with running() as server:
        command = ("run", "--study", "small", "--backend", "paced", "--on", cluster.on)
        with tune_process(*command, "--storage", server.url) as process:
            until(lambda: completed(server.url) >= 3)
            process.kill()
        before = completed(server.url)
        assert before < TRIALS
        study = opened(cluster, storage=server.url).run()
        assert states(study)[TrialState.COMPLETE] == TRIALS
        assert TrialState.RUNNING not in states(study)
        problems = broken_invariants(study.specification, study.optuna, study.results)
        assert problems == []
        assert {study.record.host_of(t) for t in study.record.trials} == {"alpha", "beta"}


def completed(storage: str) -> int:
    try:
        return states(opened(None, storage=storage))[TrialState.COMPLETE]
    except TuneError:  # not made yet
        return 0


@pytest.mark.parametrize("on", ["dask://127.0.0.1", "http://127.0.0.1:8786", "dask://:8786", "x"])
def test_what_is_no_address_is_refused(on: str) -> None:
    paced.install()
    with pytest.raises(InputError, match="is no address of a Dask scheduler") as caught:
        Study.open("small", backend="paced", on=on)
    assert "dask://HOST:8786" in caught.value.mend


@pytest.mark.parametrize("backend", ["endpoint", "replay", "swarm"])
def test_backends_that_hosts_do_not_measure_are_refused(backend: str) -> None:
    with pytest.raises(InputError, match="hosts"):
        Study.open("small", backend=backend, on="dask://127.0.0.1:8786")


def test_a_scheduler_that_does_not_answer_is_told_by_run_and_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tuner.backends.dask_cluster.CONNECT_SECONDS", 1.0)
    study = Study.open("small", backend="simulated", on="dask://127.0.0.1:9")
    with pytest.raises(SetupError, match=r"no Dask scheduler answers at dask://127\.0\.0\.1:9"):
        study.run()
    assert not study.results.joinpath("simulated.db").exists(), "nothing is stored"
    checks = {check.name: check for check in study.check()}
    assert not checks["hosts"].ok
    assert "dask scheduler" in checks["hosts"].mend
    assert checks["sampler"].ok


@pytest.mark.thorough
def test_hosts_that_cannot_measure_together_are_refused_before_anything_is_deployed(
    cluster: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="has no worker, and none with the resource") as caught:
        opened(cluster).run()
    assert f"tune worker --dask {cluster.address}" in caught.value.mend
    plain = ("--no-dashboard", "--no-nanny", "--name", "odd")
    command = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.address, *plain]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as odd:
        try:
            until(lambda: "has 1 workers" in _refusal(cluster))
            started(cluster, "alpha")
            checks = {check.name: check for check in opened(cluster).check()}
            assert checks["hosts"].ok
            assert checks["hosts"].found.startswith("alpha: CPU model ")
            assert checks["hosts"].found.endswith("not used, without the resource tune_host: odd")
        finally:
            odd.kill()
    wrong = {
        "old": ("import tuner; tuner.__version__ = '0.0.1'", "", r"worker old has tune 0\.0\.1, "),
        "slow": ("pass", "other CPU", "host slow differs from host alpha: CPU model is slow, not"),
        "bare": ("pass", "no engine", "host bare: no Docker Engine answers"),
    }
    for name, (change, fault, message) in wrong.items():
        cluster.start(name, change=change, PACED_FAULT=fault)
        cluster.joined(name)
        with pytest.raises(SetupError, match=message) as caught:
            opened(cluster).run()
        assert caught.value.mend
        check = next(c for c in opened(cluster).check() if c.name == "hosts")
        assert (check.ok, check.found) == (False, caught.value.message)
        cluster.end(name)
    assert not opened(cluster).results.joinpath("paced.db").exists()
    assert paced.up(tmp_path / "up") == []


def _refusal(cluster: Cluster) -> str:
    return next(c for c in opened(cluster).check() if c.name == "hosts").found


def test_a_worker_says_why_it_cannot_begin(cluster: Cluster) -> None:
    started(cluster, "alpha")
    for arguments, words in (
        (("--dask", cluster.address, "--name", "alpha"), "is called alpha"),
        (("--dask", "tcp://127.0.0.1:9"), "no Dask scheduler answers at tcp://127.0.0.1:9"),
        (("--dask", "here"), "here is no address of a Dask scheduler"),
    ):
        with tune_process("worker", "--backend", "paced", *arguments) as process:
            output, _ = process.communicate(timeout=120)
        assert process.returncode == 2, output
        assert words in output
        assert "mend:" in output
        assert "Traceback" not in output


@pytest.mark.thorough
def test_a_scheduler_that_goes_ends_the_run_and_hosts_wait_for_it(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with measuring(cluster, monkeypatch, "alpha") as process:
        cluster.end_scheduler()
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert f"the Dask scheduler at {cluster.on} does not answer any more" in output
    assert "Traceback" not in output
    assert f"goes on with {TRIALS} trials left" in output.replace("\n", " ")
    until(lambda: not paced.up(tmp_path / "up"))
    assert states(opened(None)) == {TrialState.FAIL: 1, TrialState.WAITING: 1}
    worker = cluster.workers["alpha"]
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(120) == 130


@pytest.mark.thorough
def test_time_is_shared(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """All hosts have trials under way at once."""
    monkeypatch.setenv("PACED_SECONDS", "0.5")
    started(cluster, *HOSTS)
    most = 0
    under_way: Counter[str] = Counter()

    def observe(event: object) -> None:
        nonlocal most
        # A host may begin its next trial before the one before is stored.
        if isinstance(event, Started | Finished):
            under_way[event.host] += 1 if isinstance(event, Started) else -1
        most = max(most, len(+under_way))

    opened(cluster).run(6, on_event=observe)
    assert most == len(HOSTS)
