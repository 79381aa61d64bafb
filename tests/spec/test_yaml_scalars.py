"""Single values of a YAML file: each is what its writer sees, or is refused with its line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from tuner.errors import InputError
from tuner.spec.yaml import parse_yaml, read_yaml
from tuner.spec.yaml_loader import text_documents

FILE = Path("/f.yaml")


def value_of(text: str) -> object:
    return parse_yaml(f"a: {text}", FILE).data["a"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10", 10),
        ("-0", 0),
        ("+7", 7),
        ("0x1F", 31),
        ("1e-3", 0.001),
        ("1.", 1.0),
        ("-.5", -0.5),
        ("+.5e1", 5.0),
        ("010.5", 10.5),
        ("'010'", "010"),
        ('"1:30"', "1:30"),
        ("'2024-01-01'", "2024-01-01"),
        ("1:30 h", "1:30 h"),
        ("2.14.1", "2.14.1"),
        ("127.0.0.1:8501", "127.0.0.1:8501"),
        ("9" * 100, int("9" * 100)),
        ("true", True),
        ("FALSE", False),
        ("y", "y"),
        ("'yes'", "yes"),
        ("null", None),
        ('"\\u00e9"', "é"),
    ],
)
def test_values_that_all_readers_read_alike(text: str, value: object) -> None:
    read = value_of(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("character", ["\x85", "\u2028", "\u2029"])
def test_characters_that_end_a_line_for_some_readers_are_refused(character: str) -> None:
    with pytest.raises(InputError, match=r"f\.yaml:2: not valid YAML: YAML 1\.1 and YAML 1\.2"):
        parse_yaml(f"a: 1\nb: 2 # two{character}c: 3", FILE)


def test_infinite_numbers_are_read_for_the_documents_to_refuse() -> None:
    assert value_of("-.inf") == -math.inf
    assert value_of("1e999") == math.inf


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "No",
        "ON",
        "off",
        "!!bool yes",
        "-0x1F",
        "010",
        "-07",
        "08",
        "0_7",
        "1_000",
        "1_0.5",
        "0b11",
        "0o17",
        "0x_1",
        "1:30",
        "-190:20:30",
    ],
)
def test_numbers_that_readers_read_differently_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"f\.yaml:2: b: expected a plain value \(YAML 1\.1 and"):
        parse_yaml(f"a: 1\nb: {text}", FILE)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("-0x" + "f" * 4300, "more than 100 characters"),
        ("9" * 4301, "more than 100 characters"),
        ("1" * 200_000 + "e", None),
        ("0." + "3" * 200, "more than 100 characters"),
        ("2024-01-01", "is a date; write a text in quotes"),
        ("2024-01-01 10:00:00", "is a date; write a text in quotes"),
        ("2024-02-30", "day is out of range for month"),
        ("!!bool 'x'", "not of the kind bool"),
        ("!!timestamp 'x'", "not of the kind timestamp"),
        ("!!int ''", "not of the kind int"),
        ("!!float x", "could not convert string to float: 'x'"),
    ],
)
def test_values_without_a_meaning_are_refused(text: str, reason: str | None) -> None:
    if reason is None:
        assert value_of(text) == text
        return
    with pytest.raises(InputError, match="b: expected a plain value") as caught:
        parse_yaml(f"a: 1\nb: {text}", FILE)
    assert caught.value.message.startswith("/f.yaml:2: ")
    assert reason in caught.value.message
    assert caught.value.mend


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('"\\U00110000"', "an escape sequence for a character that does not exist"),
        ('"\\UFFFFFFFF"', "an escape sequence for a character that does not exist"),
        ('"\\xZZ"', "expected escape sequence of 2 hexadecimal numbers"),
        ('"\\ud800"', "half a surrogate pair"),
        ('"\\0"', "NUL"),
        ("\x07", "the character '\\x07' is not allowed"),
        ("!!binary 'é'", "failed to convert base64 data into ascii"),
        ("*nowhere", "found undefined alias"),
        ("[" * 20_000, "too large or nested too deeply"),
        ("{" * 20_000, "too large or nested too deeply"),
        ("\n" + "".join(" " * i + "-\n" for i in range(1, 60)), "too large or nested too deeply"),
        ("[" + "1," * 20_000 + "]", "too large or nested too deeply"),
        ("#" + "x" * 1_000_000, "too large or nested too deeply"),
    ],
)
def test_what_is_not_valid_is_refused_with_its_line(text: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_yaml(f"a: 1\nb: {text}", FILE)
    assert caught.value.message.startswith("/f.yaml:")
    assert int(caught.value.message.split(":")[1]) >= 2
    assert reason in caught.value.message
    assert caught.value.mend


def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(InputError, match="too large"):
        read_yaml(Path("/dev/zero"))


def test_documents_of_other_tools_are_texts() -> None:
    text = "# for compose\nservices: {a: {ports: [22:22, 010]}}\n---\n- {<<: {b: yes}}\n"
    first, second = text_documents(text)
    assert first == {"services": {"a": {"ports": ["22:22", "010"]}}}
    assert second == [{"<<": {"b": "yes"}}]


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "a: *b", "!!int x", "{[a]: b}", "a\0", "? !!merge a"]
)
def test_documents_of_other_tools_raise_errors_of_yaml_only(text: str) -> None:
    with pytest.raises(yaml.YAMLError):
        text_documents(text)
