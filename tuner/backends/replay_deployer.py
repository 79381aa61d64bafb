"""A recorded grid in the place of a host: nothing runs, and what was measured is served again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from tuner.backends.replay_table import RecordedTrial, ReplayTable
from tuner.errors import InputError
from tuner.measure.samples import ContainerCounters, Drops
from tuner.spec.space import Configuration
from tuner.spec.study import DeploymentSpec, NetworkSpec


@dataclass(frozen=True)
class ReplayImpairment:
    """The network was as bad as it was when the grid was recorded."""

    network: NetworkSpec

    def facts(self) -> Mapping[str, Any]:
        return {"method": "replay"}

    def drops(self) -> tuple[Drops, ...]:
        return ()


@dataclass
class ReplayDeployment:
    """Replicas that were up when the grid was recorded: they have no address and no counters now.

    `uses` counts the trials that were served on it.
    """

    spec: DeploymentSpec
    host_cpus: int
    uses: int = field(default=0, init=False)

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return ()

    @property
    def model_name(self) -> str:
        return self.spec.model.name

    @property
    def client_namespace(self) -> str | None:
        return None

    @property
    def client_cpus(self) -> tuple[int, ...]:
        return ()

    @property
    def local(self) -> bool:
        return False

    def counters(self) -> tuple[ContainerCounters, ...]:
        return ()

    def cpu_times(self) -> tuple[tuple[int, int], ...]:
        return ()

    @contextmanager
    def impair(self, network: NetworkSpec) -> Iterator[ReplayImpairment]:
        yield ReplayImpairment(network)

    def verify(self) -> None:
        """Nothing that could have died."""

    def forget_peak(self) -> bool:
        return True

    def log_tail(self) -> str:
        """Empty: what the replicas wrote was not recorded."""
        return ""

    def facts(self) -> Mapping[str, Any]:
        return {"backend": "replay", "replicas": self.spec.replicas}


class ReplayDeployer:
    """Deploys nothing, and hands out the trials of a recorded grid.

    `served` are the configurations that a study was served before, in any order, so that one which
    is resumed goes on where it was.
    """

    name = "replay"

    def __init__(self, table: ReplayTable, seed: int, served: Iterable[Configuration] = ()) -> None:
        self.table = table
        self._seed = seed
        self._served = Counter(served)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing was created, so nothing is removed."""

    def environment(self) -> Mapping[str, Any]:
        """That of the host on which the grid was recorded, and which grid that is."""
        return {
            **self.table.environment,
            "backend": "replay",
            "replayed": {
                "study": self.table.study,
                "backend": self.table.environment.get("backend", ""),
                "recorded": list(self.table.recorded or ()),
                "trials": len(self.table.trials),
                "passes": len(self.table.passes),
            },
        }

    @contextmanager
    def null_server(self) -> Iterator[None]:
        """None: there is no path that requests take."""
        yield None

    @contextmanager
    def deploy(self, spec: DeploymentSpec, label: str) -> Iterator[ReplayDeployment]:  # noqa: ARG002 -- nothing is there to be labelled
        yield ReplayDeployment(spec, int(self.table.environment["host"]["cpus"]))

    def take(self, configuration: Configuration) -> tuple[RecordedTrial, bool]:
        """One recorded trial of `configuration`, and whether it was served before.

        Another one each time while there are some. The order in which they come depends on the seed
        and the configuration and on nothing else. Raises InputError where the grid has none.
        """
        recorded = self.table.by_configuration.get(configuration)
        if recorded is None:
            raise InputError(
                f"the recorded grid has no trial of {configuration}",
                "replay a study whose search space lies inside the grid",
            )
        # Sorted, so that the order of the parameters makes no difference.
        key = json.dumps(sorted(configuration.items()), default=str)
        digest = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())
        order = np.random.default_rng([self._seed, digest]).permutation(len(recorded))
        times = self._served[configuration]
        self._served[configuration] += 1
        return recorded[int(order[times % len(recorded)])], times >= len(recorded)
