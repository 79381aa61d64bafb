from pathlib import Path

import pytest

from tuner.errors import InputError
from tuner.serving.servers.table import container_plan
from tuner.spec.study import ModelSpec, ServingSpec

OFFICIAL = "tensorflow/serving:2.19.1"


def model(name: str) -> ModelSpec:
    return ModelSpec(name, "", Path(), Path())


def test_both_images_run_by_the_same_plan() -> None:
    flags = {"tensorflow_intra_op_parallelism": "2"}
    ours = container_plan(ServingSpec(flags=flags), model("mnist"), "tune-serving:abc")
    official = container_plan(ServingSpec(image=OFFICIAL, flags=flags), model("mnist"), OFFICIAL)
    assert ours.image == "tune-serving:abc"
    assert official.image == OFFICIAL
    for plan in (ours, official):
        assert plan.command == ("--tensorflow_intra_op_parallelism=2",)
        assert plan.environment == {"MODEL_NAME": "mnist"}
        assert plan.port == 8501
        assert plan.model_mount == "/models/mnist"
        assert plan.entrypoint is None
        assert plan.user not in {"", "0", "root"}


def test_only_another_image_gets_something_writable() -> None:
    assert container_plan(ServingSpec(), model("m"), "tune-serving:abc").tmpfs == {}
    assert "/tmp" in container_plan(ServingSpec(image=OFFICIAL), model("m"), OFFICIAL).tmpfs


def test_variables_are_passed_on() -> None:
    plan = container_plan(ServingSpec(env={"OMP_NUM_THREADS": "1"}), model("m"), "i")
    assert plan.environment == {"OMP_NUM_THREADS": "1", "MODEL_NAME": "m"}


@pytest.mark.parametrize(
    "serving",
    [ServingSpec(flags={"rest_api_port": "1"}), ServingSpec(env={"MODEL_NAME": "other"})],
)
def test_what_the_plan_decides_cannot_be_set(serving: ServingSpec) -> None:
    with pytest.raises(InputError, match="so a study cannot"):
        container_plan(serving, model("m"), "i")
