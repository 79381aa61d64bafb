from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.backends.simulated import SimulatedDeployer
from tuner.deploy.docker_deployer import DockerDeployer
from tuner.deploy.protocol import Deployer, Deployment
from tuner.deploy.reuse import ReusingDeployer
from tuner.errors import Infeasible, TrialFailed
from tuner.load.target import Target
from tuner.spec.host import Host
from tuner.spec.study import DeploymentSpec, ModelSpec, NetworkSpec, ServingSpec

MODEL = ModelSpec("m", "", Path(), Path())
ONE = DeploymentSpec(MODEL, ServingSpec(), replicas=1, cpu=1.0, memory_mib=256)
TWO = dataclasses.replace(ONE, replicas=2)


class Logged:
    """A computed host that keeps what was brought up and taken down, in order."""

    name = "simulated"

    def __init__(self) -> None:
        self._usual = SimulatedDeployer(Host(cpus=4, memory_mib=8192), seed=1)
        self.log: list[str] = []
        self.spoil: Callable[[Deployment], None] = lambda _: None

    def __enter__(self) -> Self:
        self.log.append("enter")
        return self

    def __exit__(self, *exc: object) -> None:
        self.log.append("exit")

    def environment(self) -> Mapping[str, Any]:
        return self._usual.environment()

    def null_server(self) -> AbstractContextManager[Target | None]:
        return self._usual.null_server()

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[Deployment]:
        with self._usual.deploy(spec, label) as deployment:
            self.log.append(f"up {label}")
            self.spoil(deployment)
            try:
                yield deployment
            except TrialFailed as error:
                raise Infeasible("out of memory", "a dead replica explains it") from error
            finally:
                self.log.append(f"down {label}")


def deploy(deployer: Deployer, spec: DeploymentSpec, label: str) -> None:
    with deployer.deploy(spec, label) as deployment:
        assert len(deployment.addresses) == spec.replicas


def test_a_deployment_stays_for_an_equal_one_and_goes_before_another() -> None:
    logged = Logged()
    with ReusingDeployer(logged) as deployer:
        deploy(deployer, ONE, "0")
        assert deployer.facts == {"stayed": False, "since": "0", "memory_peak_since": "0"}
        deploy(deployer, dataclasses.replace(ONE), "1")
        deploy(deployer, ONE, "2")
        assert deployer.facts == {"stayed": True, "since": "0", "memory_peak_since": "2"}
        deploy(deployer, TWO, "3")
        assert deployer.facts["stayed"] is False
        deploy(deployer, ONE, "4")
    assert logged.log == [
        "enter", "up 0", "down 0", "up 3", "down 3", "up 4", "down 4", "exit",
    ]  # fmt: skip


def test_a_second_attempt_of_a_trial_has_a_deployment_of_its_own() -> None:
    logged = Logged()
    with ReusingDeployer(logged) as deployer:
        deploy(deployer, ONE, "0")
        deploy(deployer, ONE, "1")
        deployer.deploy_anew()
        deploy(deployer, ONE, "1")
    assert logged.log.count("up 1") == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, Infeasible])
def test_what_raises_inside_takes_the_deployment_down(error: type[BaseException]) -> None:
    logged = Logged()
    reason = Infeasible("never ready", "x") if error is Infeasible else error()
    with ReusingDeployer(logged) as deployer:
        deploy(deployer, ONE, "0")
        with pytest.raises(error), deployer.deploy(ONE, "1"):
            raise reason
        assert logged.log[-1] == "down 0"
        deploy(deployer, ONE, "2")
        assert logged.log[-1] == "up 2"


def test_the_deployment_may_know_better_why_a_trial_broke() -> None:
    with (
        ReusingDeployer(Logged()) as deployer,
        pytest.raises(Infeasible, match="a dead replica"),
        deployer.deploy(ONE, "0"),
    ):
        raise TrialFailed("connections were reset")


def test_one_that_died_while_it_was_idle_is_made_anew() -> None:
    logged = Logged()

    def spoil(deployment: Deployment) -> None:
        def verify() -> None:
            raise Infeasible("out of memory", "it died")

        if len(logged.log) == 2:  # the first one
            vars(deployment)["verify"] = verify

    logged.spoil = spoil
    with ReusingDeployer(logged) as deployer:
        deploy(deployer, ONE, "0")
        deploy(deployer, ONE, "1")
        deploy(deployer, ONE, "2")
    assert logged.log == ["enter", "up 0", "down 0", "up 1", "down 1", "exit"]


def test_a_peak_that_cannot_be_counted_anew_is_said_or_not_accepted() -> None:
    def spoil(deployment: Deployment) -> None:
        vars(deployment)["forget_peak"] = lambda: False

    logged = Logged()
    logged.spoil = spoil
    with ReusingDeployer(logged) as deployer:
        deploy(deployer, ONE, "0")
        deploy(deployer, ONE, "1")
        assert deployer.facts == {"stayed": True, "since": "0", "memory_peak_since": "0"}
    with ReusingDeployer(logged, needs_peak=True) as deployer:
        deploy(deployer, ONE, "2")
        deploy(deployer, ONE, "3")
        assert deployer.facts["stayed"] is False


def test_a_configuration_that_cannot_start_leaves_nothing_standing() -> None:
    logged = Logged()
    with ReusingDeployer(logged) as deployer:
        deploy(deployer, ONE, "0")
        with (
            pytest.raises(Infeasible),
            deployer.deploy(dataclasses.replace(ONE, memory_mib=1), "1"),
        ):
            pytest.fail("it was deployed")
        assert logged.log == ["enter", "up 0", "down 0"]
        assert deployer.facts == {}
        deploy(deployer, ONE, "2")
    assert logged.log[-3:] == ["up 2", "down 2", "exit"]


@given(
    st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["end", "raise", "leave"])), max_size=12)
)
def test_never_two_stand_at_once_and_nothing_stands_at_the_end(
    trials: list[tuple[int, str]],
) -> None:
    logged = Logged()
    with ReusingDeployer(logged) as deployer:
        for label, (replicas, what) in enumerate(trials):
            spec = dataclasses.replace(ONE, replicas=replicas)
            try:
                with deployer.deploy(spec, str(label)) as deployment:
                    assert len(deployment.addresses) == replicas
                    if what == "raise":
                        raise RuntimeError  # noqa: TRY301 -- what a burst does
            except RuntimeError:
                assert what == "raise"
            if what == "leave":
                deployer.leave()
    standing = 0
    for entry in logged.log:
        standing += entry.startswith("up") - entry.startswith("down")
        assert standing in (0, 1)
    assert standing == 0


@pytest.mark.docker
def test_the_memory_peak_of_a_container_is_that_of_the_trial(
    docker_deployer: DockerDeployer, half_plus_two: ModelSpec
) -> None:
    spec = dataclasses.replace(ONE, model=half_plus_two)
    deployer = ReusingDeployer(docker_deployer)
    try:
        with deployer.deploy(spec, "0") as first:
            name = first.facts()["containers"]
            with first.impair(NetworkSpec(loss_in=5)):
                pass
            before = first.counters()[0].memory_peak_bytes
        with deployer.deploy(spec, "1") as second:
            assert second.facts()["containers"] == name
            assert deployer.facts["stayed"] is True
            after = second.counters()[0].memory_peak_bytes
            assert after <= before
            with second.impair(NetworkSpec()) as clean:
                assert clean.facts()["rules"] == []
    finally:
        deployer.leave()
