"""Samplers by name: the project's own, and Optuna's."""

from __future__ import annotations

import importlib.util

from tuner.errors import InputError
from tuner.model.lattice import ENUMERABLE, Lattice
from tuner.model.warm import Warm
from tuner.search.bayes import ServingSampler
from tuner.search.optuna_samplers import StockSampler
from tuner.search.study_sampler import (
    FAILURES_ALLOWED,
    HOST,
    OWNER,
    UNTRUSTED,
    WHY,
    Proposal,
    SpaceExhausted,
    StudySampler,
    size_in_words,
)
from tuner.spec.space import SearchSpace
from tuner.spec.study import Prices, SamplerName, SearchSpec

__all__ = [
    "FAILURES_ALLOWED",
    "HOST",
    "OWNER",
    "UNTRUSTED",
    "WHY",
    "Proposal",
    "SpaceExhausted",
    "StudySampler",
    "make_sampler",
    "require_sampler",
]


def make_sampler(
    name: SamplerName,
    space: SearchSpace,
    seed: int,
    *,
    startup: int = 10,
    search: SearchSpec | None = None,
    host_cpus: float | None = None,
    warm: Warm | None = None,
    worker: str | None = None,
    prices: Prices | None = None,
) -> StudySampler:
    """The sampler `name` for studies of `space`.

    `startup`: number of configurations that the study starts with by itself (`seeds`). The others
    are for `bayes` alone: the rest of `search` (what is sought, whether deployments stay up), the
    CPUs of the host that serves, what another study's model says (`warm`), the attribute `owner` of
    the trials of this `worker`, whose deployment may be up (None: any trial's), and the `prices` of
    what is reserved.

    Raises as `require_sampler`.
    """
    require_sampler(name, space)
    if name == "bayes":
        return ServingSampler(
            *(space, seed, startup, search or SearchSpec()),
            host_cpus=host_cpus,
            warm=warm,
            worker=worker,
            prices=prices,
        )
    return StockSampler(name, space, seed, startup)


def require_sampler(name: SamplerName, space: SearchSpace) -> None:
    """Raise InputError where PyTorch is missing (`gp`) or the space has no grid (`grid`)."""
    if name == "gp" and importlib.util.find_spec("torch") is None:
        raise InputError(
            "sampler 'gp' needs PyTorch, which is not installed",
            "Install it beside tune (`pip install torch`), or choose sampler 'bayes'.",
        )
    if name == "grid" and Lattice.of(space) is None:
        raise InputError(
            f"sampler 'grid' needs a search space of at most {ENUMERABLE:,} configurations; "
            f"this one has {size_in_words(space)}",
            "Give every parameter choices or a (larger) step, or choose another sampler.",
        )
