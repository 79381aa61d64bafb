from __future__ import annotations

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tuner.search.distributions import (
    configuration,
    distributions,
    from_view,
    snapped,
    stored,
    to_view,
    viewed,
)
from tuner.spec.space import Parameter, SearchSpace

CHOICES = Parameter("memory", "int", "decision", 256, choices=(128, 256, 1024))
WORDS = Parameter("net", "categorical", "scenario", "wifi", choices=("wifi", "cable"))
RANGE = Parameter("replicas", "int", "decision", 1, low=1, high=9, step=2)
STEPPED = Parameter("cpu", "float", "decision", 0.5, low=0.1, high=2.0, step=0.1)
LOGGED = Parameter("rate", "float", "scenario", 1.0, low=0.1, high=100.0, log=True)
SPACE = SearchSpace((CHOICES, WORDS, RANGE, STEPPED, LOGGED))


def test_stored_are_real_values() -> None:
    assert distributions(SPACE) == {
        "memory": CategoricalDistribution((128, 256, 1024)),
        "net": CategoricalDistribution(("wifi", "cable")),
        "replicas": IntDistribution(1, 9, step=2),
        "cpu": FloatDistribution(0.1, 2.0, step=0.1),
        "rate": FloatDistribution(0.1, 100.0, log=True),
    }


def test_a_step_decides_over_a_logarithmic_scale() -> None:
    doubled = Parameter("n", "int", "decision", 2, low=2, high=10, step=2, log=True)
    assert stored(doubled) == IntDistribution(2, 10, step=2)


def test_a_sampler_sees_positions_of_ordered_choices_only() -> None:
    assert viewed(CHOICES) == IntDistribution(0, 2)
    assert viewed(WORDS) == stored(WORDS)
    assert [to_view(CHOICES, v) for v in (128, 256, 1024)] == [0, 1, 2]
    for parameter in SPACE:
        for value in parameter.values() or (3.7,):
            assert from_view(parameter, to_view(parameter, value)) == value


def test_configuration_is_free_of_rounding() -> None:
    params = {"memory": 128, "net": "cable", "replicas": 3, "cpu": 0.1 + 2 * 0.1, "rate": 7.25}
    assert params["cpu"] != 0.3
    assert configuration(SPACE, params)["cpu"] == 0.3


def test_every_stepped_value_is_itself_after_optuna() -> None:
    distribution = stored(STEPPED)
    for value in STEPPED.values() or ():
        back = distribution.to_external_repr(distribution.to_internal_repr(value))
        assert snapped(STEPPED, back) == value
