"""A trial of a study on the world: measured, and once more where that cannot be trusted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from tuner.backends.backend import Backend
from tuner.deploy.protocol import Deployer
from tuner.deploy.reuse import ReusingDeployer
from tuner.measure.calibration import Calibration
from tuner.measure.hopeless import Judge
from tuner.spec.space import Configuration
from tuner.spec.study import StudySpec
from tuner.trial import Observe, TrialResult


def study_deployer(spec: StudySpec, backend: Backend) -> Deployer:
    """The backend's deployer, which leaves deployments up where the study says so."""
    if not spec.search.stay:
        return backend.deployer
    asked = {o.metric for o in spec.objectives} | {c.metric for c in spec.constraints}
    return ReusingDeployer(backend.deployer, needs_peak="memory_peak_mib" in asked)


@dataclass(frozen=True)
class World:
    """Where the trials of one run are measured; the deployer was entered.

    `environment` is the key of its environment in the study (`storage.keep_environment`).
    """

    spec: StudySpec
    backend: Backend
    deployer: Deployer
    calibration: Calibration | None
    host_cpus: int
    observe: Observe
    environment: str = ""

    def measure(
        self,
        asked: Configuration,
        label: str,
        *,
        fresh: bool,
        judge: Judge | None,
        again: Callable[[TrialResult], None],
    ) -> tuple[TrialResult, TrialResult | None]:
        """What a trial found, and what it found before where that was INVALID.

        `again` is told the invalid one before the second attempt, which has a deployment of its
        own, and so has a `fresh` trial. `judge` may end the burst. Raises as
        `tuner.trial.run_trial`.
        """
        if fresh and isinstance(self.deployer, ReusingDeployer):
            self.deployer.leave()
        result = self._once(asked, label, judge)
        if not result.invalid:
            return result, None
        again(result)
        return self._once(asked, label, judge), result

    def _once(self, asked: Configuration, label: str, judge: Judge | None) -> TrialResult:
        result = self.backend.attempt(
            self.spec,
            asked,
            self.deployer,
            self.backend.connect,
            label,
            self.calibration,
            self.observe,
            judge,
        )
        if isinstance(self.deployer, ReusingDeployer):
            facts = {**result.deployment, **self.deployer.facts}
            return replace(result, deployment=facts)
        return result
