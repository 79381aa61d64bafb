"""What other packages add by entry points, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.measure.bursts import closed_loop
from tuner.errors import InputError, SetupError, TrialFailed
from tuner.measure.measurement import Estimate
from tuner.measure.measuring import measure_burst
from tuner.measure.plugin_metrics import MeasuredWindow
from tuner.plugins import added_by_packages
from tuner.serving.container_plan import ContainerPlan
from tuner.serving.servers import table
from tuner.serving.servers.table import container_plan
from tuner.spec.expressions import check_metric, parse_constraint
from tuner.spec.metrics import METRICS, Metric, title
from tuner.spec.problems import UnexpectedError
from tuner.spec.study import ModelSpec, ServingSpec

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes a distribution with entry points importable."""

    def make(name: str, group: str, entries: str, code: str = "VALUE = 1") -> None:
        place = tmp_path / name
        about = place / f"{name}-1.2.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (about / "entry_points.txt").write_text(f"[{group}]\n{entries}\n")
        (place / f"{name}_module.py").write_text(code)
        monkeypatch.syspath_prepend(str(place))
        monkeypatch.delitem(sys.modules, f"{name}_module", raising=False)

    return make


def numbers(taken: tuple[str, ...] = ()) -> dict[str, int]:
    def accepted(_: str, loaded: object) -> int | None:
        return loaded if isinstance(loaded, int) else None

    return added_by_packages("tune.metrics", "a whole number", accepted, taken)


def test_without_packages_nothing_is_added() -> None:
    assert numbers() == {}


def test_an_object_is_added_under_its_name(install: Install) -> None:
    install("first", "tune.metrics", "answer = first_module:VALUE")
    install("other", "tune.servers", "another = other_module:VALUE")
    assert numbers() == {"answer": 1}


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        (
            "answer = missing:VALUE",
            "",
            ["cannot be loaded", "missing:VALUE", "ModuleNotFoundError"],
        ),
        ("answer = bad_module:NONE", "", ["cannot be loaded", "AttributeError"]),
        ("answer = bad_module:VALUE", "VALUE = 1 / 0", ["cannot be loaded", "ZeroDivisionError"]),
        ("answer = bad_module:VALUE", "VALUE = 'x'", ["is 'x'", "expected: a whole number"]),
        ("An-swer = bad_module:VALUE", "VALUE = 1", ["unfit name"]),
        ("art_ms = bad_module:VALUE", "VALUE = 1", ["tune itself has already"]),
    ],
)
def test_what_does_not_fit_is_refused_with_its_package(
    install: Install, entry: str, code: str, words: list[str]
) -> None:
    install("bad", "tune.metrics", entry, code)
    with pytest.raises(SetupError) as refused:
        numbers(taken=("art_ms",))
    name = entry.split(" = ", maxsplit=1)[0]
    for word in [*words, "package bad 1.2", "group tune.metrics", name]:
        assert word in refused.value.message
    assert "bad 1.2" in refused.value.mend


def test_two_packages_cannot_add_the_same_name(install: Install) -> None:
    for package in ("first", "second"):
        install(package, "tune.metrics", f"answer = {package}_module:VALUE")
    with pytest.raises(SetupError, match=r"'answer'.*package second 1.2.*package first 1.2"):
        numbers()


def slow(window: MeasuredWindow) -> Any:  # noqa: ANN401 -- whatever a package may return
    return 100 * float((window.requests.duration_ns > 5e6).mean())


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Metric]:
    def added(compute: Callable[[MeasuredWindow], object] = slow) -> Metric:
        metric = Metric("slow_percent", "%", "minimize", "slow", "share of slow ones", compute)
        monkeypatch.setitem(METRICS.__dict__, "added", {metric.name: metric})
        return metric

    return added


def measured_slow() -> Estimate | None:
    burst = measure_burst(closed_loop(), host_cpus=4, batch_seconds=0.25)
    return burst.metrics.get("slow_percent")


def test_an_added_metric_is_measured_and_named(metric: Callable[..., Metric]) -> None:
    metric()
    assert measured_slow() == Estimate(100.0)
    assert list(METRICS)[-1] == "slow_percent"
    assert title("slow_percent") == "slow (%)"
    assert str(parse_constraint("slow_percent <= 5")) == "slow_percent <= 5"


def test_without_its_package_a_metric_is_unknown() -> None:
    with pytest.raises(UnexpectedError, match="slow_percent"):
        check_metric("slow_percent")


def test_an_added_metric_may_have_an_interval_or_be_absent(metric: Callable[..., Metric]) -> None:
    metric(lambda window: window.metrics["art_ms"])
    estimate = measured_slow()
    assert estimate is not None
    assert estimate.low is not None
    metric(lambda _: None)
    assert measured_slow() is None


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), "fast", Estimate(-1)])
def test_what_is_no_value_of_a_metric_fails_the_trial(
    metric: Callable[..., Metric], value: object
) -> None:
    metric(lambda _: value)
    with pytest.raises(TrialFailed, match=r"slow_percent is .*: a number, zero or more"):
        measured_slow()


def test_a_metric_that_raises_fails_the_trial(metric: Callable[..., Metric]) -> None:
    metric(lambda window: window.seconds / 0)
    with pytest.raises(TrialFailed, match="slow_percent could not be computed: ZeroDivision"):
        measured_slow()


MODEL = ModelSpec("m", "", Path(), Path())


def test_an_added_server_makes_the_plan(install: Install) -> None:
    table.added_servers.cache_clear()
    install(
        "serves",
        "tune.servers",
        "other = serves_module:SERVER",
        "from dataclasses import replace\n"
        "from tuner.serving.servers.tensorflow_serving import TENSORFLOW_SERVING\n"
        "def plan(serving, model, image):\n"
        "    return replace(TENSORFLOW_SERVING.plan(serving, model, image), port=9000)\n"
        "SERVER = replace(TENSORFLOW_SERVING, title='Other', plan=plan)\n",
    )
    try:
        plan = container_plan(ServingSpec(image="other:1", server="other"), MODEL, "other:1")
        assert isinstance(plan, ContainerPlan)
        assert plan.port == 9000
    finally:
        table.added_servers.cache_clear()


def test_a_server_that_nobody_adds_is_refused() -> None:
    with pytest.raises(InputError, match="no server 'other'; the servers are tensorflow-serving"):
        container_plan(ServingSpec(server="other"), MODEL, "i")
