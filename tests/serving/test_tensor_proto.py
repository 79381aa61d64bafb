from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tuner.serving.server.messages import Proto, message_class
from tuner.serving.server.signatures import TENSOR_TYPES
from tuner.serving.server.status import StatusError
from tuner.serving.server.tensor_proto import array_of, tensor_of, type_name, type_number

NUMBERS = [name for name in TENSOR_TYPES if name != "DT_STRING"]
LARGEST = 10**6


def tensor(text: str) -> Proto:
    return text_format.Parse(text, message_class("tensorflow.TensorProto")())


@st.composite
def arrays(draw: st.DrawFn) -> tuple[str, npt.NDArray[Any]]:
    dtype = draw(st.sampled_from(NUMBERS))
    shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    return dtype, draw(hnp.arrays(TENSOR_TYPES[dtype], shapes))


@given(arrays(), st.booleans())
def test_numbers_come_back_as_they_went(case: tuple[str, npt.NDArray[Any]], packed: bool) -> None:
    dtype, array = case
    message = tensor_of(array, dtype)
    if packed:
        # What clients send, who do not put numbers one by one into fields.
        message = message_class("tensorflow.TensorProto")(
            dtype=message.dtype, tensor_shape=message.tensor_shape, tensor_content=array.tobytes()
        )
    back = array_of(message, "x", LARGEST)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.binary()))
def test_strings_come_back_as_they_went(texts: list[bytes]) -> None:
    array = np.empty(len(texts), object)
    array[:] = texts
    assert array_of(tensor_of(array, "DT_STRING"), "x", LARGEST).tolist() == texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dtype: DT_INT32 tensor_shape { dim { size: 3 } } int_val: 1 int_val: 2", [1, 2, 2]),
        ("dtype: DT_FLOAT tensor_shape { dim { size: 2 } }", [0.0, 0.0]),
        ("dtype: DT_STRING tensor_shape { dim { size: 2 } }", [b"", b""]),
        ("dtype: DT_STRING tensor_shape { dim { size: 2 } } string_val: 'a'", [b"a", b"a"]),
        ("dtype: DT_FLOAT tensor_shape { dim { size: 1 } } float_val: [1, 2]", [1.0]),
        ("dtype: DT_UINT8 tensor_shape { dim { size: 1 } } int_val: 300", [44]),
        ("dtype: DT_HALF tensor_shape { dim { size: 1 } } half_val: 15360", [1.0]),
        ("dtype: DT_DOUBLE double_val: 5", 5.0),
        ("dtype: DT_COMPLEX64 scomplex_val: [1, 2]", 1 + 2j),
        (
            "dtype: DT_COMPLEX128 tensor_shape { dim { size: 2 } } dcomplex_val: [1, 2]",
            [1 + 2j] * 2,
        ),
        ("dtype: DT_COMPLEX64 tensor_shape { dim { size: 1 } } scomplex_val: 1", [0j]),
        ("dtype: DT_BFLOAT16 tensor_shape { dim { size: 2 } } half_val: 16256", [(16256,)] * 2),
        ("dtype: DT_INT64 tensor_shape { dim { size: 0 } }", []),
    ],
)
def test_values_are_filled_in_as_tensorflow_does(text: str, expected: object) -> None:
    assert array_of(tensor(text), "x", LARGEST).tolist() == expected


@pytest.mark.parametrize(
    "text",
    [
        "dtype: DT_INVALID",
        "dtype: DT_VARIANT",
        "dtype: DT_FLOAT tensor_shape { unknown_rank: true }",
        "dtype: DT_FLOAT tensor_shape { dim { size: -1 } }",
        "dtype: DT_FLOAT tensor_shape { dim { size: 2 } } tensor_content: '1234'",
        "dtype: DT_STRING tensor_shape { dim { size: 1 } } tensor_content: '1234'",
        "dtype: DT_FLOAT tensor_shape { dim { size: 1000000 } } float_val: 1",
        "dtype: DT_FLOAT tensor_shape { dim { size: 4611686018427387904 } dim { size: 8 } }",
        "dtype: DT_FLOAT tensor_shape { dim { size: 0 } dim { size: 4611686018427387904 } }",
        "dtype: DT_FLOAT tensor_shape {" + "dim { size: 1 }" * 65 + "}",
    ],
)
def test_what_is_no_tensor_is_refused(text: str) -> None:
    with pytest.raises(StatusError, match="tensor parsing error: x"):
        array_of(tensor(text), "x", LARGEST)


def test_types_have_names() -> None:
    assert [type_name(type_number(name)) for name in TENSOR_TYPES] == list(TENSOR_TYPES)
    assert type_name(9999) == "9999"
