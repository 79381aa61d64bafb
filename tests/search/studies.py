"""A study with one of the samplers by name, for the tests of this directory."""

from __future__ import annotations

import optuna
from optuna.storages import BaseStorage

from tuner.search.make_sampler import make_sampler
from tuner.spec.space import SearchSpace
from tuner.spec.study import SamplerName


def new_study(
    name: SamplerName, space: SearchSpace, seed: int = 0, storage: BaseStorage | None = None
) -> optuna.Study:
    """New, or the one that `storage` has already."""
    return optuna.create_study(
        study_name="s",
        storage=storage,
        load_if_exists=True,
        directions=["minimize", "minimize"],
        sampler=make_sampler(name, space, seed, startup=4),
    )
