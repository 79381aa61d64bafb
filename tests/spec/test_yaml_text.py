"""What is written as YAML is read back as it was, by readers of 1.1 and of 1.2."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tuner.spec.yaml_text import yaml_text, yaml_texts

PLAIN = st.recursive(
    st.text() | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(PLAIN)
@example("\x85")
@example({"a\x85b: c": " \u2028 "})
@example("word " * 500)
def test_what_is_written_is_read_back(data: object) -> None:
    assert yaml.safe_load(yaml_text(data)) == data


@pytest.mark.parametrize(
    "text", ["1e3", "0o17", "1_000", "012", "y", "N", "on", "null", "~", "1:30", "2025-01-01",
             "-.5", ".inf", "<<", "=", "0x1f", "true", ""]
)  # fmt: skip
def test_text_that_some_reader_takes_for_something_else_is_quoted(text: str) -> None:
    assert yaml_text({"k": text}) in (f"k: '{text}'\n", f'k: "{text}"\n')


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029"])
def test_no_line_ends_where_only_some_readers_see_an_end(end: str) -> None:
    assert end not in yaml_text({f"a{end}b": f"c{end}d"})


def test_shared_parts_are_written_twice() -> None:
    shared = {"x": [1]}
    assert yaml_texts([[shared, shared]]) == "- x:\n  - 1\n- x:\n  - 1\n"
    assert yaml_texts([{"a": 1}, {"b": 2}]) == "a: 1\n---\nb: 2\n"
