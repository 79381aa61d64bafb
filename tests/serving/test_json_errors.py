"""What is wrong with a text, in RapidJSON's words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.serving.server.json_errors import first_error


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        (b"", "The document is empty.", 0),
        (b" \n\t", "The document is empty.", 3),
        (b"{} {}", "The document root must not be followed by other values.", 3),
        (b"instances = [1, 2]", "Invalid value.", 0),
        (b"[1, ]", "Invalid value.", 4),
        (b"[tru]", "Invalid value.", 1),
        (b"[+1]", "Invalid value.", 1),
        (b"[-]", "Invalid value.", 1),
        (b"[", "Invalid value.", 1),
        (b"[01]", "Missing a comma or ] after an array element.", 2),
        (b"[1 2]", "Missing a comma or ] after an array element.", 3),
        (b"[1}", "Missing a comma or ] after an array element.", 2),
        (b"[1.]", "Miss fraction part in number.", 3),
        (b"[1e]", "Miss exponent in number.", 3),
        (b"[1e+]", "Miss exponent in number.", 4),
        (b"[1, 1e400]", "Number too big to be stored in double.", 4),
        (b"[-" + b"9" * 400 + b"]", "Number too big to be stored in double.", 1),
        (b"{1: 2}", "Missing a name for object member.", 1),
        (b'{"a": 1, }', "Missing a name for object member.", 9),
        (b"{", "Missing a name for object member.", 1),
        (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
        (b'{"a": 1', "Missing a comma or } after an object member.", 7),
        (b'{"a": [1, 2}', "Missing a comma or ] after an array element.", 11),
        (b'"abc', "Missing a closing quotation mark in string.", 4),
        (b'"a\\x"', "Invalid escape character in string.", 2),
        (b'"\\u12g4"', "Incorrect hex digit after \\u escape in string.", 1),
        (b'"\\ud800"', "The surrogate pair in string is invalid.", 1),
        (b'"\\udc00"', "The surrogate pair in string is invalid.", 1),
        (b'"a\x01"', "Invalid encoding in string.", 2),
        (b'"\xff"', "Invalid encoding in string.", 1),
    ],
)
def test_the_first_error_is_said_with_its_place(text: bytes, message: str, offset: int) -> None:
    assert first_error(text) == (message, offset)


@pytest.mark.parametrize(
    "text",
    [b"[NaN, Infinity, -Inf, -0, 1.5E-3]", b'"\\ud83d\\ude00"', b"[" * 10**5 + b"]" * 10**5],
)
def test_what_rapidjson_takes_has_no_error(text: bytes) -> None:
    assert first_error(text) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.booleans())
def test_json_has_no_error(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert first_error(text.encode("utf-8", "replace")) is None


@given(st.binary() | st.text().map(str.encode) | values.map(json.dumps).map(str.encode))
def test_it_agrees_with_pythons_parser(text: bytes) -> None:
    try:
        json.loads(text.decode())
    except ValueError:
        valid = False
    else:
        valid = True
    if valid != (first_error(text) is None):
        # Only what RapidJSON alone takes or refuses: Inf, a lone surrogate, a byte order mark.
        assert b"Inf" in text or b"\\ud" in text.lower() or text.startswith(b"\xef\xbb\xbf")
