"""Requests that are made from a signature are ones that a server takes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.errors import InputError
from tuner.serving.server.codec import decode
from tuner.serving.server.signatures import NUMPY_TYPES, PREDICT_METHOD, Signature, TensorSpec
from tuner.serving.synthesis import choose_signature, synthesise, tensors_text

dtypes = st.sampled_from(sorted(NUMPY_TYPES))
shapes = st.lists(st.sampled_from([-1, 1, 2, 3]), max_size=3).map(tuple)
specs = st.builds(TensorSpec, st.just("t:0"), dtypes, shapes)
maps = st.dictionaries(st.sampled_from(["a", "b", "c"]), specs, min_size=1)
signatures = st.builds(Signature, st.just(PREDICT_METHOD), maps, maps)


def unknown(signature: Signature) -> dict[str, int]:
    return {
        f"{name}.{axis}": 2
        for name, spec in signature.inputs.items()
        for axis, size in enumerate(spec.shape or ())
        if size < 0 and axis > 0
    }


@given(signatures, st.sampled_from(["serving_default", "other"]), st.integers(1, 3))
def test_made_requests_have_the_signatures_types_and_shapes(
    signature: Signature, name: str, batch: int
) -> None:
    dims = unknown(signature)
    has_batch = any((spec.shape or ())[:1] == (-1,) for spec in signature.inputs.values())
    if has_batch:
        dims["batch"] = batch
    for request in synthesise(name, signature, dims).requests:
        decoded = decode(request, {name: signature})
        assert decoded.signature == name
        for key, spec in signature.inputs.items():
            array = decoded.inputs[key]
            sizes = (batch, 2, 2)
            wanted = [s if s >= 0 else sizes[axis] for axis, s in enumerate(spec.shape or ())]
            assert list(array.shape) == wanted
            assert array.dtype == NUMPY_TYPES[spec.dtype]


def test_the_same_seed_makes_the_same_requests() -> None:
    signature = Signature("", {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 3))}, {})
    one, two = (synthesise("s", signature, {}) for _ in range(2))
    assert one == two
    assert one != synthesise("s", signature, {}, seed=1)
    assert len({json.dumps(request) for request in one.requests}) == len(one.requests) == 8


def test_what_was_assumed_is_said() -> None:
    signature = Signature("", {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 3))}, {})
    assert any("batch" in text for text in synthesise("s", signature, {}).assumed)
    assert not any("batch" in text for text in synthesise("s", signature, {"batch": 2}).assumed)


def test_large_inputs_make_fewer_requests() -> None:
    signature = Signature("", {"x": TensorSpec("x:0", "DT_UINT8", (-1, 600, 600, 3))}, {})
    assert len(synthesise("s", signature, {}).requests) == 1


@pytest.mark.parametrize(
    ("shape", "dims", "message"),
    [
        ((-1, -1), {}, "unknown dimensions"),
        ((-1, -1), {"x.1": 3, "x.2": 3}, r"--dim x\.2 is not an unknown"),
        ((2, 3), {"batch": 3}, "--dim batch is not an unknown"),
        (None, {}, "no known number of dimensions"),
    ],
)
def test_dimensions_must_be_known(
    shape: tuple[int, ...] | None, dims: dict[str, int], message: str
) -> None:
    signature = Signature("", {"x": TensorSpec("x:0", "DT_FLOAT", shape)}, {})
    with pytest.raises(InputError, match=message) as caught:
        synthesise("s", signature, dims)
    if message == "unknown dimensions":
        assert "--dim x.1=VALUE" in caught.value.mend


def callable_(dtype: str = "DT_FLOAT", tensor: str = "x:0", **changes: Any) -> Signature:  # noqa: ANN401
    spec = {"x": TensorSpec(tensor, dtype, (-1,))}
    return Signature(**{"method": PREDICT_METHOD, "inputs": spec, "outputs": spec, **changes})


def test_the_signature_is_the_default_or_the_only_one() -> None:
    unusable = {
        "variant": callable_("DT_VARIANT"),
        "sparse": callable_(tensor=""),
        "classify": callable_(method="tensorflow/serving/classify"),
        "init": callable_(inputs={}),
    }
    assert choose_signature({**unusable, "mine": callable_()}, None) == "mine"
    both = {"mine": callable_(), "serving_default": callable_()}
    assert choose_signature(both, None) == "serving_default"
    assert choose_signature(both, "mine") == "mine"
    with pytest.raises(InputError, match=r"several signatures.*a, b"):
        choose_signature({"a": callable_(), "b": callable_()}, None)
    with pytest.raises(InputError, match="no signature for predictions"):
        choose_signature(unusable, None)
    with pytest.raises(InputError, match=r"no signature 'mime' .*did you mean 'mine'"):
        choose_signature(both, "mime")


def test_tensors_are_shown_to_people() -> None:
    inputs = {"x": TensorSpec("x:0", "DT_FLOAT", (-1, 3)), "y": TensorSpec("", "DT_STRING", None)}
    assert tensors_text(inputs) == "x float [?, 3], y string of unknown shape"
